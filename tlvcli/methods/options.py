"""Choices that belong to a method as a whole, whichever matching and mapping it runs with; no torch here."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from tlvcli.core.config import Config


class NoOptions(Config):
    """Nothing to choose."""


class SwitchableConfig(Config):
    """Choices among which `off` is one."""

    @field_validator("*", mode="before")
    @classmethod
    def _yaml_off(cls, value: Any) -> Any:
        return "off" if value is False else value  # YAML 1.1 reads a bare off as false


class TlvOptions(SwitchableConfig):
    """Choices of `tlv` beside those of its matching and its mapping."""

    linear_statistics: Literal["cumulative", "divided", "off"] = Field(
        "cumulative",
        description="draw linear layers from the source's mean and std; divided: by the number of target layers too",
    )


class DpiatOptions(SwitchableConfig):
    """Choices of `dpiat` beside those of its matching and its mapping."""

    normalisation: Literal["follow", "match", "off"] = Field(
        "follow",
        description="normalisation after a layer: from after the layer's source, matched for itself, or not at all",
    )
