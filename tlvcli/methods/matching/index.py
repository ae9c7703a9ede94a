"""Index matching: the i-th of n target layers takes the source layer at the same relative depth.

From TLV (the code of "Transfer Learning using Variance-based mapping and Feature crossover").
"""

from __future__ import annotations

from tlvcli.core.graph import ModelGraph
from tlvcli.core.plan import LayerMatch
from tlvcli.methods.matching.layers import Groups, lack_of
from tlvcli.methods.options import NoOptions


def sources_for_targets(num_source: int, num_target: int) -> tuple[int, ...]:
    """Return for each of `num_target` layers the index of its source among `num_source` layers.

    Half-way cases go to the even index. Sources repeat where the target is deeper and are skipped where it is
    shallower.
    """
    return tuple(min(round(index * num_source / num_target), num_source - 1) for index in range(num_target))


def match_by_index(
    source: ModelGraph, target: ModelGraph, *, groups: Groups, options: NoOptions
) -> tuple[LayerMatch, ...]:
    """Match layers of the same group of kinds by relative depth; every target layer of a group gets a row."""
    matches: list[LayerMatch] = []
    for kinds in groups:
        candidates, layers = source.of_kind(*kinds), target.of_kind(*kinds)
        if not candidates:
            matches += [LayerMatch(layer, None, lack_of(kinds)) for layer in layers]
            continue
        if not layers:
            continue
        for position, index in enumerate(sources_for_targets(len(candidates), len(layers))):
            reason = f"index {position + 1} of {len(layers)} <- {index + 1} of {len(candidates)}"
            matches.append(LayerMatch(layers[position], candidates[index], reason))
    return tuple(matches)
