"""A training loop of timm's own parts, as its train script wires them: dataset, loader, optimiser, loss, accuracy.

Without its default colour jitter and label smoothing, which the others do not do either. On CUDA with its prefetcher,
its scaler and channels-last; on the CPU without. The network is torchvision's, as for all. The lines are our own.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from benchmarks.peers.case import Answer, Case, main, run_epochs


def train(case: Case) -> Answer:
    """Train as the script does, and say how fast."""
    import torch
    from timm.optim import create_optimizer_v2
    from timm.utils import AverageMeter, NativeScaler, accuracy, random_seed
    from torch import nn
    from torchvision.models import get_model

    random_seed(0, 0)
    device, is_cuda = torch.device(case.device), case.device == "cuda"
    train_loader, num_classes = _loader(case, "train")
    val_loader, _ = _loader(case, "val")
    layout = {"memory_format": torch.channels_last} if is_cuda else {}
    model: Any = get_model(case.arch, weights=None, num_classes=num_classes).to(device, **layout)
    optimizer = create_optimizer_v2(model, opt="sgd", lr=case.lr, weight_decay=2e-5, momentum=0.9)
    loss_function = nn.CrossEntropyLoss().to(device)
    scaler = NativeScaler(device=case.device) if is_cuda else None

    def batches(loader: Any) -> Any:
        for images, labels in loader:
            yield (images.to(device, **layout), labels.to(device)) if not is_cuda else (images.to(**layout), labels)

    def computing() -> Any:
        return torch.autocast(case.device, torch.float16) if is_cuda else nullcontext()

    def train_epoch() -> int:
        model.train()
        losses, images_seen = AverageMeter(), 0
        optimizer.zero_grad()
        for images, labels in batches(train_loader):
            with computing():
                loss = loss_function(model(images), labels)
            if scaler is None:
                loss.backward()
                optimizer.step()
            else:
                scaler(loss, optimizer, parameters=model.parameters())
            optimizer.zero_grad()
            losses.update(loss.item(), len(labels))
            images_seen += len(labels)
        return images_seen

    def after_epoch() -> None:
        model.eval()
        with torch.inference_mode():
            for images, labels in batches(val_loader):
                with computing():
                    outputs = model(images)
                    loss_function(outputs, labels).item()
                [one.item() for one in accuracy(outputs, labels, topk=(1, min(5, num_classes)))]
        torch.save(
            {"state_dict": model.state_dict(), "optimizer": optimizer.state_dict()}, Path(case.out, "last.pth.tar")
        )

    return run_epochs(case, train_epoch, after_epoch)


def _loader(case: Case, split: str) -> tuple[Any, int]:
    import torch
    from timm.data import create_dataset, create_loader

    training, workers = split == "train", case.workers or 0
    dataset = create_dataset("", root=case.data, split=split, is_training=training, batch_size=case.batch_size)
    loader = create_loader(
        dataset,
        input_size=(3, case.image_size, case.image_size),
        batch_size=case.batch_size,
        is_training=training,
        color_jitter=0.0,
        interpolation="random" if training else "bilinear",
        num_workers=workers,
        crop_pct=None if training else 0.875,
        pin_memory=case.device == "cuda",
        device=torch.device(case.device),
        use_prefetcher=case.device == "cuda",
        persistent_workers=workers > 0,
    )
    return loader, len(dataset.reader.class_to_idx)


if __name__ == "__main__":
    main(train)
