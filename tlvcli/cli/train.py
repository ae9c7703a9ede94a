"""`tlv train`: fine-tune a checkpoint on labelled images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from tlvcli.cli import options as o
from tlvcli.cli import train_options as t
from tlvcli.cli import train_recipe_options as r


def train(
    context: typer.Context,
    checkpoint: o.Checkpoint = None,
    data: o.Data = None,
    out: t.RunFolder = None,
    resume: t.Resume = None,
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
    crossover: t.Crossover = None,
    crossover_p: t.CrossoverP = None,
    recommended_rates: t.RecommendedRates = None,
    recipe: r.Recipe = None,
    lr: r.Lr = None,
    optimizer: r.Optimizer = None,
    weight_decay: r.WeightDecay = None,
    schedule: r.Schedule = None,
    warmup_epochs: r.WarmupEpochs = None,
    decay_epochs: r.DecayEpochs = None,
    decay_rate: r.DecayRate = None,
    milestones: r.Milestones = None,
    label_smoothing: r.LabelSmoothing = None,
    class_weights: r.ClassWeights = None,
    ema: r.Ema = None,
    clip_norm: r.ClipNorm = None,
    accumulate: r.Accumulate = None,
    patience: r.Patience = None,
    best_by: r.BestBy = None,
    augment: r.Augment = None,
    mixup: r.Mixup = None,
    cutmix: r.Cutmix = None,
    erasing: r.Erasing = None,
    balanced: r.Balanced = None,
    shuffle: r.Shuffle = None,
    seed: o.Seed = None,
    device: o.Device = None,
    precision: o.Precision = None,
    workers: o.Workers = None,
    compile: t.Compile = None,
    sync_bn: t.SyncBn = None,
    feature_cache: t.FeatureCache = None,
    checkpoint_every: t.CheckpointEvery = None,
    tensorboard: t.Tensorboard = None,
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
    from tlvcli.cli.running import read_config, read_given, show_report
    from tlvcli.pipelines.train import run
    from tlvcli.pipelines.training.config import TrainConfig
    from tlvcli.pipelines.training.state import resumed_config

    if resume is None:
        settings = read_config(context, TrainConfig)
    else:
        settings = resumed_config(Path(resume), read_given(context, TrainConfig))
    with shown_progress(quiet=quiet) as progress:
        result: Any = run(settings, progress=progress, resume=resume is not None)
    return show_report(context, result, render, warned=True)
