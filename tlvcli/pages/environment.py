"""How templates become pages: escaped, strict about names, with the filters that all pages share."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from tlvcli.pages.svg import figure_text

if TYPE_CHECKING:
    from jinja2 import Environment

_LARGEST_FACTOR = 1_000


@cache
def page_environment() -> Environment:
    """Return the environment of the templates beside this file."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("tlvcli.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"figure": figure_text, "percent": _percent, "percent2": _percent2, "times": _times}
    return environment


def _percent(share: float) -> str:
    return f"{share:.0%}"


def _percent2(share: float) -> str:
    return f"{share:.2%}"


def _times(factor: float, other: str) -> str:
    """Say how an image's |a| compares with the other set's; a kernel that is silent has no factor worth a digit."""
    if factor > _LARGEST_FACTOR:
        return f"over {_LARGEST_FACTOR:,} × the {other}'s"
    if factor < 1 / _LARGEST_FACTOR:
        return f"silent: under 1/{_LARGEST_FACTOR:,} of the {other}'s"
    return f"{figure_text(factor)} × the {other}'s" if factor >= 1 else f"1/{figure_text(1 / factor)} of the {other}'s"
