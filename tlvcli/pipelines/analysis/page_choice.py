"""Which layers and kernels a page shows closely."""

from __future__ import annotations

from collections.abc import Sequence

from tlvcli.pipelines.analysis.page_looks import KernelSample
from tlvcli.pipelines.analysis.result import LayerStatistic, ShiftedLayer

_SPREAD = 4
# The most general kernel is often one that never fires, which shows nothing; so some are candidates.
_CANDIDATES = 8
_FIRES = 0.01


def choose_shown(layers: Sequence[ShiftedLayer]) -> list[str]:
    """Return up to six layers: four from the input to the output, the most and the least shifted."""
    last = len(layers) - 1
    places = {round(number * last / (_SPREAD - 1)) for number in range(_SPREAD)}
    ranked = sorted(range(len(layers)), key=lambda place: layers[place].share)
    return [layers[place].name for place in sorted(places | {ranked[0], ranked[-1]})]


def candidates(statistic: LayerStatistic, *, larger_is_shifted: bool) -> list[int]:
    """Return the most shifted kernel, then the most general ones, from the most general on."""
    assert statistic.kernels is not None
    order = sorted(range(len(statistic.kernels)), key=statistic.kernels.__getitem__, reverse=not larger_is_shifted)
    # Nothing but silence on both sets is exactly alike.
    general = [kernel for kernel in order[:-1] if statistic.kernels[kernel] != 0] or order[:-1]
    return [order[-1], *general[:_CANDIDATES]]


def choose_general(source: KernelSample, target: KernelSample) -> int | None:
    """Return the place among the candidates of the first general one that fires on both sets, else the first.

    None where the layer has one kernel.
    """
    places = range(1, len(source.zeros))
    firing = (place for place in places if max(source.zeros[place], target.zeros[place]) < 1 - _FIRES)
    return next(firing, 1 if places else None)
