"""From parsed flags to a pipeline's report on the screen: the same steps for every command."""

from __future__ import annotations

import sys
from collections.abc import Callable, Container, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from pydantic import BaseModel

    from tlvcli.core.report import Report

    Renderer = Callable[[Report[Any], bool], None]


def read_config(context: typer.Context, model: type[BaseModel], also_known: Iterable[str] = ()) -> Any:
    """Merge defaults < --config < flags < --set and validate the whole at once."""
    from tlvcli.cli.usage import find_example
    from tlvcli.core.config import parse_config
    from tlvcli.core.errors import TlvError

    given = context.params
    if _copies_report(given, model.model_fields):
        from tlvcli.io.atomic import refuse_existing
        from tlvcli.pipelines.outputs import refuse_inputs

        named = (given.get(name) or () for name in ("checkpoint", "against", "data", "images"))
        inputs = [Path(path) for value in named for path in ([value] if isinstance(value, str) else value)]
        refuse_inputs([Path(given["report"])], inputs)  # before the work, not after it
        refuse_existing(Path(given["report"]), force=bool(given["force"]))
    try:
        return parse_config(model, read_given(context, model), also_known=also_known)
    except TlvError as error:
        example = find_example(context.command)
        if "is missing" not in error.message or example is None:
            raise
        raise TlvError(error.error_id, error.message, f"as in: {example}") from error


def read_given(context: typer.Context, model: type[BaseModel]) -> dict[str, Any]:
    """Return what --config, flags and --set say, neither checked nor completed."""
    from tlvcli.pipelines.settings import given_settings

    given = context.params
    return given_settings(
        config_path=Path(given["config"]) if given["config"] else None,
        flags=_flags(given, model),
        assignments=given["set"] or (),
    )


def show_report(context: typer.Context, report: Report[Any], render: Renderer, *, warned: bool = False) -> int:
    """Print the report as JSON or draw it; warnings and gates go to stderr. Returns the exit code.

    Of several processes the first one speaks for all. Where the command has `warned` as it went, it does not again.
    """
    from tlvcli.cli.console import refuse, warn
    from tlvcli.core.processes import find_processes

    failed = [gate for gate in report.gates if not gate.met]
    if not find_processes().is_first:
        return 1 if failed else 0
    given = context.params
    if _copies_report(given, report.config):
        from tlvcli.io.reports import write_report

        write_report(report, Path(given["report"]), force=bool(given["force"]))
    if not (given["quiet"] or warned):
        for warning in report.warnings:
            warn(warning)
    if given["json"]:
        sys.stdout.write(report.to_json())
    else:
        render(report, given["verbose"])
    sys.stdout.flush()
    for gate in failed:
        refuse(f"{gate.flag}: {gate.message}")
    return 1 if failed else 0


def _flags(given: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """Return the flags that are settings; a repeatable one that was not given comes from typer empty, not as None."""
    return {key: value for key, value in given.items() if key in model.model_fields and value not in ([], ())}


def _copies_report(given: Mapping[str, Any], settings: Container[str]) -> bool:
    """Return whether --report asks for a copy; a pipeline with a setting of that name writes it itself."""
    return bool(given.get("report")) and "report" not in settings
