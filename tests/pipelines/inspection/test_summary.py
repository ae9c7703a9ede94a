"""The section from a checkpoint or an architecture: sizes, defaults, what does not fit, and what to try instead."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Architecture
from tlvcli.models.builders import build
from tlvcli.pipelines.checkpoints import OpenedCheckpoint, open_reference
from tlvcli.pipelines.inspection.summary import (
    SummarySection,
    parse_input_size,
    refuse_failed_summary,
    summarise_checkpoint,
)

EXAMPLE = Path(__file__).parents[3] / "examples" / "vgg16_two_classes.py"

ASKING = """
import torch

class Asking(torch.nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.stem = torch.nn.Conv2d(3, num_classes, 3)

    def forward(self, images):
        features = self.stem(images)
        return features * float(features.max())

def make(num_classes):
    return Asking(num_classes)
"""


def opened(path: Path, arch: str | None = None) -> OpenedCheckpoint:
    return open_reference(str(path), role="checkpoint", key=None, arch=arch, offline=True, seed=0)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("224", (1, 3, 224, 224)),
        ("3,224,320", (1, 3, 224, 320)),
        ("2, 3, 32, 48", (2, 3, 32, 48)),
    ],
)
def test_sizes(text: str, size: tuple[int, ...]) -> None:
    assert parse_input_size(text, channels=3) == size


@pytest.mark.parametrize("text", ["0", "-1", "3,0,32", "32,32", "1,2,3,4,5", "", "big", "3x32x32", "1.5"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(TlvError, match="is no size of an image input") as caught:
        parse_input_size(text, channels=3)
    assert caught.value.error_id == "input-size-invalid"


def test_wrong_channels() -> None:
    with pytest.raises(TlvError, match="1 channels where the network takes 3") as caught:
        parse_input_size("1,28,28", channels=3)
    assert caught.value.hint.startswith("write 3,28,28")


@pytest.mark.parametrize(
    ("name", "side"), [("resnet18", 224), ("inception_v3", 299), ("timm:vit_tiny_patch16_384", 384)]
)
def test_the_usual_size_is_what_the_network_is_made_for(name: str, side: int) -> None:
    if name.startswith("timm:"):
        pytest.importorskip("timm")
    section = summarise_checkpoint(Architecture(name=name, num_classes=10), input_size=None)
    assert section.input_size == (1, 3, side, side)
    assert section.rows[0].output_shapes[0] == (1, 10)
    assert (section.forward, section.failure, section.hint) == ("shapes", None, None)


def test_one_channel() -> None:
    section = summarise_checkpoint(Architecture(name="resnet18", num_classes=2, in_chans=1), input_size="32")
    assert section.input_size == (1, 1, 32, 32)
    assert section.rows[1].parameters == 64 * 49


def test_a_checkpoint_is_read_by_shapes_alone(tmp_path: Path) -> None:
    module = build(Architecture(name="squeezenet1_1", num_classes=7), seed=0)
    torch.save(module.state_dict(), tmp_path / "a.pt")
    checkpoint = opened(tmp_path / "a.pt")
    section = summarise_checkpoint(checkpoint, input_size="64")
    assert section.architecture == Architecture(name="squeezenet1_1", num_classes=7)
    assert section.totals is not None
    assert section.totals.parameters == sum(spec.num_elements for spec in checkpoint.tensors.specs) == 726_087
    assert SummarySection.model_validate_json(section.model_dump_json()) == section


def test_a_checkpoint_that_fits_nothing(tmp_path: Path) -> None:
    torch.save({"a.weight": torch.ones(4, 3)}, tmp_path / "a.pt")
    with pytest.raises(TlvError, match="does not say which architecture") as caught:
        summarise_checkpoint(opened(tmp_path / "a.pt"), input_size=None)
    assert caught.value.error_id == "architecture-needed"
    with pytest.raises(TlvError, match="is no resnet18") as caught:
        summarise_checkpoint(opened(tmp_path / "a.pt", arch="resnet18"), input_size=None)
    assert caught.value.error_id == "checkpoint-mismatch"


def test_a_file_of_the_seed(tmp_path: Path) -> None:
    head = nn.Linear(25088, 2)
    tensors = {"classifier.weight": head.weight.detach(), "classifier.bias": head.bias.detach()}
    widths = (3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
    layers = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    for layer, width_in, width in zip(layers, widths, widths[1:], strict=False):
        tensors[f"features.{layer}.weight"] = torch.zeros(width, width_in, 3, 3)
        tensors[f"features.{layer}.bias"] = torch.zeros(width)
    torch.save(tensors, tmp_path / "cats_dogs.pt")
    section = summarise_checkpoint(opened(tmp_path / "cats_dogs.pt", arch=f"{EXAMPLE}:make"), input_size="244")
    assert section.totals is not None
    assert (section.totals.trainable_parameters, section.totals.frozen_parameters) == (50_178, 14_714_688)
    assert section.architecture.num_classes == 2


@pytest.mark.parametrize(
    ("name", "size", "words", "hint"),
    [
        ("vgg16", "16", r"vgg16 on 1x3x16x16: features.30 \(MaxPool2d\) got 1x512x1x1: ", "--input-size 32 works"),
        ("vit_b_32", "200", "VisionTransformer got 1x3x200x200: Wrong image height!", "--input-size 224 works"),
    ],
)
def test_a_failure_and_a_size_that_works(name: str, size: str, words: str, hint: str) -> None:
    section = summarise_checkpoint(Architecture(name=name, num_classes=2), input_size=size)
    assert section.totals is None
    with pytest.raises(TlvError, match=words) as caught:
        refuse_failed_summary(section)
    assert caught.value.error_id == "summary-failed"
    assert caught.value.hint.startswith(hint)


def test_no_size_works(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("import torch\ndef make(num_classes): return torch.nn.Linear(5, num_classes)\n")
    section = summarise_checkpoint(Architecture(name=f"{tmp_path}/net.py:make", num_classes=2), input_size="8")
    assert section.hint is not None
    assert section.hint.startswith("nor does it take 32, 64")


def test_a_success_is_not_refused() -> None:
    refuse_failed_summary(summarise_checkpoint(Architecture(name="alexnet", num_classes=2), input_size="64"))


def test_code_that_asks_for_values_is_computed(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(ASKING)
    section = summarise_checkpoint(Architecture(name=f"{tmp_path}/net.py:make", num_classes=2), input_size="8")
    assert (section.forward, section.failure) == ("values", None)
    assert [row.output_shapes for row in section.rows] == [((1, 2, 6, 6),)] * 2
    section = summarise_checkpoint(Architecture(name=f"{tmp_path}/net.py:make", num_classes=2), input_size="2")
    assert section.failure is not None
    assert (section.forward, section.failure.name) == ("shapes", "stem")


def test_the_section_is_imported_without_torch() -> None:
    code = "import sys, tlvcli.pipelines.inspection.summary; assert not {'torch', 'numpy', 'rich'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
