"""The published pair of one family: ResNet-56 to ResNet-20 on CIFAR-10, 300 images without labels."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms.functional import normalize, pil_to_tensor

from examples.akamaster_resnet import resnet20, resnet56
from tests.methods.fitting.nets import Batches, fitted, started, with_state


def _images(shared_data: Path, split: str, num_a_class: int) -> tuple[Tensor, Tensor]:
    """Return images and classes, the first of each class that the archive or the folder has."""
    shown, classes, counts = [], [], dict[str, int]()
    with tarfile.open(shared_data / "cifar10.tar") as archive:
        for member in archive:
            parts = Path(member.name).parts
            if not member.isfile() or split not in parts or counts.get(parts[-2], 0) == num_a_class:
                continue
            counts[parts[-2]] = counts.get(parts[-2], 0) + 1
            with Image.open(archive.extractfile(member)) as image:
                shown.append(pil_to_tensor(image.convert("RGB")).float() / 255)
            classes.append(parts[-2])
    names = sorted(counts)
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    return normalize(torch.stack(shown), mean, std), torch.tensor([names.index(name) for name in classes])


def _load(net: nn.Module, path: Path) -> nn.Module:
    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    net.load_state_dict({name.removeprefix("module."): tensor for name, tensor in state.items()})
    return net.eval()


@pytest.mark.data
def test_the_architectures_load_the_published_checkpoints(shared_data: Path) -> None:
    _load(resnet20(), shared_data / "checkpoints" / "akamaster_resnet20-12fca82f.th")
    _load(resnet56(), shared_data / "checkpoints" / "akamaster_resnet56-4bfd9763.th")


@pytest.mark.data
@pytest.mark.slow
def test_a_third_of_the_blocks_classifies_without_having_seen_a_label(shared_data: Path) -> None:
    source = _load(resnet56(), shared_data / "checkpoints" / "akamaster_resnet56-4bfd9763.th")
    target = resnet20().eval()
    plan = started(source, target)
    shown, _ = _images(shared_data, "train", 30)
    order = torch.randperm(len(shown), generator=torch.Generator().manual_seed(0))
    fitting = fitted(target, source, plan, Batches(shown[order], 100), ridge="auto")
    unseen, classes = _images(shared_data, "test", 50)
    with torch.no_grad():
        accuracy = (with_state(target, fitting)(unseen).argmax(1) == classes).float().mean()
    assert float(accuracy) > 0.72
