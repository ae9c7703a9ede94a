"""From parsed flags to a pipeline's report on the screen: the same steps for every command."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from pydantic import BaseModel

    from tlvcli.core.report import Report

    Renderer = Callable[[Report[Any], bool], None]

# Flags that say how a command speaks, not what it does.
_PRESENTATION = ("json", "quiet", "verbose", "debug", "config", "set")


def read_config(context: typer.Context, model: type[BaseModel], also_known: Iterable[str] = ()) -> Any:
    """Merge defaults < --config < flags < --set and validate the whole at once."""
    from tlvcli.pipelines.settings import resolve_config

    given = context.params
    return resolve_config(
        model,
        config_path=Path(given["config"]) if given["config"] else None,
        flags={key: value for key, value in given.items() if key not in _PRESENTATION},
        assignments=given["set"] or (),
        also_known=also_known,
    )


def show_report(context: typer.Context, report: Report[Any], render: Renderer) -> int:
    """Print the report as JSON or draw it; warnings go to stderr. Returns the exit code."""
    from tlvcli.cli.console import warn

    if not context.params["quiet"]:
        for warning in report.warnings:
            warn(warning)
    if context.params["json"]:
        sys.stdout.write(report.to_json())
    else:
        render(report, context.params["verbose"])
    sys.stdout.flush()
    return 0
