"""Choices of the statistics and of what counts as shifted; no torch here."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from tlvcli.core.config import Config


class DivergenceOptions(Config):
    """Choices of `lognormal-kl` and `histogram-kl`."""

    direction: Literal["symmetric", "source-to-target", "target-to-source"] = Field(
        "symmetric", description="both divergences added, or KL(source || target), or KL(target || source)"
    )


class PlainOptions(Config):
    """Nothing to choose."""


class SelectionOptions(Config):
    """What counts as shifted; without threshold, fraction and alpha, the percentile of the null decides."""

    select: Literal["kernels", "layers"] = Field("kernels", description="judge every kernel, or every layer as a whole")
    threshold: float | None = Field(None, description="shifted: a distance above it")
    fraction: float | None = Field(
        None, ge=0, le=1, description="shifted: this share of all kernels, those with the largest distances"
    )
    alpha: float | None = Field(
        None, gt=0, lt=1, description="shifted: q-value at most this (false-discovery rate over all layers)"
    )
    percentile: float = Field(95.0, gt=0, lt=100, description="of a layer's null: shifted is a distance above it")

    @model_validator(mode="after")
    def _one_rule(self) -> SelectionOptions:
        if sum(rule is not None for rule in (self.threshold, self.fraction, self.alpha)) > 1:
            raise ValueError("threshold, fraction and alpha exclude each other")
        return self
