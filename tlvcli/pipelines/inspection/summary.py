"""The module summary of `tlv inspect --summary`: what a forward pass on one input of a size goes through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Architecture, Preprocessing
from tlvcli.core.report import ReportPart
from tlvcli.models.summary import ModuleSummary, SummaryFailure, SummaryRow, SummaryTotals, summarise
from tlvcli.pipelines.checkpoints import OpenedCheckpoint
from tlvcli.pipelines.mismatch import refuse_mismatch

if TYPE_CHECKING:
    from torch import nn

USUAL_SIZES = (32, 64, 96, 128, 224, 299)

_SIZE_HINT = "write --input-size 224, 3,224,224 or 1,3,224,224"


class SummarySection(ReportPart):
    """A network called once; where a layer failed, what was called before it."""

    architecture: Architecture
    input_size: tuple[int, ...] = Field(description="batch, channels, height, width")
    forward: Literal["shapes", "values"] = Field(
        description="shapes: nothing was computed; values: computed with random weights, since the code asks for values"
    )
    rows: tuple[SummaryRow, ...] = Field(description="in the order of the calls")
    not_called: tuple[str, ...] = Field(
        description="outermost modules with parameters that were not called: auxiliary heads in evaluation mode, and "
        "layers whose parameters the module above takes itself; they count with the row above"
    )
    totals: SummaryTotals | None = Field(description="null where a layer failed")
    failure: SummaryFailure | None = Field(description="null where the forward pass came to its end")
    hint: str | None = Field(description="what to do about the failure")


def summarise_checkpoint(subject: OpenedCheckpoint | Architecture, *, input_size: str | None) -> SummarySection:
    """Call the checkpoint's architecture, or an architecture by itself, on one input; no tensor's values are read.

    `input_size` is a side, `C,H,W` or `N,C,H,W`; None takes the size that the checkpoint was trained on or that the
    network is made for. A layer that fails is part of the section: see `refuse_failed_summary`.

    Raises:
        TlvError: `architecture-needed`, `architecture-invalid`, `checkpoint-mismatch` or `input-size-invalid`.
    """
    from tlvcli.models.builders import build, build_skeleton

    architecture, preprocessing = _architecture_of(subject)
    skeleton = build_skeleton(architecture)
    if isinstance(subject, OpenedCheckpoint):
        refuse_mismatch(subject, skeleton, architecture, frozenset())
    if input_size is None:
        side = _usual_side(skeleton, architecture, preprocessing)
        size: tuple[int, ...] = (1, architecture.in_chans, side, side)
    else:
        size = parse_input_size(input_size, channels=architecture.in_chans)
    summary = summarise(skeleton, size)
    forward: Literal["shapes", "values"] = "shapes"
    if summary.failure and summary.failure.needs_values:
        summary, forward = summarise(build(architecture, seed=0), size, with_values=True), "values"
    return SummarySection(
        architecture=architecture,
        input_size=size,
        forward=forward,
        rows=summary.rows,
        not_called=summary.not_called,
        totals=summary.totals,
        failure=summary.failure,
        hint=_hint(summary, skeleton, architecture.in_chans, forward) if summary.failure else None,
    )


def refuse_failed_summary(section: SummarySection) -> None:
    """Raise `summary-failed` where a layer failed; the caller has shown the rows up to it."""
    failure = section.failure
    if failure is None:
        return
    layer = f"{failure.name} ({failure.class_name})" if failure.name else failure.class_name
    inputs = " and ".join(_words(shape) for shape in failure.input_shapes) or "no tensor"
    raise TlvError(
        "summary-failed",
        f"{section.architecture.name} on {_words(section.input_size)}: {layer} got {inputs}: {failure.message}",
        section.hint or _SIZE_HINT,
    )


def parse_input_size(text: str, *, channels: int) -> tuple[int, ...]:
    """Return [batch, channels, height, width] from `224`, `3,224,224` or `1,3,224,224`.

    Raises:
        TlvError: `input-size-invalid`.
    """
    parts = [part.strip() for part in text.split(",")]
    if len(parts) not in (1, 3, 4) or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise TlvError("input-size-invalid", f"{text} is no size of an image input", _SIZE_HINT)
    numbers = tuple(int(part) for part in parts)
    if len(numbers) == 1:
        return (1, channels, *numbers, *numbers)
    size = (1, *numbers) if len(numbers) == 3 else numbers
    if size[1] != channels:
        raise TlvError(
            "input-size-invalid",
            f"{text} has {size[1]} channels where the network takes {channels}",
            f"write {channels},{size[2]},{size[3]}: channels, height, width",
        )
    return size


def _architecture_of(subject: OpenedCheckpoint | Architecture) -> tuple[Architecture, Preprocessing | None]:
    if isinstance(subject, Architecture):
        return subject, None
    if subject.architecture is None:
        raise TlvError(
            "architecture-needed",
            f"{subject.reference} does not say which architecture it is, and a summary calls its modules",
            "--arch NAME names it, as in --arch resnet18 or --arch net.py:make",
        )
    return subject.architecture, subject.preprocessing


def _usual_side(module: nn.Module, architecture: Architecture, preprocessing: Preprocessing | None) -> int:
    """Return the height and width, in pixels, that the network was trained on or is made for."""
    if preprocessing is not None:
        return preprocessing.image_size
    attributes: Any = module
    side = getattr(attributes, "image_size", None)  # of torchvision's vision transformers, which take no other
    if isinstance(side, int):
        return side
    card = getattr(attributes, "default_cfg", None)  # of timm's models
    if isinstance(card, dict) and len(card.get("input_size") or ()) == 3:
        return int(card["input_size"][-1])
    return 299 if architecture.name.startswith("inception") else 224


def _hint(summary: ModuleSummary, skeleton: nn.Module, channels: int, forward: str) -> str:
    if forward == "values":
        return "the layer asks for values: run the network by itself on an image of this size"
    works = next((side for side in USUAL_SIZES if summarise(skeleton, (1, channels, side, side)).totals), None)
    if works is not None:
        return f"--input-size {works} works, the smallest usual size that does"
    return f"nor does it take {', '.join(map(str, USUAL_SIZES))} px: look at this layer"


def _words(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a scalar"
