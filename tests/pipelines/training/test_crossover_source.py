"""The source of feature crossover: any network beside any other, given images as it knows them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Architecture, MadeBy, Preprocessing
from tlvcli.core.runtime import make_generator
from tlvcli.models.builders import build
from tlvcli.models.pooled_features import ClassifierInput
from tlvcli.pipelines.saving import save_module
from tlvcli.pipelines.train import run
from tlvcli.pipelines.training.config import TrainConfig
from tlvcli.pipelines.training.crossover_source import CrossoverSource, crossing_by_batch, open_crossover

CPU = torch.device("cpu")
TARGET = Preprocessing(image_size=32, resize_size=32, mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3))
MEANS = """
from torch import nn


class Means(nn.Module):
    '''A network whose pooled features are the means of its input's channels, if these are as large as it wants.'''

    def __init__(self, num_classes, in_chans=3, side=None):
        super().__init__()
        self.stem = nn.Conv2d(in_chans, in_chans, 1, bias=False)
        self.fc = nn.Linear(in_chans, num_classes)
        self.side = side

    def forward(self, x):
        assert self.side in (None, x.shape[-1])
        return self.fc(self.stem(x).mean((2, 3)))


def fixed(num_classes, in_chans=3):
    return Means(num_classes, in_chans, side=16)


def alone(num_classes, in_chans=3):
    return nn.Sequential(nn.Flatten(), nn.Linear(in_chans * 1024, num_classes))
"""


@pytest.fixture
def target() -> nn.Module:
    return build(Architecture(name="shufflenet_v2_x0_5", num_classes=4), seed=0)


def save_source(
    folder: Path, make: str, preprocessing: Preprocessing | None, *, in_chans: int = 3, by_eye: bool = True
) -> str:
    """Write a source that passes its images through, so that its features can be computed by eye."""
    (folder / "means.py").write_text(MEANS)
    architecture = Architecture(name=f"{folder / 'means.py'}:{make}", num_classes=7, in_chans=in_chans)
    module = build(architecture, seed=0)
    if by_eye:
        stem = module.get_parameter("stem.weight")
        stem.data.copy_(torch.eye(in_chans)[:, :, None, None])
    save_module(
        module,
        folder / "source.safetensors",
        architecture=architecture,
        made_by=MadeBy(command="train", method="full", tlv_version="0"),
        class_names=None,
        preprocessing=preprocessing,
        force=False,
    )
    return str(folder / "source.safetensors")


def open_source(target: nn.Module, reference: str, **settings: Any) -> CrossoverSource:
    config = TrainConfig(checkpoint="x", data="digits", out="run", crossover=reference, crossover_p=0.1, **settings)
    return open_crossover(config, target, Architecture(name="shufflenet_v2_x0_5", num_classes=4), TARGET, CPU)


def images_and_pixels() -> tuple[torch.Tensor, torch.Tensor]:
    """Images as the target gets them, and on a scale of 0 to 1."""
    pixels = torch.rand(2, 3, 32, 32, generator=make_generator(0))
    return (pixels - torch.tensor(TARGET.mean)[:, None, None]) / torch.tensor(TARGET.std)[:, None, None], pixels


def test_images_are_normalised_as_the_source_was_trained(target: nn.Module, tmp_path: Path) -> None:
    own = TARGET.model_copy(update={"mean": (0.1, 0.2, 0.3), "std": (0.5, 0.6, 0.7)})
    source = open_source(target, save_source(tmp_path, "Means", own))
    images, pixels = images_and_pixels()
    by_eye = (pixels.mean((2, 3)) - torch.tensor(own.mean)) / torch.tensor(own.std)
    torch.testing.assert_close(source.features(images), by_eye, rtol=1e-4, atol=1e-5)
    assert source.classifier == ClassifierInput("fc", 1024, "pooled")
    assert source.message.startswith("crossover: 3 of 1024 features can be those of ")
    assert source.warnings == ()


def test_images_stay_as_they_are_where_nothing_else_is_known(target: nn.Module, tmp_path: Path) -> None:
    source = open_source(target, save_source(tmp_path, "Means", None))
    images, _ = images_and_pixels()
    torch.testing.assert_close(source.features(images), images.mean((2, 3)), rtol=1e-4, atol=1e-5)
    assert len(source.warnings) == 1


def test_a_grey_source_gets_the_mean_of_the_channels(target: nn.Module, tmp_path: Path) -> None:
    own = Preprocessing(image_size=32, resize_size=32, mean=(0.5,), std=(0.1,), channels=1)
    source = open_source(target, save_source(tmp_path, "Means", own, in_chans=1))
    images, pixels = images_and_pixels()
    by_eye = (pixels.mean((1, 2, 3)) - 0.5)[:, None] / 0.1
    torch.testing.assert_close(source.features(images), by_eye, rtol=1e-4, atol=1e-5)


def test_a_source_of_one_size_gets_its_own(target: nn.Module, tmp_path: Path) -> None:
    own = TARGET.model_copy(update={"image_size": 16, "resize_size": 16})
    source = open_source(target, save_source(tmp_path, "fixed", own))
    images, _ = images_and_pixels()
    # Halving by an antialiased bilinear filter keeps the mean but at the border.
    torch.testing.assert_close(source.features(images), images.mean((2, 3)), rtol=0, atol=0.05)


def test_a_source_for_larger_images_that_says_nothing_of_them_gets_the_usual_ones(target: nn.Module) -> None:
    features = open_source(target, "alexnet@random").features
    assert features(images_and_pixels()[0]).shape == (2, 256)


def test_the_source_is_frozen_and_named(target: nn.Module, tmp_path: Path) -> None:
    source = open_source(target, save_source(tmp_path, "Means", TARGET))
    assert source.info.role == "crossover"
    assert source.ancestor is not None
    assert source.ancestor.name == "source.safetensors"
    assert source.ancestor.sha256 == source.info.sha256
    assert not source.features(images_and_pixels()[0]).requires_grad


def test_every_batch_has_a_mask_of_its_own_and_the_same_again(target: nn.Module, tmp_path: Path) -> None:
    source = open_source(target, "squeezenet1_1@random")
    assert source.ancestor is None
    wide = replace(source, p=0.5, features=lambda images: torch.full((len(images), 256), 9.0))
    images, _ = images_and_pixels()
    crossing = crossing_by_batch(wide, target, seed=0)

    def crossed(epoch: int, number: int) -> list[bool]:
        given: list[torch.Tensor] = []
        handle = target.get_submodule("fc").register_forward_hook(lambda _module, args, _output: given.append(args[0]))
        with torch.no_grad(), crossing(epoch, number):
            target(images)
        handle.remove()
        return (given[0][0] == 9.0).tolist()

    assert crossed(1, 1) == crossed(1, 1)
    assert crossed(1, 1) != crossed(1, 2)
    assert crossed(1, 1) != crossed(2, 1)
    assert 80 < sum(crossed(1, 1)) < 176
    assert not any(crossed(1, 1)[256:])


def test_a_source_without_pooled_features(target: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(TlvError, match="no classifier with pooled features before it") as error:
        open_source(target, save_source(tmp_path, "alone", TARGET, by_eye=False))
    assert error.value.error_id == "crossover-unsupported"


def test_a_source_that_does_not_say_what_it_is(target: nn.Module, tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3, 3)}, tmp_path / "weights.pt")
    with pytest.raises(TlvError, match="does not say which architecture it is") as error:
        open_source(target, str(tmp_path / "weights.pt"))
    assert error.value.error_id == "crossover-unsupported"


def test_a_run_with_crossover_learns_otherwise_and_names_its_source(small_network: str, tmp_path: Path) -> None:
    reports = []
    for source in (f"{small_network}@random", None):
        out = tmp_path / f"{source is None}"
        config = TrainConfig(
            checkpoint=f"{small_network}@random",
            data="digits@train:200",
            out=str(out),
            epochs=1,
            workers=0,
            precision="fp32",
            device="cpu",
            crossover=source,
        )
        reports.append(run(config))
    crossed, plain = reports
    assert [entry.role for entry in crossed.inputs[:2]] == ["checkpoint", "crossover"]
    assert crossed.config["crossover_p"] == 0.1
    assert crossed.result.epochs[0].train_loss != plain.result.epochs[0].train_loss


def test_a_compiled_network_would_cross_nothing() -> None:
    with pytest.raises(ValidationError, match="a compiled network does not let features cross"):
        TrainConfig(checkpoint="x", data="digits", out="run", crossover="source.pth", compile=True)
