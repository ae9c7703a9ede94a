"""A training loop wired as torchvision's reference script for classification: its presets, loader, metrics, saving.

Wired so: ImageFolder, the training preset (random resized crop, mirrored, PIL backend) and the evaluation preset, a
DataLoader with a random sampler whose workers start anew every epoch, SGD with Nesterov momentum (`sgd_nesterov`),
cross-entropy, and after every step loss and accuracies read back for the meters. The lines are our own.
"""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.peers.case import Answer, Case, main, run_epochs

if TYPE_CHECKING:
    from torch import Tensor

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def train(case: Case) -> Answer:
    """Train as the script does, and say how fast."""
    import torch
    from torch import nn
    from torchvision.models import get_model

    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    device, is_cuda = torch.device(case.device), case.device == "cuda"
    train_loader, num_classes = _loader(case, "train", varied=not case.probe)
    val_loader, _ = _loader(case, "val", varied=False)
    model = get_model(case.arch, weights=None, num_classes=num_classes).to(device)
    if case.probe:
        model.requires_grad_(False)
        list(model.modules())[-1].requires_grad_(True)
    criterion = nn.CrossEntropyLoss()
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=case.lr, momentum=0.9, weight_decay=1e-4, nesterov=True)
    scaler = torch.amp.GradScaler(case.device) if is_cuda else None
    top = (1, min(5, num_classes))

    def train_epoch() -> int:
        model.train()
        meters: dict[str, deque[float]] = {name: deque(maxlen=20) for name in ("loss", "top1", "top5", "img/s")}
        images_seen = 0
        for images, labels in train_loader:
            started = time.perf_counter()
            images, labels = images.to(device), labels.to(device)
            with torch.autocast(case.device, torch.float16, enabled=is_cuda):
                outputs = model(images)
                loss = criterion(outputs, labels)
            optimizer.zero_grad()
            if scaler is None:
                loss.backward()
                optimizer.step()
            else:
                scaler.scale(loss).backward()
                scaler.step(optimizer)
                scaler.update()
            top1, top5 = _accuracies(outputs, labels, top)
            meters["loss"].append(loss.item())
            meters["top1"].append(top1.item())
            meters["top5"].append(top5.item())
            meters["img/s"].append(len(labels) / (time.perf_counter() - started))
            images_seen += len(labels)
        return images_seen

    def after_epoch() -> None:
        model.eval()
        with torch.inference_mode():
            for images, labels in val_loader:
                images, labels = images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
                outputs = model(images)
                criterion(outputs, labels).item()
                [accuracy.item() for accuracy in _accuracies(outputs, labels, top)]
        checkpoint = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
        # The script keeps every epoch's file, and one that is always the newest.
        for name in ("model.pth", "checkpoint.pth"):
            torch.save(checkpoint, Path(case.out, name))

    return run_epochs(case, train_epoch, after_epoch)


def _loader(case: Case, split: str, *, varied: bool) -> tuple[Any, int]:
    import torch
    from torch.utils.data import DataLoader, RandomSampler, SequentialSampler
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    size = case.image_size
    steps: list[Any] = (
        [transforms.RandomResizedCrop(size), transforms.RandomHorizontalFlip(0.5)]
        if varied
        else [transforms.Resize(round(size * 256 / 224)), transforms.CenterCrop(size)]
    )
    convert = [
        transforms.PILToTensor(),
        transforms.ConvertImageDtype(torch.float),
        transforms.Normalize(_MEAN, _STD),
    ]
    dataset = ImageFolder(str(Path(case.data, split)), transforms.Compose([*steps, *convert]))
    loader = DataLoader(
        dataset,
        batch_size=case.batch_size,
        sampler=RandomSampler(dataset) if split == "train" else SequentialSampler(dataset),
        num_workers=case.workers or 0,
        pin_memory=case.device == "cuda",
    )
    return loader, len(dataset.classes)


def _accuracies(outputs: Tensor, labels: Tensor, top: tuple[int, int]) -> list[Tensor]:
    import torch

    with torch.inference_mode():
        found = outputs.topk(max(top)).indices.eq(labels[:, None])  # [n, k]
        return [found[:, :k].any(1).float().mean() * 100 for k in top]


if __name__ == "__main__":
    main(train)
