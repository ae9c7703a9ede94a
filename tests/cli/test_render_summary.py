"""The tree and the figures of a module summary, as people see them."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from tlvcli.cli.render_summary import render_summary
from tlvcli.core.provenance import Architecture
from tlvcli.pipelines.inspection.summary import SummarySection, summarise_checkpoint

EXAMPLE = Path(__file__).parents[2] / "examples" / "vgg16_two_classes.py"


def drawn(section: SummarySection, depth: int | None = None) -> list[str]:
    console = Console(file=io.StringIO(), width=80, force_terminal=True, no_color=True, highlight=False)
    render_summary(section, console, depth)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.fixture(scope="module")
def vgg16() -> SummarySection:
    return summarise_checkpoint(Architecture(name=f"{EXAMPLE}:make", num_classes=2), input_size="244")


def test_the_tree_of_a_frozen_vgg16(vgg16: SummarySection) -> None:
    lines = drawn(vgg16)
    assert lines[:5] == [
        "layer (type)                    output          parameters  mult-adds",
        "VGG                             1x2",
        "├─ features (Sequential)        1x512x7x7",
        "│  ├─ 0 (Conv2d)                1x64x244x244       (1,792)       0.6%",
        "│  ├─ 1 (ReLU)                  1x64x244x244",
    ]
    assert lines[33:37] == [
        "│  └─ 30 (MaxPool2d)            1x512x7x7",
        "├─ avgpool (AdaptiveAvgPool2d)  1x512x7x7",
        "└─ classifier (Linear)          1x2                 50,178",
        "",
    ]
    assert all(len(line) <= 80 for line in lines if not line.startswith("\x1b"))


def test_the_figures_of_a_frozen_vgg16(vgg16: SummarySection) -> None:
    lines = drawn(vgg16)
    assert lines[37:46] == [
        "total parameters            14,764,866",
        "  trainable                     50,178",
        "  non-trainable             14,714,688",
        "total mult-adds                17.99 G  linear at one position, no attention",
        "  by operations                17.98 G  convolutions, matrices, attention",
        "input size                     0.71 MB",
        "forward/backward pass size   128.13 MB",
        "parameters size               59.06 MB",
        "estimated total size         187.91 MB",
    ]


def test_depth_adds_up_what_is_deeper(vgg16: SummarySection) -> None:
    assert drawn(vgg16, 1)[:6] == [
        "layer (type)                    output       parameters  mult-adds",
        "VGG                             1x2",
        "├─ features (Sequential)        1x512x7x7  (14,714,688)     100.0%",
        "├─ avgpool (AdaptiveAvgPool2d)  1x512x7x7",
        "└─ classifier (Linear)          1x2              50,178",
        "",
    ]
    assert drawn(vgg16, 0)[1] == "VGG           1x2     14,764,866     100.0%"


def test_a_deep_network_fits() -> None:
    section = summarise_checkpoint(Architecture(name="googlenet", num_classes=10), input_size="64")
    lines = drawn(section)
    assert "│  │  ├─ 0 (BasicConv2d)" in "\n".join(lines)
    assert lines[-1].endswith("aux1, aux2: their parameters count with the row above")
    assert all(len(line) <= 80 for line in lines[:-2])


def test_a_failure_shows_the_tree_up_to_it() -> None:
    section = summarise_checkpoint(Architecture(name="vgg16", num_classes=10), input_size="16")
    lines = drawn(section)
    assert lines[32:35] == [
        "   ├─ 29 (ReLU)           1x512x1x1",
        "   └─ 30 (MaxPool2d)      failed",
        "",
    ]
    assert not any("mult-adds  " in line for line in lines)
    folded = drawn(section, 1)
    assert folded[2].split() == ["└─", "features", "(Sequential)", "failed", "14,714,688"]
