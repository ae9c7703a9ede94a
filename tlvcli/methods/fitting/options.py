"""Choices of closed-form fitting; importable without torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tlvcli.core.config import Config


class FitOptions(Config):
    """Choices of `tlv transfer --fit`."""

    ridge: Annotated[float, Field(ge=0)] | Literal["auto"] = Field(
        "auto",
        description="penalty on weights, times the mean variance of what the layer reads; auto: chosen for each layer "
        "by predicting half of the images from the others",
    )
    hidden: Literal["select", "own"] = Field(
        "select",
        description="channels within a block: those that serve its output best, of all source blocks it stands for, or "
        "the planned ones",
    )
    flip: bool = Field(False, description="see every image mirrored, too; takes twice as long")
    head: bool = Field(True, description="fit the classifier to the source's logits, where both have the same classes")
    positions: int = Field(128, ge=1, description="most pixels of an image that a layer is fitted to")
    keep_mb: int = Field(
        512, ge=0, description="megabytes of activations kept to compute them only once for each block"
    )
