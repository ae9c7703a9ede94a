"""`tlv compare`: a grid of sources, methods, strategies and seeds, and the table that says which is best."""

from __future__ import annotations

from typing import Any

import typer

from tlvcli.cli import compare_options as c
from tlvcli.cli import options as o


def compare(
    context: typer.Context,
    source: c.Source = None,
    target_arch: c.TargetArch = None,
    data: o.Data = None,
    out: c.Out = None,
    methods: c.Methods = None,
    strategies: c.Strategies = None,
    grid: c.Grid = None,
    seeds: c.Seeds = None,
    baseline: c.Baseline = None,
    test_data: c.TestData = None,
    dry_run: c.DryRun = None,
    recipe: c.Recipe = None,
    epochs: c.Epochs = None,
    batch_size: c.BatchSize = None,
    lr: c.Lr = None,
    image_size: o.ImageSize = None,
    source_arch: c.SourceArch = None,
    download: o.Download = None,
    data_seed: o.DataSeed = None,
    jobs: c.Jobs = None,
    keep: c.Keep = None,
    seed: c.FirstSeed = None,
    device: c.Device = None,
    offline: o.Offline = None,
    report: o.ReportFile = None,
    force: c.Force = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
    debug: o.Debug = False,
    config: o.ConfigFile = None,
    set: o.Assignments = None,
) -> int:
    """Find out which source, method and strategy suit DATA; a second start does what is left.

    Example: tlv compare --source vgg16.pth --target-arch resnet18 --data photos --out cmp --strategies full,two-rate
    """
    from tlvcli.cli.compare_progress import shown_grid
    from tlvcli.cli.render_compare import render
    from tlvcli.cli.running import read_config, show_report
    from tlvcli.pipelines.compare import run
    from tlvcli.pipelines.comparing.config import CompareConfig
    from tlvcli.pipelines.comparing.grid_keys import set_keys

    settings = read_config(context, CompareConfig, set_keys())
    with shown_grid(quiet=quiet) as watcher:
        result: Any = run(settings, watcher=watcher)
    code = show_report(context, result, render)
    return 1 if result.result.num_failed else code
