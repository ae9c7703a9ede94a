"""`tlv eval`: what a checkpoint is worth on labelled images."""

from __future__ import annotations

from typing import Any

import typer

from tlvcli.cli import eval_options as e
from tlvcli.cli import options as o


def evaluate(
    context: typer.Context,
    checkpoint: o.Checkpoint = None,
    data: o.Data = None,
    min_accuracy: e.MinAccuracy = None,
    gate: e.Gate = None,
    against: e.Against = None,
    against_arch: e.AgainstArch = None,
    predictions: e.Predictions = None,
    worst: e.Worst = None,
    html: e.Html = None,
    bootstrap: e.Bootstrap = None,
    class_map: e.ClassMap = None,
    batch_size: o.ForwardBatch = None,
    image_size: e.ImageSize = None,
    resize: e.Resize = None,
    mean: e.Mean = None,
    std: e.Std = None,
    interpolation: e.Interpolation = None,
    skip_corrupt: o.SkipCorrupt = None,
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
    """Measure what CHECKPOINT is worth on DATA: accuracy and its interval, per class, calibration, confusion.

    Example: tlv eval run/best.safetensors --data photos@test --gate 'per-class-recall>=0.5'
    """
    from tlvcli.cli.progress import shown_progress
    from tlvcli.cli.render_eval import render
    from tlvcli.cli.running import read_config, show_report
    from tlvcli.pipelines.eval import EvalConfig, run

    settings = read_config(context, EvalConfig)
    with shown_progress(quiet=quiet) as progress:
        result: Any = run(settings, progress=progress)
    return show_report(context, result, render)
