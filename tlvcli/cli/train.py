"""`tlv train`: fine-tune a checkpoint on labelled images."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tlvcli.cli import options as o


def train(
    context: typer.Context,
    checkpoint: o.Checkpoint = None,
    data: o.Data = None,
    out: Annotated[str | None, typer.Option(metavar="RUN_DIR", help="Folder that the run writes.")] = None,
    epochs: Annotated[int | None, typer.Option(show_default="10", help="Passes over the training images.")] = None,
    lr: Annotated[
        float | None, typer.Option(show_default="0.0003", help="Peak learning rate; a fresh head learns faster.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(show_default="32", help="Images per step.")] = None,
    image_size: o.ImageSize = None,
    arch: o.Arch = None,
    key: o.Key = None,
    download: o.Download = None,
    data_seed: o.DataSeed = None,
    seed: o.Seed = None,
    device: o.Device = None,
    precision: o.Precision = None,
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
    """Train all weights of CHECKPOINT on DATA; RUN_DIR gets the best and the last checkpoint.

    Example: tlv train start.safetensors --data photos --out run --epochs 10
    """
    from tlvcli.cli.progress import shown_progress
    from tlvcli.cli.render_train import render
    from tlvcli.cli.running import read_config, show_report
    from tlvcli.pipelines.train import TrainConfig, run

    settings = read_config(context, TrainConfig)
    with shown_progress(quiet=quiet) as progress:
        result: Any = run(settings, progress=progress)
    return show_report(context, result, render)
