"""Across families: blocks of the source collapsed into single kernels of the target.

A block's layers run into one kernel, biases and activations aside. The first convolution of a target block that looks
at its surroundings carries it; the others pass on what they read. Channels go by positions in what the source block
writes: one map for each residual stream, the filters of largest variance of the last block that writes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from tlvcli.core.channels import ChannelGroups
from tlvcli.core.graph import ModelGraph, TensorSpec
from tlvcli.core.plan import Mapped, TransferPlan, assemble_plan
from tlvcli.core.tensors import TensorSource
from tlvcli.methods.channel_map import NONE
from tlvcli.methods.coherent.assign import choose
from tlvcli.methods.coherent.block_rows import BlockPlan, Places, outputs_of, plan_block
from tlvcli.methods.coherent.blocks import Block, find_blocks, weight_of, written
from tlvcli.methods.coherent.kernels import Composition, Start, collapse_row, composition_of, filter_variances
from tlvcli.methods.coherent.options import CoherentOptions
from tlvcli.methods.coherent.rates import even_rates
from tlvcli.methods.coherent.stages import match_blocks

_KEPT = "what no block of the source feeds: the architecture's own initialisation"


def plan_across(
    source: TensorSource,
    groups: tuple[ChannelGroups, ChannelGroups],
    target: Mapping[str, Tensor],
    target_graph: ModelGraph,
    *,
    options: CoherentOptions,
    seed: int,
) -> TransferPlan:
    """Plan every target tensor; `groups` are source's and target's, `target` the tensors that this one begins with."""
    source_groups, own = groups
    specs = {tensor.name: tensor for tensor in target_graph.tensors()}
    blocks, own_blocks = find_blocks(source_groups, _kernels(source.specs)), find_blocks(own, _kernels(specs.values()))
    if not blocks or not own_blocks:
        return assemble_plan(target_graph, (), reason=_KEPT)
    warnings: tuple[str, ...] = ()
    fed = match_blocks(blocks[1:], own_blocks[1:])
    attentive = [name for name, side in zip(("source", "target"), groups, strict=True) if "attention" in side.mixed]
    if attentive:
        warnings = (f"the {attentive[0]} attends: only the stem goes over to another family",)
        fed = [None] * len(fed)
    if options.stages is not None:
        stages = list(dict.fromkeys(block.stage for block in own_blocks[1:]))[: options.stages]
        fed = [have if block.stage in stages else None for have, block in zip(fed, own_blocks[1:], strict=True)]
    nowhere = torch.full((own.num_channels,), NONE)
    parts, places, rates = [Mapped((), {}, warnings)], Places(nowhere, nowhere), {}
    if options.stem == "centre":
        part, places = _plan_stem(source, groups, (blocks[0], own_blocks[0]), specs, places, options, seed)
        parts.append(part)
        rates = {own_blocks[0].layers[0]: options.stem_rate}
    compositions = [
        composition_of(have, source_groups, loop=not block.is_residual) if have else None
        for have, block in zip(fed, own_blocks[1:], strict=True)
    ]
    maps = _stream_maps(source, own, own_blocks[1:], compositions, options)
    for block, made in zip(own_blocks[1:], compositions, strict=True):
        if made is None and (block.is_residual or attentive or not bool((places.width[block.reads] > 0).any())):
            continue
        outputs = outputs_of(block, own)
        positions = _positions(maps.get(_key(outputs)), block, made, outputs, places)
        task = BlockPlan(block, own, specs, made, outputs, positions, options, seed)
        rows, places = plan_block(task, places)
        parts += rows
    plan = assemble_plan(target_graph, parts, reason=_KEPT)
    even = even_rates(plan.rows, target, own) if options.rates == "even" else {}
    return replace(plan, recommended_rates=even | rates)


def _kernels(specs: Iterable[TensorSpec]) -> dict[str, tuple[int, ...]]:
    """Return height and width of every weight; a linear layer looks at one pixel."""
    weights = (spec for spec in specs if spec.suffix == "weight" and len(spec.shape) > 1)
    return {spec.name.rpartition(".")[0]: spec.shape[2:] or (1, 1) for spec in weights}


def _key(outputs: Tensor) -> tuple[int, ...]:
    return tuple(outputs.tolist())


def _stream_maps(
    source: TensorSource,
    groups: ChannelGroups,
    blocks: Sequence[Block],
    compositions: Sequence[Composition | None],
    options: CoherentOptions,
) -> dict[tuple[int, ...], tuple[Tensor, int]]:
    """Return for each set of output channels positions and width in the last source block that feeds it."""
    last: dict[tuple[int, ...], Composition] = {}
    for block, made in zip(blocks, compositions, strict=True):
        if made is not None:
            last[_key(outputs_of(block, groups))] = made
    maps = {}
    for key, made in last.items():
        is_narrower = len(key) < len(made.outputs)
        scores = filter_variances(made, source) if is_narrower and options.channels == "variance" else None
        maps[key] = choose(len(made.outputs), len(key), scores), len(made.outputs)
    return maps


def _positions(
    known: tuple[Tensor, int] | None, block: Block, made: Composition | None, outputs: Tensor, places: Places
) -> Tensor:
    """Return the positions of a block's outputs: its stream's map, at the width of this source block."""
    if made is not None and known is not None:
        return known[0] * len(made.outputs) // known[1]
    before = places.position[block.reads]
    return before[choose(len(before), len(outputs), None)]


def _plan_stem(
    source: TensorSource,
    groups: tuple[ChannelGroups, ChannelGroups],
    stems: tuple[Block, Block],
    specs: Mapping[str, TensorSpec],
    places: Places,
    options: CoherentOptions,
    seed: int,
) -> tuple[Mapped, Places]:
    """Put the source's first kernels in the centre of the target's, each filter at the scale it starts with."""
    stem, own_stem = (replace(stem, layers=stem.layers[:1]) for stem in stems)
    made = composition_of(replace(stem, writes=written(stem.layers[0], groups[0])), groups[0], loop=True)
    tensor, outputs = specs[weight_of(own_stem.layers[0])], written(own_stem.layers[0], groups[1])
    num_source, num_own = len(made.outputs), len(outputs)
    is_narrower = num_own < num_source
    scores = filter_variances(made, source) if is_narrower and options.channels == "variance" else None
    positions = choose(num_source, num_own, scores)
    # A grey image stands for all colours at once.
    is_grey = len(own_stem.reads) == 1 < len(made.inputs)
    inputs = torch.arange(len(made.inputs)) if is_grey else choose(len(made.inputs), len(own_stem.reads), None)
    # Only copies need noise, and a stem that stands still keeps what it has.
    start = Start(options.noise if num_own > num_source else 0.0, seed, is_normalised=True)
    extra = {"scale": "filter", "fit": "resize"} | ({"colours": "sum"} if is_grey else {})
    row = collapse_row(tensor, made, positions, inputs, start, extra=extra)
    return row, places.put(outputs, positions, num_source)
