"""`tlv inspect`: what is in a checkpoint."""

from __future__ import annotations

from typing import Any

import typer

from tlvcli.cli import options as o


def inspect(
    context: typer.Context,
    checkpoint: o.Checkpoint = None,
    key: o.Key = None,
    offline: o.Offline = None,
    report: o.ReportFile = None,
    force: o.Force = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
    debug: o.Debug = False,
    config: o.ConfigFile = None,
    set: o.Assignments = None,
) -> int:
    """Show the tensors of CHECKPOINT by layer, its totals and its provenance.

    Example: tlv inspect model.safetensors
    """
    from tlvcli.cli.render_inspect import render
    from tlvcli.cli.running import read_config, show_report
    from tlvcli.pipelines.inspect import InspectConfig, run

    result: Any = run(read_config(context, InspectConfig))
    return show_report(context, result, render)
