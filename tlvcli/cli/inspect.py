"""`tlv inspect`: what a checkpoint is and holds."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tlvcli.cli import inspect_options as i
from tlvcli.cli import options as o


def inspect(
    context: typer.Context,
    checkpoint: o.Checkpoint = None,
    key: o.Key = None,
    layers: i.Layers = None,
    depth: i.Depth = None,
    sort: i.Sort = "order",
    markdown: i.Markdown = False,
    plots: i.Plots = None,
    stats: i.Stats = None,
    fail_on: i.FailOn = None,
    verify: i.Verify = None,
    summary: i.Summary = None,
    arch: o.Arch = None,
    input_size: i.InputSize = None,
    against: i.Against = None,
    against_key: i.AgainstKey = None,
    exit_code: i.ExitCode = None,
    atol: i.Atol = None,
    rtol: i.Rtol = None,
    offline: o.Offline = None,
    report: o.ReportFile = None,
    force: o.Force = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show every tensor and every finding.")] = False,
    debug: o.Debug = False,
    config: o.ConfigFile = None,
    set: o.Assignments = None,
) -> int:
    """Say what CHECKPOINT is and holds: architecture, layers, history; on request values, cost and differences.

    Example: tlv inspect model.safetensors --stats --fail-on nan
    """
    from tlvcli.cli.render_inspect import View, render
    from tlvcli.cli.running import read_config, show_report
    from tlvcli.pipelines.inspect import InspectConfig, refuse_failure, run

    view = View(depth=depth, sort=sort, markdown=markdown, verbose=verbose)
    result: Any = run(read_config(context, InspectConfig))
    code = show_report(context, result, lambda report, _: render(report, view))
    refuse_failure(result)
    return code
