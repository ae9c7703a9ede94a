"""What recognition found, as reports carry it, and the sentence that says it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from tlvcli.core.report import ReportPart
from tlvcli.models.recognition.match import State


class RecognisedPart(ReportPart):
    """The stem, or a head, of a recognised architecture."""

    module: str = Field(description="its name in the architecture")
    role: Literal["stem", "head", "auxiliary head"]
    state: State = Field(description="intact, replaced, cut (without the layer that says the classes) or absent")


class Recognition(ReportPart):
    """Which architecture the tensors are, or are nearly, by their names and shapes."""

    sentence: str = Field(description="all of this in words")
    architecture: str = Field(description="the builder: resnet18, timm:resnet18d")
    also: list[str] = Field(description="other builders whose tensors have the same names and shapes")
    exact: bool = Field(description="the builder makes just these tensors, so that they load strictly")
    num_classes: int | None = Field(description="null where no head says it")
    in_chans: int | None = Field(description="input channels; null where no stem says it")
    prefix: str = Field(description="what stands before every name of the architecture")
    beside: list[str] = Field(description="tensors without that prefix")
    parts: list[RecognisedPart] = Field(description="stem and heads; empty where the trunk differs too")
    agreement: float | None = Field(
        description="share of tensors whose names and shapes agree, of the larger of the two sets; null for timm's"
    )
    differing: list[str] = Field(description="tensors of another shape; known for torchvision only, as the next two")
    missing: list[str]
    extra: list[str]


def say_match(
    names: Sequence[str], num_classes: int | None, in_chans: int | None, parts: Sequence[RecognisedPart]
) -> str:
    """Return "resnet50 with 4 input channels, 10 classes; head `fc` differs"; three channels need no word."""
    channels = "" if in_chans in (None, 3) else f" with {in_chans} input {'channel' if in_chans == 1 else 'channels'}"
    classes = f", {num_classes} {'class' if num_classes == 1 else 'classes'}" if num_classes is not None else ""
    without, differing = _say_without(parts), _say_differing(parts)
    return f"{_say_names(names)}{channels}{classes}{',' if without and classes else ''}{without}{differing}"


def _say_names(names: Sequence[str]) -> str:
    if len(names) > 2 and names[0].startswith("timm:"):
        return f"{names[0]} (or one of {len(names) - 1} others with the same tensors)"
    return " or ".join(names)


def _say_without(parts: Sequence[RecognisedPart]) -> str:
    words: list[str] = []
    for role in ("stem", "head", "auxiliary head"):
        states = {part.module: part.state for part in parts if part.role == role}
        absent = [module for module, state in states.items() if state == "absent"]
        if absent and len(absent) == len(states):
            words.append(f"its {role}{'s' if len(absent) > 1 else ''}")
        else:
            words += [f"its {role} `{module}`" for module in absent]
        words += [f"the last layer of its {role} `{module}`" for module, state in states.items() if state == "cut"]
    return f" without {' and '.join(words)}" if words else ""


def _say_differing(parts: Sequence[RecognisedPart]) -> str:
    return "".join(f"; {part.role} `{part.module}` differs" for part in parts if part.state == "replaced")


def say_counts(differing: int, missing: int, extra: int) -> str:
    """Return "2 tensors differ in shape, 1 is missing, 3 are extra", without what is none."""
    counts = [
        (differing, "differs in shape", "differ in shape"),
        (missing, "is missing", "are missing"),
        (extra, "is extra", "are extra"),
    ]
    said: list[str] = []
    for number, one, many in counts:
        if number:
            noun = "" if said else " tensor" if number == 1 else " tensors"
            said.append(f"{number}{noun} {one if number == 1 else many}")
    return ", ".join(said)


def say_prefix(prefix: str, beside: Sequence[str]) -> str:
    """Return ", below `backbone.`; 2 tensors beside it: projector.weight, projector.bias"."""
    if not prefix:
        return ""
    if not beside:
        return f", below `{prefix}`"
    shown = ", ".join(beside[:3]) + (", …" if len(beside) > 3 else "")
    return f", below `{prefix}`; {len(beside)} tensor{'s' if len(beside) > 1 else ''} beside it: {shown}"
