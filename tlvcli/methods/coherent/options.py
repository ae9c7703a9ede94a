"""Choices of `coherent`; importable without torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tlvcli.core.config import Config


class CoherentOptions(Config):
    """Choices of `coherent`."""

    channels: Literal["variance", "even"] = Field(
        "variance",
        description="which channels a narrower target takes: the filters of largest variance, or evenly spaced ones",
    )
    shares: float = Field(
        0.1,
        ge=0.0,
        le=1.0,
        description="a wider target: how unevenly readers share copies of a channel; the function stays, copies part",
    )
    noise: float = Field(
        0.1, ge=0.0, le=1.0, description="between families: noise on collapsed and Dirac kernels, in their spreads"
    )
    surplus: Literal["dirac", "own"] = Field(
        "dirac",
        description="between families: a block's further convolutions pass on what they read, or start as they are",
    )
    stem: Literal["centre", "own"] = Field(
        "centre", description="between families: the stem takes the source's kernels in its centre, or starts as it is"
    )
    stem_rate: float = Field(
        0.3, ge=0.0, le=1.0, description="learning rate recommended for a transferred stem, as a multiple; 0 is frozen"
    )
    rates: Literal["even", "one"] = Field(
        "even",
        description="between families: kernels in front of a normalisation learn at one pace, or at one rate",
    )
    stages: int | None = Field(
        None, ge=0, description="between families: stages that are transferred, from the first; default: all"
    )
