"""Choices of the variance mapping; importable without torch."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from tlvcli.core.config import Config

Choice = Literal["max-var", "min-var", "two-tailed", "interleaved", "random"]


class _SwitchableConfig(Config):
    @field_validator("*", mode="before")
    @classmethod
    def _yaml_off(cls, value: Any) -> Any:
        return "off" if value is False else value  # YAML 1.1 reads a bare off as false


class VarianceOptions(_SwitchableConfig):
    """Choices of `tlv`, the corrected variance mapping."""

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
    linear_statistics: Literal["cumulative", "divided", "off"] = Field(
        "cumulative",
        description="draw linear layers from the source's mean and std; divided: by the number of target layers too",
    )


class VarianceReferenceOptions(_SwitchableConfig):
    """Choices of `tlv-reference`, as the authors' constructor takes them; padding is with zeros."""

    keep: Choice = Field("interleaved", description="which source channels stay where the target is narrower")
    remove: Choice = Field("random", description="which target slots take a source channel where it is wider")
    pool: Literal["avg", "max"] = Field("avg", description="how a larger kernel shrinks")
    shuffle: Literal["off", "independent"] = Field("independent", description="permute filters and their kernels")


class NoOptions(Config):
    """A method without choices."""
