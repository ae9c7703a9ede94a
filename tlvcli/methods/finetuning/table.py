"""Fine-tuning strategies by name; importable without torch, functions are loaded when they run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tlvcli.core.errors import TlvError, did_you_mean
from tlvcli.methods.loading import load

if TYPE_CHECKING:
    from tlvcli.core.config import Config
    from tlvcli.methods.finetuning.plan import FinetunePlan


@dataclass(frozen=True)
class Strategy:
    """One way to fine-tune; `function` and `options` are import paths `module:name`.

    `lr` is the peak learning rate unless another is asked for, that of the head where it has one of its own; `parts`
    says whether it takes one for the head, the high layers and the low ones.
    """

    name: str
    function: str
    options: str
    summary: str
    reference: str
    lr: float
    parts: bool = False

    def load_function(self) -> Callable[..., FinetunePlan]:
        """Return the function that makes the plan."""
        function: Callable[..., FinetunePlan] = load(self.function)
        return function

    def load_options(self) -> type[Config]:
        """Return the configuration class of the strategy's choices."""
        options: type[Config] = load(self.options)
        return options


STRATEGIES = (
    Strategy(
        name="full",
        function="tlvcli.methods.finetuning.full:full",
        options="tlvcli.methods.finetuning.options:FullOptions",
        summary="all weights train at one rate, a fresh head faster",
        reference="the usual recipe",
        lr=3e-4,
    ),
    Strategy(
        name="two-rate",
        function="tlvcli.methods.finetuning.two_rate:two_rate",
        options="tlvcli.methods.finetuning.options:TwoRateOptions",
        summary="the backbone at a fraction of the head's rate",
        reference="Yosinski et al. 2014: How transferable are features in deep neural networks?",
        lr=3e-3,
    ),
    Strategy(
        name="linear-probe",
        function="tlvcli.methods.finetuning.linear_probe:linear_probe",
        options="tlvcli.methods.finetuning.options:LinearProbeOptions",
        summary="only the head trains; the backbone is frozen, statistics and dropout too",
        reference="Donahue et al. 2014: DeCAF",
        lr=3e-3,
    ),
    Strategy(
        name="lp-ft",
        function="tlvcli.methods.finetuning.probe_then_tune:probe_then_tune",
        options="tlvcli.methods.finetuning.options:ProbeThenTuneOptions",
        summary="a linear probe first, then everything at a small rate",
        reference="Kumar et al. 2022: Fine-Tuning can Distort Pretrained Features",
        lr=3e-3,
    ),
    Strategy(
        name="layer-decay",
        function="tlvcli.methods.finetuning.layer_decay:layer_decay",
        options="tlvcli.methods.finetuning.options:LayerDecayOptions",
        summary="the rate falls by a factor from each unit to the one before it",
        reference="Clark et al. 2020: ELECTRA; Bao et al. 2022: BEiT",
        lr=3e-3,
    ),
    Strategy(
        name="non-binary",
        function="tlvcli.methods.finetuning.non_binary:non_binary",
        options="tlvcli.methods.finetuning.options:NonBinaryOptions",
        summary="the last layers start afresh; head, high and low layers have rates of their own",
        reference="arXiv 2107.08585: Rethinking Binary Hyperparameters for Deep Transfer Learning",
        lr=3e-3,
        parts=True,
    ),
)


def find_strategy(name: str) -> Strategy:
    """Return the strategy called `name`, or raise `strategy-unknown`."""
    for strategy in STRATEGIES:
        if strategy.name == name:
            return strategy
    raise TlvError(
        "strategy-unknown",
        f"no fine-tuning strategy is called {name}",
        did_you_mean(name, [strategy.name for strategy in STRATEGIES]),
    )
