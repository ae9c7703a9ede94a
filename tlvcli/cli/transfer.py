"""`tlv transfer`: start another architecture from a checkpoint."""

from __future__ import annotations

from typing import Any

import typer

from tlvcli.cli import options as o
from tlvcli.cli import transfer_options as t


def transfer(
    context: typer.Context,
    source: t.Source = None,
    target_arch: t.TargetArch = None,
    out: t.Out = None,
    method: t.Method = None,
    num_classes: t.NumClasses = None,
    in_chans: t.InChans = None,
    source_arch: t.SourceArch = None,
    target_checkpoint: t.TargetCheckpoint = None,
    key: o.Key = None,
    allow_nan: t.AllowNan = None,
    dry_run: t.DryRun = None,
    save_plan: t.SavePlan = None,
    plan: t.Plan = None,
    only: t.Only = None,
    skip: t.Skip = None,
    rescale: t.Rescale = None,
    fit: t.Fit = None,
    calibrate: t.Calibrate = None,
    image_size: t.ImageSize = None,
    data_seed: t.DataSeed = None,
    download: t.Download = None,
    min_coverage: t.MinCoverage = None,
    seed: o.Seed = None,
    device: o.Device = None,
    workers: o.Workers = None,
    offline: o.Offline = None,
    dtype: t.Dtype = None,
    shard_size: t.ShardSize = None,
    force: o.Force = None,
    report: t.Report = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
    debug: o.Debug = False,
    config: o.ConfigFile = None,
    set: o.Assignments = None,
) -> int:
    """Start TARGET_ARCH from the weights in CHECKPOINT.

    Example: tlv transfer vgg16.pth resnet18 start.safetensors --num-classes 10
    """
    from tlvcli.cli.progress import shown_progress
    from tlvcli.cli.render_transfer import render
    from tlvcli.cli.running import read_config, show_report
    from tlvcli.pipelines.transfer import TransferConfig, config_keys, run

    settings = read_config(context, TransferConfig, config_keys())
    with shown_progress(quiet=quiet) as progress:
        result: Any = run(settings, progress=progress)
    return show_report(context, result, render)
