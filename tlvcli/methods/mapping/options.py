"""Choices of the mappings; importable without torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tlvcli.core.config import Config
from tlvcli.methods.options import SwitchableConfig

Choice = Literal["max-var", "min-var", "two-tailed", "interleaved", "random"]


class VarianceOptions(SwitchableConfig):
    """Choices of the corrected variance mapping."""

    keep: Choice = Field("interleaved", description="which source channels stay where the target is narrower")
    remove: Choice = Field("random", description="which target slots take a source channel where it is wider")
    fan_in: Literal["per-layer", "per-filter"] = Field(
        "per-layer",
        description="choose input channels once for the layer, or anew in every filter as published",
    )
    pad: Literal["zero", "init"] = Field(
        "zero", description="around a smaller kernel: zeros, or the target's own initial values"
    )
    pool: Literal["avg", "max"] = Field("avg", description="how a larger kernel shrinks")
    shuffle: Literal["off", "consistent", "independent"] = Field(
        "off",
        description="permute channels: not, the same way in every filter, or anew in every filter as published",
    )


class VarianceReferenceOptions(SwitchableConfig):
    """Choices of `tlv-reference`, as the authors' constructor takes them; padding is with zeros."""

    keep: Choice = Field("interleaved", description="which source channels stay where the target is narrower")
    remove: Choice = Field("random", description="which target slots take a source channel where it is wider")
    pool: Literal["avg", "max"] = Field("avg", description="how a larger kernel shrinks")
    shuffle: Literal["off", "independent"] = Field("independent", description="permute filters and their kernels")


class MagnitudeOptions(Config):
    """Choices of the magnitude mapping."""

    priority: Literal["largest", "smallest"] = Field(
        "largest", description="which source channels stay where the target is narrower, by the sum of |w|"
    )
    fan_in: Literal["chosen", "all"] = Field(
        "chosen", description="rank input channels over the chosen filters, or over all of the source's"
    )
