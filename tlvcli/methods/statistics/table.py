"""Distances between two sets of activations by name; importable without torch, functions are loaded when they run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tlvcli.core.errors import TlvError, did_you_mean
from tlvcli.methods.loading import load

if TYPE_CHECKING:
    from torch import Tensor

    from tlvcli.core.config import Config
    from tlvcli.methods.statistics.summary import LayerSummary

Part = Literal[
    "log-moments",
    "moments",
    "histogram",
    "image-means",
    "covariance",
    "spatial-gram",
    "channel-gram",
    "samples",
]


@dataclass(frozen=True)
class Statistic:
    """One distance between the activations of two data sets; `function` and `options` are import paths `module:name`.

    Args:
        name: on the command line.
        function: `(source, target, options) -> Tensor`, [C] or [] by `unit`.
        options: its choices.
        parts: what a `LayerStream` must keep for it.
        unit: one number per kernel (output channel), or one per layer.
        summary: one line.
        reference: where it is from.
        null_power: without a difference, it shrinks as (1/n + 1/m) to this power, n and m the numbers of images;
            `measured` where no power holds for few images; None where it has no null, so that
            only a threshold or a fraction decides.
        larger_is_shifted: False for `seed-kl`, which is a similarity.
        needs_images: of each data set, at least.
    """

    name: str
    function: str
    parts: frozenset[Part]
    unit: Literal["kernel", "layer"]
    summary: str
    reference: str
    null_power: float | Literal["measured"] | None
    options: str = "tlvcli.methods.statistics.options:PlainOptions"
    larger_is_shifted: bool = True
    needs_images: int = 1

    def load_function(self) -> Callable[[LayerSummary, LayerSummary, Config], Tensor]:
        """Return the function that computes the distance."""
        function: Callable[[LayerSummary, LayerSummary, Config], Tensor] = load(self.function)
        return function

    def load_options(self) -> type[Config]:
        """Return the configuration class of its choices."""
        options: type[Config] = load(self.options)
        return options

    def distance(self, source: LayerSummary, target: LayerSummary, options: Config | None = None) -> Tensor:
        """Return the distance: [C] for unit kernel, [] for unit layer; float64 on the CPU, finite."""
        return self.load_function()(source, target, options or self.load_options()())


def _statistic(name: str, function: str, parts: Iterable[Part], **fields: Any) -> Statistic:
    return Statistic(name, f"tlvcli.methods.statistics.{function}", frozenset(parts), **fields)


STATISTICS = (
    _statistic(
        "lognormal-kl",
        "lognormal:lognormal_kl",
        ["log-moments"],
        options="tlvcli.methods.statistics.options:DivergenceOptions",
        unit="kernel",
        summary="divergence of two normal fits to log(|a| + 1e-4), closed form",
        reference="Becker's log-normal model; Kullback and Leibler 1951",
        null_power=1.0,
    ),
    _statistic(
        "histogram-kl",
        "binned:histogram_kl",
        ["histogram"],
        options="tlvcli.methods.statistics.options:DivergenceOptions",
        unit="kernel",
        summary="divergence of the histograms of log|a| on common edges",
        reference="Kullback and Leibler 1951",
        null_power="measured",
    ),
    _statistic(
        "js",
        "binned:jensen_shannon",
        ["histogram"],
        unit="kernel",
        summary="Jensen-Shannon divergence of the histograms of log|a|, at most ln 2",
        reference="Lin 1991: Divergence measures based on the Shannon entropy",
        null_power="measured",
    ),
    _statistic(
        "ks",
        "binned:kolmogorov_smirnov",
        ["histogram"],
        unit="kernel",
        summary="largest difference of the binned distribution functions of |a|",
        reference="Kolmogorov 1933; Smirnov 1948",
        null_power=0.5,
    ),
    _statistic(
        "wasserstein",
        "binned:wasserstein",
        ["histogram"],
        unit="kernel",
        summary="how far mass moves along log|a|, in nats",
        reference="Vaserstein 1969, first order",
        null_power=0.5,
    ),
    _statistic(
        "welch-t",
        "welch:welch_t",
        ["image-means"],
        unit="kernel",
        summary="|t| of the images' channel means, with p and Cohen's d",
        reference="Welch 1947; Cohen 1988",
        null_power=0.0,
        needs_images=2,
    ),
    _statistic(
        "gram",
        "binned:gram",
        ["spatial-gram"],
        unit="kernel",
        summary="Jensen-Shannon divergence of the entries of each map's Gram matrix, which says little about where",
        reference="Becker's Gram variant, on common edges",
        null_power="measured",
    ),
    _statistic(
        "frechet",
        "frechet:frechet",
        ["covariance"],
        unit="layer",
        summary="Fréchet distance of the images' channel means, squared",
        reference="Dowson and Landau 1982; Heusel et al. 2017",
        null_power="measured",
        needs_images=2,
    ),
    _statistic(
        "channel-gram",
        "channel_gram:channel_gram",
        ["channel-gram"],
        unit="layer",
        summary="relative distance of the mean Gram matrices over channels",
        reference="Gatys et al. 2016: Image Style Transfer; Becker's per-layer mode",
        null_power=None,
    ),
    _statistic(
        "seed-kl",
        "seed_kl:seed_kl",
        ["samples"],
        unit="kernel",
        summary="Becker's similarity 1/KL as published; general between the threshold (0.1) and 1",
        reference="YuvalBecker/Statistics-pretrained at 68eb306",
        null_power=None,
        larger_is_shifted=False,
    ),
)


def find_statistic(name: str) -> Statistic:
    """Return the statistic called `name`, or raise `statistic-unknown`."""
    for statistic in STATISTICS:
        if statistic.name == name:
            return statistic
    raise TlvError(
        "statistic-unknown",
        f"no statistic is called {name}",
        did_you_mean(name, [statistic.name for statistic in STATISTICS]),
    )


def parts_of(statistics: Iterable[Statistic]) -> frozenset[Part]:
    """Return what a `LayerStream` must keep for all of `statistics`."""
    return frozenset(part for statistic in statistics for part in statistic.parts)
