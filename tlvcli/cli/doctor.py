"""`tlv doctor`: whether this installation can do its work."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tlvcli.cli import options as o


def doctor(
    context: typer.Context,
    online: Annotated[bool | None, typer.Option("--online", help="Try whether weights could be fetched.")] = None,
    timeout: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", show_default="120.0", help="How long packages may take to be imported."),
    ] = None,
    report: o.ReportFile = None,
    force: o.Force = None,
    json: o.Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show only warnings and errors.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show where each package lies.")] = False,
    debug: o.Debug = False,
    config: o.ConfigFile = None,
    set: o.Assignments = None,
) -> int:
    """Look at versions, packages, devices, folders and terminal; say what is wrong, and what to do.

    Example: tlv doctor --online
    """
    from tlvcli.cli.render_doctor import render
    from tlvcli.cli.running import read_config, show_report
    from tlvcli.pipelines.doctor import DoctorConfig, run

    result: Any = run(read_config(context, DoctorConfig))
    code = show_report(context, result, lambda report, verbose: render(report, verbose=verbose, quiet=quiet))
    return code or (1 if result.result.errors else 0)
