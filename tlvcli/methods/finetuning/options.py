"""Choices of the fine-tuning strategies; no torch here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from tlvcli.core.config import Config


def parse_parts(value: Any) -> float | str | None:
    """Return one number, or three joined by commas: those of the head, of the high layers and of the low ones.

    Raises:
        ValueError: where it is neither, or a number is negative or not finite.
    """
    if value is None:
        return None
    several = isinstance(value, Sequence) and not isinstance(value, str)
    words = [str(part) for part in value] if several else str(value).split(",")
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 3) or not all(math.isfinite(number) for number in numbers):
        raise ValueError("write one number, or three as HEAD,HIGH,LOW")
    if min(numbers) < 0:
        raise ValueError("must not be negative")
    return numbers[0] if len(numbers) == 1 else ",".join(f"{number!r}" for number in numbers)


def numbers_of(parts: float | str) -> tuple[float, ...]:
    """Return the one number or the three."""
    return tuple(float(word) for word in str(parts).split(","))


class FullOptions(Config):
    """Choices of `full`."""

    head_rate: float = Field(10.0, gt=0, description="times lr: the rate of a freshly initialised head")
    new_layers: int = Field(0, ge=0, description="units that start afresh, from the output; 1 is the classifier")


class TwoRateOptions(Config):
    """Choices of `two-rate`."""

    backbone_lr_scale: float = Field(0.1, ge=0, description="times lr: the rate of everything but the head")
    new_layers: int = Field(0, ge=0, description="units that start afresh, from the output; 1 is the classifier")


class LinearProbeOptions(Config):
    """Nothing to choose: the head trains at lr, the rest is frozen."""


class ProbeThenTuneOptions(Config):
    """Choices of `lp-ft`."""

    probe_epochs: int = Field(3, ge=1, description="epochs that train the head alone, before all layers train")
    tune_lr_scale: float = Field(0.1, gt=0, description="times lr: the rate of all layers after the probe")


class LayerDecayOptions(Config):
    """Choices of `layer-decay`."""

    layer_decay: float = Field(0.75, gt=0, le=1, description="factor on the rate from each unit to the one before it")


class NonBinaryOptions(Config):
    """Choices of `non-binary` beside the rates of its parts, which `lr` gives."""

    new_layers: int = Field(1, ge=0, description="units that start afresh, from the output; 1 is the classifier")
    num_lowlrs: int | None = Field(None, ge=0, description="units from the input that train at the rate LOW")
