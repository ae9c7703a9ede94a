"""`tlv train`: fine-tune a checkpoint on labelled images."""

from __future__ import annotations

from typing import Any

import typer

from tlvcli.cli import options as o
from tlvcli.cli import train_options as t


def train(
    context: typer.Context,
    checkpoint: o.Checkpoint = None,
    data: o.Data = None,
    out: t.RunFolder = None,
    epochs: t.Epochs = None,
    batch_size: t.BatchSize = None,
    image_size: o.ImageSize = None,
    dry_run: t.DryRun = None,
    arch: o.Arch = None,
    key: o.Key = None,
    download: o.Download = None,
    data_seed: o.DataSeed = None,
    strategy: t.Strategy = None,
    head: t.Head = None,
    backbone_lr_scale: t.BackboneLrScale = None,
    probe_epochs: t.ProbeEpochs = None,
    layer_decay: t.LayerDecay = None,
    new_layers: t.NewLayers = None,
    num_lowlrs: t.NumLowlrs = None,
    regularizer: t.Regularizer = None,
    l2sp: t.L2sp = None,
    mask: t.Mask = None,
    mask_scale: t.MaskScale = None,
    lr: t.Lr = None,
    optimizer: t.Optimizer = None,
    weight_decay: t.WeightDecay = None,
    schedule: t.Schedule = None,
    warmup_epochs: t.WarmupEpochs = None,
    decay_epochs: t.DecayEpochs = None,
    decay_rate: t.DecayRate = None,
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
    """Fine-tune CHECKPOINT on DATA; RUN_DIR gets the best and the last checkpoint.

    Example: tlv train start.safetensors --data photos --out run --strategy two-rate
    """
    from tlvcli.cli.progress import shown_progress
    from tlvcli.cli.render_train import render
    from tlvcli.cli.running import read_config, show_report
    from tlvcli.pipelines.train import run
    from tlvcli.pipelines.train_config import TrainConfig

    settings = read_config(context, TrainConfig)
    with shown_progress(quiet=quiet) as progress:
        result: Any = run(settings, progress=progress)
    return show_report(context, result, render)
