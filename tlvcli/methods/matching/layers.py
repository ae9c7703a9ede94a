"""From the layers of a graph to what a matching compares, and from its pairs to matches with their reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Literal

from tlvcli.core.graph import Layer, LayerKind, ModelGraph
from tlvcli.core.plan import LayerMatch
from tlvcli.methods.matching.items import Item, blocks, flat, layer_form, tree_of_names
from tlvcli.methods.matching.score import shape_score

Groups = Sequence[tuple[LayerKind, ...]]

_KIND_WORDS: dict[LayerKind, str] = {
    "conv1d": "1-D convolution",
    "conv2d": "convolution",
    "conv3d": "3-D convolution",
    "depthwise-conv2d": "depthwise convolution",
    "conv-transpose": "transposed convolution",
    "linear": "linear layer",
    "batch-norm": "batch normalisation",
    "norm": "layer or group normalisation",
}
_MANY = 10  # target layers that one source layer feeds before it is worth a word


def standardise(graph: ModelGraph, groups: Groups, how: Literal["blocks", "flat"]) -> tuple[Item, ...]:
    """Return the layers of the groups as items, in order; blocks come from the dotted names.

    Layers that are not matched, parameterless ones too, leave no trace: a checkpoint gives the same blocks whether
    its architecture is known or not.
    """
    forms = {layer.name: form for layer in graph.layers if (form := layer_form(layer, groups))}
    tree = tree_of_names(list(forms))
    cut = blocks if how == "blocks" else flat
    return cut(tree, lambda module: forms.get(module.name)) if forms else ()


def matches_of(
    pairs: Iterable[tuple[Item, Item]], source: ModelGraph, target: ModelGraph, groups: Groups, *, otherwise: str
) -> tuple[LayerMatch, ...]:
    """Return a match for every target layer of the groups, in the target's order; `otherwise` is why one has none."""
    sources = {layer.name: layer for layer in source.layers}
    fed = {wanted.name: (sources[have.name], shape_score(have.form, wanted.form)) for have, wanted in pairs}
    why_not = {kind: otherwise if source.of_kind(*kinds) else lack_of(kinds) for kinds in groups for kind in kinds}
    matches = []
    for layer in target.of_kind(*why_not):
        have, score = fed.get(layer.name, (None, 0.0))
        matches.append(LayerMatch(layer, have, f"shape score {score:.2g}" if have else why_not[layer.kind]))
    return tuple(matches)


def lack_of(kinds: Sequence[LayerKind]) -> str:
    """Return the reason why no layer of these kinds is fed."""
    return f"the source has no {describe_kinds(kinds)}"


def describe_kinds(kinds: Sequence[LayerKind]) -> str:
    """Return kinds of layers in words: `batch normalisation`."""
    return " or ".join(_KIND_WORDS.get(kind, kind) for kind in kinds)


def warn_of_repeats(matches: Iterable[LayerMatch]) -> tuple[str, ...]:
    """Return a warning where one source layer feeds so many target layers that their coverage misleads."""
    num_fed = Counter(match.source.name for match in matches if match.source)
    often = [(name, count) for name, count in num_fed.most_common() if count > _MANY]
    if not often:
        return ()
    name, count = often[0]
    others = f", and {len(often) - 1} more source layers over {_MANY} each" if often[1:] else ""
    return (f"{name} feeds {count} target layers{others}: coverage counts its values in each of them",)


def followers(graph: ModelGraph) -> dict[str, Layer]:
    """Return by a layer's name the normalisation that comes next to it in the same module, as wide as its outputs."""
    found = {}
    for layer, after in pairwise(graph.layers):
        weight = layer.find("weight")
        is_beside = layer.name.rpartition(".")[0] == after.name.rpartition(".")[0]
        if weight is None or len(weight.shape) < 2 or not is_beside or after.kind not in ("batch-norm", "norm"):
            continue
        outputs = weight.shape[1 if layer.kind == "conv-transpose" else 0]
        if after.tensors[0].shape == (outputs,):
            found[layer.name] = after
    return found
