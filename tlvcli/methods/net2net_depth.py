"""The deeper half of Net2Net: new layers that change nothing, as long as nobody trains them.

A new residual branch ends in zeros. A new layer in a chain is the identity: a Dirac kernel, a batch normalisation that
undoes itself, an activation that does nothing the second time. What a new layer adds to a concatenation meets zeros in
whatever reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

import torch

from tlvcli.core.channels import ChannelGroups, Site
from tlvcli.core.errors import TlvError
from tlvcli.core.graph import Layer
from tlvcli.core.plan import Mapped, PlanRow, keep_row
from tlvcli.methods.channel_map import NONE

if TYPE_CHECKING:
    from torch import Tensor

_IDEMPOTENT = (None, "relu", "relu6")  # once or twice, it is the same


@dataclass(frozen=True)
class Deepening:
    """Rows for every tensor of the new layers, and the source channel of every target channel, theirs included."""

    parts: tuple[Mapped, ...]
    origin: Tensor


def plan_new_layers(
    layers: Sequence[Layer], groups: ChannelGroups, matched: Mapping[str, str], origin: Tensor
) -> Deepening:
    """Plan the target's layers that have no source; `matched` are the tensors that have one.

    Raises:
        TlvError: `method-not-applicable`, naming a layer that cannot be made to change nothing.
    """
    new = {layer.name: layer for layer in layers}
    silent = _silent_writers(new, groups)
    identities = _identities(new, groups, matched, origin)
    for name in groups.sites:
        if name in identities:
            writes, reads = _ends(name, groups)
            origin = origin.index_copy(0, writes, origin[reads])
    quiet = _quiet_modules(layers, groups, matched, silent, origin)
    parts = []
    for layer in layers:
        if layer.name in identities:
            parts.append(_identity(layer, groups.sites[layer.name]))
        elif any(tensor.name in silent for tensor in layer.tensors):
            parts.append(_silence(layer, silent))
        elif layer.kind == "batch-norm" and _is_fed(layer, groups, origin):
            parts.append(_undone_normalisation(layer, groups.sites[layer.name].epsilon))
        elif _largest_new_module(layer.name, matched) in quiet:
            parts.append(_free(layer))
        else:
            raise not_applicable(f"the new layer {layer.name} would change what the network computes")
    return Deepening(tuple(parts), origin)


def not_applicable(why: str) -> TlvError:
    """Return the error of a pair of networks between which no function-preserving transfer is known."""
    return TlvError("method-not-applicable", f"net2net: {why}", "--method tlv maps between any two networks")


def _silent_writers(new: Mapping[str, Layer], groups: ChannelGroups) -> frozenset[str]:
    """Return the tensors to set to zero, so that the new branches add nothing."""
    silent: set[str] = set()
    for addition in groups.additions:
        for term, other in (addition.terms, addition.terms[::-1]):
            owners = {writer.rpartition(".")[0] for writer in term.writers}
            if not owners or not owners <= set(new):
                continue
            if addition.before is None or (addition.before in _IDEMPOTENT and addition.before == other.after):
                silent.update(term.writers)
                break
    return frozenset(silent)


def _identities(
    new: Mapping[str, Layer], groups: ChannelGroups, matched: Mapping[str, str], origin: Tensor
) -> frozenset[str]:
    """Return the new layers that have to pass on what they read, from the last to the first."""
    read_by_matched = [
        axis.flatten() for name in matched if len(groups.axes[name]) > 1 and (axis := groups.axes[name][1]) is not None
    ]
    needed = torch.zeros(groups.num_channels, dtype=torch.bool)
    needed[torch.cat([groups.outputs, *read_by_matched])] = True
    needed &= origin == NONE
    chosen: set[str] = set()
    for name, site in reversed(list(groups.sites.items())):
        if name not in new or not _can_pass_on(new[name], site, groups):
            continue
        writes, reads = _ends(name, groups)
        if bool(needed[writes].any()):
            chosen.add(name)
            needed[reads] |= origin[reads] == NONE
    return frozenset(chosen)


def _can_pass_on(layer: Layer, site: Site, groups: ChannelGroups) -> bool:
    weight = layer.find("weight")
    if weight is None or site.operation not in ("convolution", "linear") or not site.keeps_size:
        return False
    writes, reads = _ends(layer.name, groups)
    if len(writes) != len(reads) or not all(size % 2 for size in weight.shape[2:]):
        return False
    behind = next((other for other in groups.sites.values() if other.reads == layer.name), None)
    activation = behind.before if behind is not None and behind.operation == "batch-norm" else site.before
    return activation is None or (activation in _IDEMPOTENT and activation == site.after)


def _ends(name: str, groups: ChannelGroups) -> tuple[Tensor, Tensor]:
    """Return the channels [out] that a layer writes and those [in] that it reads, group after group."""
    writes, reads = groups.axes[f"{name}.weight"][:2]
    assert writes is not None
    assert reads is not None
    return writes, reads.flatten()


def _is_fed(layer: Layer, groups: ChannelGroups, origin: Tensor) -> bool:
    axis = groups.axes[layer.tensors[0].name][0]
    return axis is not None and bool((origin[axis] != NONE).all())


def _quiet_modules(
    layers: Sequence[Layer],
    groups: ChannelGroups,
    matched: Mapping[str, str],
    silent: frozenset[str],
    origin: Tensor,
) -> frozenset[str]:
    """Return the new modules that end in zeros, or write only channels that whatever has a source does not read."""
    silenced, writing, loud = set(), set(), set()
    for layer in layers:
        module = _largest_new_module(layer.name, matched)
        for tensor in layer.tensors:
            axis = groups.axes[tensor.name][0] if len(tensor.shape) > 1 else None
            if tensor.name in silent:
                silenced.add(module)
            if axis is not None:
                writing.add(module)
                loud |= {module} if bool((origin[axis] != NONE).any()) else set()
    return frozenset(silenced | (writing - loud))


def _largest_new_module(layer: str, matched: Mapping[str, str]) -> str:
    """Return the outermost module around a layer in which nothing has a source."""
    parts = layer.split(".")
    for length in range(1, len(parts)):
        root = ".".join(parts[:length])
        if not any(name.startswith(f"{root}.") for name in matched):
            return root
    return layer


def _identity(layer: Layer, site: Site) -> Mapped:
    """Return a Dirac kernel in the middle, or an identity matrix, and no bias."""
    rows, arrays = [], {}
    for tensor in layer.tensors:
        rows.append(_constant(tensor.name, tensor.shape, 0.0, "new layer that passes on what it reads"))
        if len(tensor.shape) > 1:
            outputs = torch.arange(tensor.shape[0])
            middle = [torch.full_like(outputs, size // 2) for size in tensor.shape[2:]]
            arrays[f"{tensor.name}:ones"] = torch.stack([outputs, outputs % tensor.shape[1], *middle], 1)
    return Mapped(tuple(rows), arrays)


def _undone_normalisation(layer: Layer, epsilon: float | None) -> Mapped:
    """Return a batch normalisation of mean 0 and variance 1 whose scale undoes epsilon."""
    assert epsilon is not None
    values = {"weight": sqrt(1.0 + epsilon), "bias": 0.0, "running_mean": 0.0, "running_var": 1.0}
    reason = "new batch normalisation that passes on what it reads, in evaluation mode"
    return Mapped(
        tuple(
            _constant(tensor.name, tensor.shape, values[tensor.suffix], reason)
            if tensor.suffix in values
            else keep_row(tensor.name, tensor.shape, "new layer: its own counter")
            for tensor in layer.tensors
        )
    )


def _silence(layer: Layer, silent: frozenset[str]) -> Mapped:
    return Mapped(
        tuple(
            _constant(tensor.name, tensor.shape, 0.0, "zero: the new residual branch adds nothing yet")
            if tensor.name in silent
            else keep_row(tensor.name, tensor.shape, "new residual branch that adds nothing yet: its own start")
            for tensor in layer.tensors
        )
    )


def _free(layer: Layer) -> Mapped:
    reason = "new layer that nothing listens to yet: its own initialisation"
    return Mapped(tuple(keep_row(tensor.name, tensor.shape, reason) for tensor in layer.tensors))


def _constant(name: str, shape: tuple[int, ...], value: float, reason: str) -> PlanRow:
    return PlanRow(
        tensor=name,
        shape=shape,
        source=None,
        operation="constant",
        parameters={"value": value},
        transferred=0.0,
        reason=reason,
    )
