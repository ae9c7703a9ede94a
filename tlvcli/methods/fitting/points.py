"""Where a target layer is fitted, and to what: read from the plan's index maps and the way of the channels.

A layer is fitted to what the next layer of the plan shall read. If that one comes from the source's fourth block, all
that the source computes before its fourth block is to be there, however few layers of the target have to do it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import torch
from torch import Tensor

from tlvcli.core.graph import LayerKind, ModelGraph
from tlvcli.core.plan import OWN, PlanRow, TransferPlan
from tlvcli.methods.fitting.network import End, Network, network_of, weight_of

_KINDS: tuple[LayerKind, ...] = ("conv1d", "conv2d", "conv3d", "depthwise-conv2d", "conv-transpose", "linear")
# Of one output: equations are as large as this squared, 0.5 GiB.
_MOST_INPUTS = 8192
_NO_SOURCE = "no layer of the source feeds it"


@dataclass(frozen=True, eq=False)
class Feed:
    """A place in the source, and which of its channels [n] are which outputs [n] of the target's layer."""

    end: End
    outputs: Tensor
    channels: Tensor


@dataclass(frozen=True, eq=False)
class FitPoint:
    """A target layer and what it is fitted to.

    `is_head` says that it gives the classes. `reader` is the next layer, where nothing else reads what this one writes;
    `hidden` are then all layers of the source whose channels may stand in its place.
    """

    end: End
    feeds: tuple[Feed, ...]
    is_head: bool = False
    reader: str | None = None
    hidden: tuple[End, ...] = ()

    @property
    def layer(self) -> str:
        """The target layer."""
        return self.end.layer

    @property
    def sources(self) -> tuple[str, ...]:
        """The source layers it is fitted to."""
        return tuple(end.layer for end in self.hidden or (feed.end for feed in self.feeds))


@dataclass(frozen=True)
class Skipped:
    """A target layer that is not fitted, and why."""

    layer: str
    reason: str


@dataclass(frozen=True, eq=False)
class _Fed:
    """Source channels [out] of a target layer's outputs, or OWN, and the source layer its row starts from.

    `is_layer` says that it stands for that layer alone, not for a block.
    """

    layer: str
    channels: Tensor
    is_layer: bool


def find_points(plan: TransferPlan, target: ModelGraph, source: ModelGraph) -> tuple[FitPoint | Skipped, ...]:
    """Return for every target layer with weights, in the order of the forward pass, how it is fitted or why not.

    Both graphs must know the way of their channels.
    """
    own, have = network_of(target), network_of(source)
    fed = _all_fed(plan, own, have)
    points: list[FitPoint | Skipped] = []
    for layer in own.order:
        feeds = _feeds(layer, fed, own, have) if layer in fed else ()
        if own.num_inputs(layer) > _MOST_INPUTS:
            points.append(Skipped(layer, f"its {own.num_inputs(layer):,} inputs are too many for equations in memory"))
            continue
        is_head = bool(torch.isin(own.written(layer), own.groups.outputs).any())
        points.append(FitPoint(own.end(layer), feeds, is_head) if feeds else Skipped(layer, _NO_SOURCE))
    known = {point.layer: point for point in points if isinstance(point, FitPoint)}
    points = [_with_hidden(p, known, fed, own, have) if isinstance(p, FitPoint) else p for p in points]
    unseen = [layer.name for layer in target.of_kind(*_KINDS) if layer.name not in own.order]
    return (*points, *(Skipped(name, "its place in the forward pass is not known") for name in unseen))


def _all_fed(plan: TransferPlan, own: Network, have: Network) -> dict[str, _Fed]:
    """Return what feeds each target layer that the plan gives anything; a Dirac kernel hands on what it reads."""
    rows = {row.tensor: row for row in plan.rows}
    origin = torch.full((own.groups.num_channels,), OWN)
    found: dict[str, _Fed] = {}
    last = None
    for layer in own.order:
        row = rows[weight_of(layer)]
        if row.operation == "dirac" and last is not None:
            now: _Fed | None = _Fed(last, _handed_on(row, plan, origin[own.read(layer)]), is_layer=False)
        else:
            now = _fed(row, plan, have)
        if now is None or not bool((now.channels >= 0).any()):
            continue
        found[layer], last = now, now.layer
        origin[own.written(layer)] = now.channels
    return found


def _fed(row: PlanRow, plan: TransferPlan, have: Network) -> _Fed | None:
    """Return the source channels that a row's outputs take; None where it does not say so for whole outputs."""
    layer = row.source.rpartition(".")[0] if row.source is not None else ""
    if row.operation == "collapse":
        # A depthwise convolution of a collapsed block writes no channels of the source.
        return None if row.parameters.get("part") == "depthwise" else _fed_by_block(row, plan, have)
    outputs = plan.array(row, "outputs" if row.operation == "kernels" else "index0")
    if row.operation not in ("copy", "gather", "kernels") or layer not in have.order:
        return None
    written = have.written(layer)
    if outputs is None:
        return None if row.operation == "kernels" else _Fed(layer, written, is_layer=True)
    channels = written[outputs.clamp_min(0)].where(outputs >= 0, torch.tensor(OWN))
    return _Fed(layer, channels, is_layer=True)


def _fed_by_block(row: PlanRow, plan: TransferPlan, have: Network) -> _Fed | None:
    """Return the channels of a collapsed block: `outputs` are numbers that its layers write."""
    outputs = plan.array(row, "outputs")
    assert outputs is not None
    channels = torch.full_like(outputs, OWN)
    layers = [step.partition("@")[0].rpartition(".")[0] for step in str(row.parameters["steps"]).split()]
    for number, layer in enumerate(layers):
        writes = plan.array(row, f"writes{number}")
        assert writes is not None
        same = outputs[:, None] == writes
        channels = have.written(layer)[same.int().argmax(1)].where(same.any(1), channels)
    return _Fed(layers[0], channels, is_layer=False)


def _handed_on(row: PlanRow, plan: TransferPlan, read: Tensor) -> Tensor:
    outputs, inputs = plan.array(row, "outputs"), plan.array(row, "inputs")
    assert outputs is not None
    assert inputs is not None
    if inputs.dim() > 1:  # grouped: every output names what it reads
        return torch.full_like(outputs, OWN)
    same = (outputs[:, None] == inputs) & (outputs >= 0)[:, None]
    return read[same.int().argmax(1)].where(same.any(1), torch.tensor(OWN))


def _until(layer: str, fed: dict[str, _Fed], own: Network, have: Network) -> int:
    """Return the place in the source of what the next reader of a target layer comes from."""
    behind = own.order[own.order.index(layer) + 1 :]
    written = own.written(layer)
    for reader in behind:
        if reader in fed and bool(torch.isin(own.read(reader), written).any()):
            place = have.order.index(fed[reader].layer)
            if place > have.order.index(fed[layer].layer):
                return place
    return len(have.order)


def _feeds(layer: str, fed: dict[str, _Fed], own: Network, have: Network) -> tuple[Feed, ...]:
    """Return the last source layers that write the channels before they are to be read."""
    wanted = fed[layer].channels
    feeds: list[Feed] = []
    for name in reversed(have.order[: _until(layer, fed, own, have)]):
        same = (wanted[:, None] == have.written(name)) & (wanted >= 0)[:, None]
        outputs = same.any(1).nonzero().flatten()
        if len(outputs):
            feeds.append(Feed(have.end(name), outputs, same[outputs].int().argmax(1)))
            wanted = wanted.index_fill(0, outputs, OWN)
    return tuple(feeds)


def _with_hidden(
    point: FitPoint, known: dict[str, FitPoint], fed: dict[str, _Fed], own: Network, have: Network
) -> FitPoint:
    """Add the source layers whose channels may stand in the place of hidden ones: those that one layer reads."""
    written = own.written(point.layer)
    readers = [layer for layer in own.order if bool(torch.isin(own.read(layer), written).any())]
    if len(readers) != 1 or point.end.is_added or point.end.activation != "relu" or own.is_grouped(point.layer):
        return point
    (reader,) = readers
    # Right behind it, and past nothing but the activation.
    is_next = own.groups.sites[reader].after == "relu" and torch.equal(own.read(reader), written)
    if not is_next or own.is_grouped(reader) or reader not in known or not fed[point.layer].is_layer:
        return point
    stream = {feed.end.layer for feed in known[reader].feeds}
    taken = torch.cat([have.written(name) for name in stream])
    first = have.order.index(fed[point.layer].layer)
    site, kernel = have.groups.sites[have.order[first]], have.kernels[have.order[first]]
    hidden = tuple(
        have.end(name)
        for name in have.order[first : _until(reader, fed, own, have)]
        if have.groups.sites[name].size == site.size
        and have.kernels[name] == kernel
        and have.end(name).activation == "relu"
        and not have.is_grouped(name)
        and not bool(torch.isin(have.written(name), taken).any())
    )
    num_candidates = sum(len(have.written(end.layer)) for end in hidden)
    has_choice = len(written) <= num_candidates <= _MOST_INPUTS // prod(own.kernels[reader])
    return replace(point, reader=reader, hidden=hidden) if has_choice else point
