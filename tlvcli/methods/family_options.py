"""Choices of the methods that stay within a family of architectures; importable without torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tlvcli.core.config import Config


class WeightSelectionOptions(Config):
    """Choices of `weight-selection`."""

    head: Literal["skip", "select"] = Field(
        "skip", description="the classifier: the target's own, as published, or the source's where the classes agree"
    )
    depth: Literal["first", "uniform"] = Field(
        "first", description="which blocks of a deeper stage: the first ones, or evenly spaced ones"
    )
    channels: Literal["coherent", "per-dimension"] = Field(
        "coherent",
        description="choose a channel once for all tensors, or every dimension by itself as published",
    )


class Net2NetOptions(Config):
    """Choices of `net2net`."""

    noise: float = Field(
        0.0,
        ge=0.0,
        le=1.0,
        description="noise on doubled channels, in spreads of the tensor: breaks their symmetry, changes the function",
    )
