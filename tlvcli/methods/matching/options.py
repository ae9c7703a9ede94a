"""Choices of the matchings; importable without torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tlvcli.core.config import Config


class BlockOptions(Config):
    """Choices of the matchings that can compare blocks of layers: `dp` and `bipartite`."""

    standardisation: Literal["blocks", "flat"] = Field(
        "blocks", description="what is matched: blocks of layers, and layers within matched blocks; or layers alone"
    )


class FlatOptions(Config):
    """Choices of `dp-flat`."""

    penalty: float = Field(0.5, ge=0, description="score that one step back in the source costs; a repeat is one step")
