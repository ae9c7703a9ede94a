"""Validation without us: `bare` is the loop that one writes first, `timm` is wired of timm's parts as its script does.

`python -m benchmarks.peers.validation bare|timm '{"weights": ..., "arch": ..., "data": ...}'` prints top-1 and images
per second of the loop, reading included, as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Validation:
    """A network with its weights on an image folder of square images that need no crop."""

    arch: str
    weights: str
    data: str
    image_size: int
    batch_size: int
    workers: int
    device: str


def bare(case: Validation) -> dict[str, float]:
    """Load, loop, count what is right."""
    import torch
    from torch.utils.data import DataLoader
    from torchvision import transforms
    from torchvision.datasets import ImageFolder
    from torchvision.models import get_model

    device = torch.device(case.device)
    steps = [
        transforms.Resize(case.image_size),
        transforms.CenterCrop(case.image_size),
        transforms.ToTensor(),
        transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ]
    dataset = ImageFolder(case.data, transforms.Compose(steps))
    loader = DataLoader(dataset, batch_size=case.batch_size, num_workers=case.workers, pin_memory=case.device == "cuda")
    model = _load(get_model(case.arch, weights=None, num_classes=len(dataset.classes)), case, device)
    right = 0
    started = time.perf_counter()
    with torch.inference_mode():
        for images, labels in loader:
            outputs = model(images.to(device, non_blocking=True))
            right += int((outputs.argmax(1) == labels.to(device)).sum())
    seconds = time.perf_counter() - started
    return {"top1": right / len(dataset), "rate": len(dataset) / seconds}


def timm(case: Validation) -> dict[str, float]:
    """As timm's validation script: its dataset, loader, accuracy and meters; the network is torchvision's."""
    import torch
    from timm.data import create_dataset, create_loader
    from timm.utils import AverageMeter, accuracy
    from torch import nn
    from torchvision.models import get_model

    device, is_cuda = torch.device(case.device), case.device == "cuda"
    dataset = create_dataset("", root=case.data, is_training=False, batch_size=case.batch_size)
    loader = create_loader(
        dataset,
        input_size=(3, case.image_size, case.image_size),
        batch_size=case.batch_size,
        interpolation="bilinear",
        crop_pct=1.0,
        num_workers=case.workers,
        pin_memory=is_cuda,
        device=device,
        use_prefetcher=is_cuda,
    )
    model = _load(get_model(case.arch, weights=None, num_classes=len(dataset.reader.class_to_idx)), case, device)
    criterion, meters = nn.CrossEntropyLoss().to(device), {name: AverageMeter() for name in ("loss", "top1", "top5")}
    started = time.perf_counter()
    with torch.inference_mode():
        for images, labels in loader:
            if not is_cuda:
                images, labels = images.to(device), labels.to(device)
            outputs = model(images)
            loss = criterion(outputs, labels)
            for name, value in zip(meters, (loss, *accuracy(outputs, labels, topk=(1, 5))), strict=True):
                meters[name].update(value.item(), len(images))
    seconds = time.perf_counter() - started
    return {"top1": meters["top1"].avg / 100, "rate": len(dataset) / seconds}


def _load(model: Any, case: Validation, device: Any) -> Any:
    import torch

    model.load_state_dict(torch.load(case.weights, weights_only=True))
    return model.to(device).eval()


if __name__ == "__main__":
    print(json.dumps({"bare": bare, "timm": timm}[sys.argv[1]](Validation(**json.loads(sys.argv[2])))))
