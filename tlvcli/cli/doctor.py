"""`tlv doctor`: whether this installation can do its work."""

from __future__ import annotations

from contextlib import nullcontext
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
    from tlvcli.cli.console import messages
    from tlvcli.cli.render_doctor import render
    from tlvcli.cli.running import read_config, show_report
    from tlvcli.pipelines.doctor import DoctorConfig, run

    settings = read_config(context, DoctorConfig)
    # It is gone when the answers come; what is no terminal never sees it.
    with nullcontext() if quiet or json else messages().status("importing torch and the other packages"):
        result: Any = run(settings)
    code = show_report(context, result, lambda report, verbose: render(report, verbose=verbose, quiet=quiet))
    return code or (1 if result.result.errors else 0)
