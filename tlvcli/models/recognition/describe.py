"""What names and shapes say of a network that nobody knows: counts, stages, width, stem and head, and a guess."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from pydantic import Field

from tlvcli.core.errors import printable
from tlvcli.core.graph import Layer, ModelGraph, TensorSpec
from tlvcli.core.report import ReportPart
from tlvcli.models.graph import graph_of_tensors

_HEAD_WORDS = frozenset(
    {"fc", "head", "heads", "classifier", "classif", "linear", "last_linear", "logits", "output", "out", "predictions"}
)
# One of these in a block is one attention layer: fused, or the first of three.
_ATTENTION = re.compile(r"(?:^|\.)(?:qkv|in_proj_weight|to_qkv|c_attn|q_proj|query|to_q|wq)(?:\.weight)?$")
_MOST_INPUT_CHANNELS = 16
# A container with this share of the convolutions is a wrapper around the stages, not one of them.
_WRAPPER_SHARE = 0.9
# More modules than this in a row are blocks rather than stages, and too many to name.
_MOST_STAGES = 6
_MOST_PATCH_CONVOLUTIONS = 4


class Stage(ReportPart):
    """A module with several convolutions, one of several at its level."""

    module: str
    convolutions: int
    channels: int = Field(description="outputs of its last convolution")
    blocks: int = Field(description="modules in it that hold two convolutions or more")


class Attention(ReportPart):
    """What the attention layers of a transformer have in common."""

    layers: int
    width: int = Field(description="inputs of an attention layer")


class LastLayer(ReportPart):
    """The layer that looks like a classifier's last."""

    module: str
    kind: str = Field(description="linear or convolution")
    inputs: int
    num_classes: int


class Description(ReportPart):
    """Facts of a network by names and shapes alone, and a guess at its kind."""

    sentence: str = Field(description="all of this in words")
    convolutions: int = Field(description="of any dimension, depthwise ones among them")
    depthwise_convolutions: int
    kernels: dict[str, int] = Field(description="number of convolutions of each kernel size, the most frequent first")
    linear_layers: int = Field(description="two-dimensional weights; embeddings look the same")
    batch_norms: int
    other_norms: int
    in_chans: int | None = Field(description="inputs of the first convolution; null where there is none")
    stages: list[Stage]
    attention: Attention | None
    widths: list[int] = Field(description="inputs and outputs of the layers, where all are linear and fit together")
    head: LastLayer | None
    guess: str | None = Field(description="the kind of network that this looks like")


def describe(specs: Sequence[TensorSpec]) -> Description:
    """Return what the names and shapes of tensors, in the order of the network, say of it; needs no torch."""
    graph = graph_of_tensors(specs)
    convolutions = _convolutions(graph)
    linears = graph.of_kind("linear")
    depthwise = graph.of_kind("depthwise-conv2d")
    kernels = Counter("×".join(map(str, _weight(layer).shape[2:])) for layer in convolutions)
    facts = Description(
        sentence="",
        convolutions=len(convolutions),
        depthwise_convolutions=len(depthwise),
        kernels=dict(kernels.most_common()),
        linear_layers=len(linears),
        batch_norms=len(graph.of_kind("batch-norm")),
        other_norms=len(graph.of_kind("norm")),
        in_chans=_input_channels(convolutions),
        stages=_stages(convolutions),
        attention=_attention(specs),
        widths=[] if convolutions else _widths(linears),
        head=_head(graph),
        guess=None,
    )
    facts = facts.model_copy(update={"guess": _guess(facts)})
    return facts.model_copy(update={"sentence": printable(_sentence(facts))})


def _convolutions(graph: ModelGraph) -> tuple[Layer, ...]:
    return graph.of_kind("conv1d", "conv2d", "conv3d", "depthwise-conv2d")


def _weight(layer: Layer) -> TensorSpec:
    weight = layer.find("weight")
    assert weight is not None  # its shape is what made it this kind
    return weight


def _input_channels(convolutions: Iterable[Layer]) -> int | None:
    """Return the fewest inputs of any convolution but depthwise ones: names without an order do not tell the first."""
    inputs = [_weight(layer).shape[1] for layer in convolutions if layer.kind != "depthwise-conv2d"]
    fewest = min(inputs, default=None)
    return fewest if fewest is not None and fewest <= _MOST_INPUT_CHANNELS else None


def _stages(convolutions: Sequence[Layer]) -> list[Stage]:
    prefix = ""
    while True:
        modules = _children(convolutions, prefix)
        wrapper = next(
            (name for name, inner in modules.items() if len(inner) >= _WRAPPER_SHARE * len(convolutions)), ""
        )
        if not wrapper or all(layer.name == wrapper for layer in modules[wrapper]):
            break
        prefix = f"{wrapper}."
    stages = [
        Stage(module=name, convolutions=len(inner), channels=_weight(inner[-1]).shape[0], blocks=_num_blocks(inner))
        for name, inner in modules.items()
        if len(inner) > 1
    ]
    return stages if 1 < len(stages) <= _MOST_STAGES else []


def _children(layers: Iterable[Layer], prefix: str) -> Mapping[str, list[Layer]]:
    """Return the layers below each module that is one level below `prefix`."""
    children: dict[str, list[Layer]] = {}
    for layer in layers:
        if layer.name.startswith(prefix):
            name = prefix + layer.name[len(prefix) :].partition(".")[0]
            children.setdefault(name, []).append(layer)
    return children


def _num_blocks(convolutions: Iterable[Layer]) -> int:
    parents = Counter(layer.name.rpartition(".")[0] for layer in convolutions)
    return sum(number > 1 for number in parents.values())


def _attention(specs: Iterable[TensorSpec]) -> Attention | None:
    found = [spec for spec in specs if len(spec.shape) == 2 and _ATTENTION.search(spec.name)]
    return Attention(layers=len(found), width=found[0].shape[1]) if found else None


def _widths(linears: Sequence[Layer]) -> list[int]:
    shapes = [_weight(layer).shape for layer in linears]
    fits = all(before[0] == after[1] for before, after in pairwise(shapes))
    return [shapes[0][1], *(shape[0] for shape in shapes)] if shapes and fits else []


def _head(graph: ModelGraph) -> LastLayer | None:
    """Return the last layer that is named as a head, else the very last if it is linear."""
    weighty = [layer for layer in graph.layers if layer.kind in ("linear", "conv2d")]
    named = [layer for layer in weighty if _HEAD_WORDS.intersection(layer.name.split("."))]
    last = named[-1:] or [layer for layer in weighty[-1:] if layer.kind == "linear"]
    # The hidden layers of a transformer's blocks have such names too.
    if not last or (last[0] is not weighty[-1] and re.search(r"\.\d+\.", last[0].name)):
        return None
    shape = _weight(last[0]).shape
    kind = "linear" if last[0].kind == "linear" else "convolution"
    return LastLayer(module=last[0].name, kind=kind, inputs=shape[1], num_classes=shape[0])


def _guess(facts: Description) -> str | None:
    if facts.attention is not None:
        return _guess_with_attention(facts, facts.attention)
    if facts.widths:
        return "a multilayer perceptron"
    if facts.depthwise_convolutions:
        return "a network of depthwise separable convolutions"
    if facts.convolutions <= facts.linear_layers:
        return None
    widens = all(before.channels < after.channels for before, after in pairwise(facts.stages))
    if facts.stages and widens and all(stage.blocks for stage in facts.stages):
        depth = facts.convolutions - facts.kernels.get("1×1", 0) + facts.linear_layers
        plain = f" of {depth} layers" if set(facts.kernels) == {"3×3"} else ""
        blocks = "+".join(str(stage.blocks) for stage in facts.stages)
        return f"a residual network{plain} ({blocks} blocks)"
    return "a convolutional network"


def _guess_with_attention(facts: Description, attention: Attention) -> str:
    if facts.convolutions > _MOST_PATCH_CONVOLUTIONS:
        return "a network of convolutions and attention"
    # A convolution that takes few channels cuts an image into patches.
    return f"a {'vision ' if facts.in_chans is not None else ''}transformer of {attention.layers} blocks"


def _sentence(facts: Description) -> str:
    parts = [_say_convolutions(facts)] if facts.convolutions else []
    if facts.attention is not None:
        parts.append(f"{_number(facts.attention.layers, 'attention layer')} of width {facts.attention.width}")
    if facts.widths:
        parts.append(f"{_number(facts.linear_layers, 'linear layer')} of widths {'-'.join(map(str, facts.widths))}")
    elif facts.linear_layers > 1 and facts.attention is None:
        parts.append(_number(facts.linear_layers, "linear layer"))
    if facts.head is not None:
        classes = _number(facts.head.num_classes, "class", "es")
        parts.append(f"{facts.head.kind} head `{facts.head.module}`, {classes}")
    if facts.in_chans is not None:
        parts.append(_number(facts.in_chans, "input channel"))
    if facts.guess is not None:
        parts.append(f"looks like {facts.guess}")
    return "; ".join(parts) or "neither convolutions nor linear layers"


def _say_convolutions(facts: Description) -> str:
    sizes = list(facts.kernels)
    words = f"{_number(facts.convolutions, 'convolution')} ({', '.join(sizes[:3])}{', …' if len(sizes) > 3 else ''})"
    if facts.stages:
        outside = facts.convolutions - sum(stage.convolutions for stage in facts.stages)
        names = ", ".join(stage.module for stage in facts.stages)
        channels = ", ".join(str(stage.channels) for stage in facts.stages)
        stem = "a stem and " if outside == 1 else ""
        words += f" in {stem}{len(facts.stages)} stages ({names}) of {channels} channels"
    return words + (", with batch norm" if facts.batch_norms else "")


def _number(number: int, noun: str, plural: str = "s") -> str:
    return f"{number} {noun}{plural if number != 1 else ''}"
