"""The flag list is frozen: a new flag, or another default, is a decision, and this file records it."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from tlvcli.cli.app import app
from tlvcli.cli.options import complete_architecture
from tlvcli.pipelines.analysis.config import AnalyzeStatsConfig
from tlvcli.pipelines.convert import ConvertConfig
from tlvcli.pipelines.eval import EvalConfig
from tlvcli.pipelines.inspect import InspectConfig
from tlvcli.pipelines.training.config import TrainConfig
from tlvcli.pipelines.transfer import TransferConfig

LOOK = {"depth", "sort", "markdown"}
SPEAKING = {"json", "quiet", "verbose", "debug", "config", "set"}
DATA = {"data", "image_size", "arch", "key", "download", "data_seed", "device", "precision", "workers"}
FLAGS = {
    "inspect": {
        *("checkpoint", "key", "layers", "plots", "stats", "fail_on", "verify", "summary", "arch", "input_size"),
        *("against", "against_key", "exit_code", "atol", "rtol", "offline", "report", "force"),
        *LOOK,
    },
    "transfer": {
        *("source", "target_arch", "out", "method", "num_classes", "in_chans", "target_checkpoint", "dtype", "key"),
        *("source_arch", "allow_nan", "dry_run", "save_plan", "plan", "only", "skip", "min_coverage", "shard_size"),
        *("seed", "offline", "force", "report"),
    },
    "analyze-stats": {
        *("checkpoint", "source", "target", "against", "data", "score", "weights"),
        *("statistic", "select", "threshold", "fraction", "alpha", "splits", "max_shift", "mask"),
        *("layers", "at", "csv", "plots", "html", "batch_size", "skip_corrupt", "against_arch"),
        *("seed", "offline", "report", "force", "sort"),
        *DATA - {"precision"},
    },
    "train": {
        *("checkpoint", "out", "epochs", "lr", "batch_size", "dry_run", "seed", "offline", "report", "force", *DATA),
        *("strategy", "head", "backbone_lr_scale", "probe_epochs", "layer_decay", "new_layers", "num_lowlrs"),
        *("regularizer", "l2sp", "mask", "mask_scale"),
        *("optimizer", "weight_decay", "schedule", "warmup_epochs", "decay_epochs", "decay_rate", "milestones"),
        *("recipe", "label_smoothing", "class_weights", "ema", "clip_norm", "accumulate", "patience", "best_by"),
        *("augment", "mixup", "cutmix", "erasing", "balanced", "shuffle", "crossover", "crossover_p"),
        *("recommended_rates", "feature_cache", "checkpoint_every", "resume", "compile", "sync_bn"),
        "tensorboard",
    },
    "eval": {"checkpoint", "batch_size", "seed", "offline", "report", "force", *DATA},
    "convert": {
        *("checkpoint", "out", "dtype", "key", "ema", "arch", "shard_size"),
        *("dry_run", "offline", "report", "force"),
    },
}
CONFIGS = {
    "inspect": InspectConfig,
    "transfer": TransferConfig,
    "analyze-stats": AnalyzeStatsConfig,
    "train": TrainConfig,
    "eval": EvalConfig,
    "convert": ConvertConfig,
}


def _parameters(command: str) -> dict[str, Any]:
    group: Any = typer.main.get_command(app)
    return {parameter.name: parameter for parameter in group.commands[command].params if parameter.name != "help"}


def test_the_commands() -> None:
    group: Any = typer.main.get_command(app)
    assert list(group.commands) == ["inspect", "transfer", "analyze-stats", "train", "eval", "convert"]


@pytest.mark.parametrize("command", list(FLAGS))
def test_the_flags(command: str) -> None:
    assert set(_parameters(command)) == FLAGS[command] | SPEAKING


@pytest.mark.parametrize("command", list(FLAGS))
def test_every_flag_has_a_key_and_shows_its_default(command: str) -> None:
    fields = CONFIGS[command].model_fields
    for name, parameter in _parameters(command).items():
        if name in SPEAKING | LOOK | {"resume"} or (name in ("report", "force") and name not in fields):
            continue  # how the command speaks, where a copy of the report goes, or where all settings come from
        assert name in fields, name
        shown, default = parameter.show_default, fields[name].default
        if isinstance(default, (int, float, str)) and not isinstance(default, bool):
            assert shown == str(default), name
        if isinstance(shown, str) and shown.replace(".", "").isdecimal():
            assert float(shown) == default, name


def test_architectures_are_completed_without_torch() -> None:
    assert complete_architecture("resnet1") == ["resnet101", "resnet152", "resnet18"]
    assert complete_architecture("vgg16") == ["vgg16", "vgg16_bn"]
