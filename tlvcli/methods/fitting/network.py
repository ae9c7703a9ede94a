"""One side of a fit: layers with weights in the order of the forward pass, and where their values are complete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import torch
from torch import Tensor

from tlvcli.core.channels import ChannelGroups
from tlvcli.core.graph import ModelGraph


@dataclass(frozen=True)
class End:
    """Where a layer's values are complete: behind its normalisation, and behind the addition they enter, if any.

    `activation` is the one right behind that, `epsilon` that of the normalisation.
    """

    layer: str
    norm: str | None
    is_added: bool
    activation: str | None
    epsilon: float | None

    @property
    def last(self) -> str:
        """The module whose output they are, or enter the addition as."""
        return self.norm or self.layer


@dataclass(frozen=True, eq=False)
class Network:
    """Channels, layers with weights, kernel sizes by layer, and the activation behind additions by what enters them."""

    groups: ChannelGroups
    order: tuple[str, ...]
    kernels: Mapping[str, tuple[int, ...]]
    added: Mapping[str, str | None]

    def written(self, layer: str) -> Tensor:
        """Return the channels [out] that a layer writes."""
        axis = self.groups.axes[weight_of(layer)][0]
        assert axis is not None
        return axis

    def read(self, layer: str) -> Tensor:
        """Return the channels [in] that a layer reads, group after group."""
        axis = self.groups.axes[weight_of(layer)][1]
        assert axis is not None
        return axis.flatten()

    def is_grouped(self, layer: str) -> bool:
        """Return whether outputs of a layer do not read all of its inputs."""
        axis = self.groups.axes[weight_of(layer)][1]
        return axis is not None and axis.dim() == 2

    def num_inputs(self, layer: str) -> int:
        """Return the number of weights of one output."""
        axis = self.groups.axes[weight_of(layer)][1]
        assert axis is not None
        return axis.shape[-1] * prod(self.kernels[layer])

    def end(self, layer: str) -> End:
        """Return where the layer's values are complete."""
        sites = self.groups.sites
        norm = next((name for name, s in sites.items() if s.operation == "batch-norm" and s.reads == layer), None)
        last = norm or layer
        is_added = last in self.added
        activation = self.added[last] if is_added else sites[last].before
        return End(layer, norm, is_added, activation, sites[last].epsilon)


def weight_of(layer: str) -> str:
    """Return the name of the layer's weight."""
    return f"{layer}.weight".lstrip(".")


def network_of(graph: ModelGraph) -> Network:
    """Return one side of a fit; the graph must know the way of its channels."""
    assert graph.channels is not None
    groups = graph.channels()
    shapes = {layer.name: layer.leading.shape for layer in graph.of_kind("conv2d", "depthwise-conv2d", "linear")}
    order = tuple(name for name in groups.sites if name in shapes and None not in groups.axes[weight_of(name)][:2])
    network = Network(groups, order, {name: shapes[name][2:] for name in order}, {})
    added: dict[str, str | None] = {}
    for addition in groups.additions:
        layers = [[writer.rpartition(".")[0] for writer in term.writers][:1] for term in addition.terms]
        for (own,), others in ((own, others) for own, others in (layers, layers[::-1]) if own):
            if not _is_read_before(own, others, network):
                added[own] = addition.before
    return replace(network, added=added)


def _is_read_before(name: str, others: Sequence[str], network: Network) -> bool:
    """Return whether layers on the way to the other term read what enters the addition: it is complete before."""
    sites = list(network.groups.sites)
    if not others or name not in sites or others[0] not in sites:
        return False
    between = [layer for layer in network.order if sites.index(name) < sites.index(layer) <= sites.index(others[0])]
    site = network.groups.sites[name]
    layer = site.reads if site.operation == "batch-norm" else name
    if layer is None or layer not in network.kernels:
        return False
    written = network.written(layer)
    return any(bool(torch.isin(network.read(reader), written).any()) for reader in between)
