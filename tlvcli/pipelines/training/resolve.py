"""How the settings that user and recipe left open are decided: by the strategy, the optimiser, the schedule."""

from __future__ import annotations

from typing import Any

from tlvcli.core.config import Config, parse_config
from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Preprocessing
from tlvcli.data.augmentation import policy_steps
from tlvcli.methods.finetuning.table import STRATEGIES, Strategy
from tlvcli.pipelines.training.config import TrainConfig
from tlvcli.pipelines.training.optimizers import DEFAULTS
from tlvcli.pipelines.training.schedules import default_milestones, default_warmup

_ANY_IMAGE = Preprocessing(image_size=224, resize_size=256, mean=(0.5,) * 3, std=(0.5,) * 3)


def resolve(config: TrainConfig, strategy: Strategy) -> tuple[TrainConfig, Config]:
    """Return the settings with everything decided, and among them the choices of the strategy by themselves.

    Raises:
        TlvError: `option-not-taken`, `augmentation-unknown`, `extra-missing`, or `config-invalid` for a value that
            the strategy refuses.
    """
    options = parse_config(strategy.load_options(), _strategy_choices(config, strategy))
    policy_steps(config.augment, _ANY_IMAGE)  # for what it refuses: a misspelt word need not wait for the data
    defaults = DEFAULTS[config.optimizer]
    decided: dict[str, Any] = {"lr": strategy.lr * defaults.lr_scale, "weight_decay": defaults.weight_decay}
    decided |= options.model_dump()
    decided |= _schedule_choices(config, is_one_phase="probe_epochs" not in decided)
    if config.regularizer == "l2-sp" or config.l2sp is not None:
        decided |= {"regularizer": "l2-sp", "l2sp": 0.01, "weight_decay": 0.0}
    if config.mask is not None:
        decided["mask_scale"] = 0.0
    if config.crossover is not None:
        decided["crossover_p"] = 0.1
    open_ones = {key: value for key, value in decided.items() if getattr(config, key) is None}
    return config.model_copy(update=open_ones), options


def _schedule_choices(config: TrainConfig, *, is_one_phase: bool) -> dict[str, Any]:
    """Return what the schedule decides; shares of a phase's epochs only where there is one phase."""
    decided: dict[str, Any] = {}
    if is_one_phase or config.schedule != "one-cycle":
        decided["warmup_epochs"] = default_warmup(config.schedule, config.epochs)
    if config.schedule in ("step", "multistep"):
        decided["decay_rate"] = 0.1
    if config.schedule == "step":
        decided["decay_epochs"] = 30.0
    if config.schedule == "multistep" and is_one_phase:
        decided["milestones"] = default_milestones(config.epochs)
    return decided


def _strategy_choices(config: TrainConfig, strategy: Strategy) -> dict[str, Any]:
    takers: dict[str, list[str]] = {}
    for entry in STRATEGIES:
        for key in entry.load_options().model_fields:
            takers.setdefault(key, []).append(entry.name)
    given = {key: value for key in takers if (value := getattr(config, key)) is not None}
    for key in given:
        if strategy.name not in takers[key]:
            raise TlvError(
                "option-not-taken",
                f"strategy {strategy.name} does not take {key}",
                f"leave it out, or take --strategy {' or '.join(takers[key])}",
            )
    return given
