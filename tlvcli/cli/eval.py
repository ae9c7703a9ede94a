"""`tlv eval`: what a checkpoint is worth on labelled images."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tlvcli.cli import options as o


def evaluate(
    context: typer.Context,
    checkpoint: o.Checkpoint = None,
    data: o.Data = None,
    batch_size: Annotated[int | None, typer.Option(show_default="64", help="Images per forward pass.")] = None,
    image_size: o.ImageSize = None,
    arch: o.Arch = None,
    key: o.Key = None,
    download: o.Download = None,
    data_seed: o.DataSeed = None,
    seed: o.Seed = None,
    device: o.Device = None,
    precision: o.ExactPrecision = None,
    workers: o.Workers = None,
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
    """Measure top-1, top-5, loss and images per second of CHECKPOINT on DATA.

    Example: tlv eval run/best.safetensors --data photos@test
    """
    from tlvcli.cli.progress import shown_progress
    from tlvcli.cli.render_eval import render
    from tlvcli.cli.running import read_config, show_report
    from tlvcli.pipelines.eval import EvalConfig, run

    settings = read_config(context, EvalConfig)
    with shown_progress(quiet=quiet) as progress:
        result: Any = run(settings, progress=progress)
    return show_report(context, result, render)
