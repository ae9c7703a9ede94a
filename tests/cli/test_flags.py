"""The flag list is frozen: a new flag, or another default, is a decision, and this file records it."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from tlvcli.cli.app import app
from tlvcli.pipelines.analysis.config import AnalyzeStatsConfig
from tlvcli.pipelines.comparing.config import CompareConfig
from tlvcli.pipelines.convert import ConvertConfig
from tlvcli.pipelines.doctor import DoctorConfig
from tlvcli.pipelines.eval import EvalConfig
from tlvcli.pipelines.inspect import InspectConfig
from tlvcli.pipelines.predicting.config import PredictConfig
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
        *("rescale", "fit", "calibrate", "image_size", "data_seed", "download", "device", "workers"),
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
    "eval": {
        *("checkpoint", "batch_size", "seed", "offline", "report", "force", *DATA),
        *("against", "against_arch", "min_accuracy", "gate", "predictions", "worst", "html", "bootstrap"),
        *("class_map", "resize", "mean", "std", "interpolation", "skip_corrupt"),
    },
    "predict": {
        *("checkpoint", "images", "null", "top", "csv", "jsonl", "features", "batch_size"),
        *("resize", "mean", "std", "interpolation", "seed", "offline", "report", "force"),
        *DATA - {"data", "download", "data_seed"},
    },
    "doctor": {"online", "timeout", "report", "force"},
    "convert": {
        *("checkpoint", "out", "dtype", "key", "ema", "arch", "shard_size", "fail_on"),
        *("dry_run", "offline", "report", "force"),
    },
    "compare": {
        *("source", "target_arch", "data", "out", "methods", "strategies", "grid", "seeds", "baseline", "test_data"),
        *("dry_run", "recipe", "epochs", "batch_size", "lr", "image_size", "source_arch", "download", "data_seed"),
        *("jobs", "keep", "seed", "device", "offline", "report", "force"),
    },
}
CONFIGS = {
    "inspect": InspectConfig,
    "transfer": TransferConfig,
    "analyze-stats": AnalyzeStatsConfig,
    "train": TrainConfig,
    "eval": EvalConfig,
    "predict": PredictConfig,
    "doctor": DoctorConfig,
    "convert": ConvertConfig,
    "compare": CompareConfig,
}


def _parameters(command: str) -> dict[str, Any]:
    group: Any = typer.main.get_command(app)
    return {parameter.name: parameter for parameter in group.commands[command].params if parameter.name != "help"}


def test_the_commands() -> None:
    group: Any = typer.main.get_command(app)
    assert list(group.commands) == [
        "inspect",
        "transfer",
        "analyze-stats",
        "train",
        "eval",
        "predict",
        "convert",
        "compare",
        "doctor",
    ]


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
