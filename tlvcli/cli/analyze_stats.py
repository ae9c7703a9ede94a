"""`tlv analyze-stats`: which layers and kernels still fit the data, and which network fits best."""

from __future__ import annotations

from typing import Any

import typer

from tlvcli.cli import analyze_options as a
from tlvcli.cli import options as o


def analyze_stats(
    context: typer.Context,
    checkpoint: o.Checkpoint = None,
    source: a.Source = None,
    target: a.Target = None,
    against: a.Against = None,
    data: a.Data = None,
    score: a.Score = None,
    weights: a.Weights = None,
    statistic: a.Statistic = None,
    select: a.Select = None,
    threshold: a.Threshold = None,
    fraction: a.Fraction = None,
    alpha: a.Alpha = None,
    splits: a.Splits = None,
    max_shift: a.MaxShift = None,
    mask: a.Mask = None,
    layers: a.Layers = None,
    at: a.At = None,
    sort: a.Sort = "layer",
    csv: a.Csv = None,
    plots: a.Plots = None,
    html: a.Html = None,
    batch_size: o.ForwardBatch = None,
    image_size: o.ImageSize = None,
    skip_corrupt: o.SkipCorrupt = None,
    arch: o.Arch = None,
    against_arch: a.AgainstArch = None,
    key: o.Key = None,
    download: o.Download = None,
    data_seed: o.DataSeed = None,
    seed: o.Seed = None,
    device: o.Device = None,
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
    """Say which layers and kernels of CHECKPOINT still fit, on two sets of images, against others, or alone.

    Example: tlv analyze-stats vgg16@DEFAULT --source imagenet-sample --target photos@train --mask mask.safetensors
    """
    from tlvcli.cli.progress import shown_progress
    from tlvcli.cli.render_analyze import render
    from tlvcli.cli.running import read_config, show_report
    from tlvcli.pipelines.analysis.config import AnalyzeStatsConfig
    from tlvcli.pipelines.analyze_stats import run

    settings = read_config(context, AnalyzeStatsConfig)
    with shown_progress(quiet=quiet) as progress:
        result: Any = run(settings, progress=progress)
    return show_report(context, result, lambda report, verbose: render(report, sort=sort, verbose=verbose))
