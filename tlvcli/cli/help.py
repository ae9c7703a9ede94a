"""Commands whose help has no type beside flags: what takes no value needs no word for it."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup


class Command(TyperCommand):
    """A command of `tlv`."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, `--help` among them."""
        return _without_type(super().get_params(ctx))


class Group(TyperGroup):
    """`tlv` itself."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, those of completion among them."""
        return _without_type(super().get_params(ctx))


def _without_type(parameters: list[Any]) -> list[Any]:
    # In place: they are typer's own, and nobody else reads this word.
    for parameter in parameters:
        if getattr(parameter, "is_flag", False) and parameter.metavar is None:
            parameter.metavar = ""
    return parameters
