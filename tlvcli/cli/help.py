"""Commands whose help has no type beside flags, and that wait for pydantic only where a value is to be converted."""

from __future__ import annotations

from functools import partial
from typing import Any

from typer.core import TyperCommand, TyperGroup


class Command(TyperCommand):
    """A command of `tlv`."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, `--help` among them."""
        return _ours(super().get_params(ctx))


class Group(TyperGroup):
    """`tlv` itself."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, those of completion among them."""
        return _ours(super().get_params(ctx))


def _ours(parameters: list[Any]) -> list[Any]:
    # In place: they are typer's own, and nobody else reads these.
    for parameter in parameters:
        if getattr(parameter, "is_flag", False) and parameter.metavar is None:
            parameter.metavar = ""  # what takes no value needs no word for it
        parameter.process_value = partial(_process, parameter)
    return parameters


def _process(parameter: Any, ctx: Any, value: Any) -> Any:
    """Convert a value as typer does, unless it was not given, or a shell completes what is behind it.

    From 0.29 on typer imports pydantic for that, which takes longer than all else, and makes a validator of each flag.
    """
    if value is None or ctx.resilient_parsing:
        return value
    return type(parameter).process_value(parameter, ctx, value)
