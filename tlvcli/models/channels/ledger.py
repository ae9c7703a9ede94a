"""What a forward pass tells of channels: numbers for positions, and which of them turn out to be the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from tlvcli.core.channels import Addition, ChannelGroups, Site
from tlvcli.models.channels.values import smallest


@dataclass(frozen=True)
class Numbers:
    """A number of its own for every position of every dimension of every tensor, and for those of the image."""

    axes: Mapping[str, tuple[Tensor, ...]]
    image: Tensor
    total: int


def number_dimensions(shapes: Mapping[str, tuple[int, ...]]) -> Numbers:
    """Number the positions of all dimensions, and more than enough for the channels of an image."""
    next_number = 0
    axes: dict[str, tuple[Tensor, ...]] = {}
    for name, shape in shapes.items():
        dims = []
        for size in shape:
            dims.append(torch.arange(next_number, next_number + size))
            next_number += size
        axes[name] = tuple(dims)
    room = max((size for shape in shapes.values() for size in shape), default=1)
    return Numbers(axes, torch.arange(next_number, next_number + room), next_number + room)


@dataclass
class Ledger:
    """The book that a trace writes: equal positions, blocks, mixtures, layers and additions in order."""

    numbers: Numbers
    same: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    axes: dict[tuple[str, int], Tensor | None] = field(default_factory=dict)
    blocks: list[Tensor] = field(default_factory=list)
    mixed: dict[str, list[Tensor]] = field(default_factory=dict)
    outputs: list[Tensor] = field(default_factory=list)
    sites: dict[str, Site] = field(default_factory=dict)
    additions: list[Addition] = field(default_factory=list)
    num_image_channels: int = 0

    def link(self, first: Tensor, second: Tensor) -> None:
        """Note that positions are the same channels, one by one; NONE on either side says nothing."""
        shape = torch.broadcast_shapes(first.shape, second.shape)  # type: ignore[no-untyped-call]
        first, second = first.expand(shape).reshape(-1), second.expand(shape).reshape(-1)
        known = (first >= 0) & (second >= 0) & (first != second)
        if bool(known.any()):
            pairs = torch.unique(first[known] * self.numbers.total + second[known])
            self.same.append((pairs // self.numbers.total, pairs % self.numbers.total))

    def mix(self, reason: str, channels: Tensor) -> None:
        """Note that channels are made into one number, so that none of them can be doubled or left out unseen."""
        channels = torch.unique(smallest(channels))
        self.mixed.setdefault(reason, []).append(channels[channels >= 0])

    def complete(self, other: Ledger) -> None:
        """Take over what another trace of the same module knows of layers that this one has not seen."""
        self.same += other.same
        self.outputs += other.outputs
        self.axes = {**other.axes, **self.axes}
        self.sites.update((name, site) for name, site in other.sites.items() if name not in self.sites)

    def groups(self) -> ChannelGroups:
        """Return the groups: positions that are the same, directly or by way of others, get one number."""
        channel_of = self._components()
        axes: dict[str, tuple[Tensor | None, ...]] = {}
        for name, dims in self.numbers.axes.items():
            read = [self.axes.get((name, dim), own) for dim, own in enumerate(dims)]
            axes[name] = tuple(None if axis is None else channel_of[axis] for axis in read)
        blocks = {tuple(block.flatten().tolist()): block for block in (channel_of[b] for b in self.blocks)}
        outputs = torch.unique(torch.cat([torch.empty(0, dtype=torch.long), *self.outputs]))
        return ChannelGroups(
            num_channels=int(channel_of.max()) + 1,
            axes=axes,
            inputs=channel_of[self.numbers.image[: self.num_image_channels]],
            outputs=channel_of[outputs],
            blocks=tuple(blocks.values()),
            mixed={reason: torch.unique(channel_of[torch.cat(all_)]) for reason, all_ in self.mixed.items()},
            sites=dict(self.sites),
            additions=tuple(self.additions),
        )

    def _components(self) -> Tensor:
        """Return the channel [total] of every number, channels in the order in which their first number stands."""
        total = self.numbers.total
        nothing = torch.empty(0, dtype=torch.long)
        # In 32 bits: scipy 1.11 says of others that they do not fit, and then answers nonsense.
        first, second = (
            torch.cat([nothing, *(pair[side] for pair in self.same)]).numpy().astype(np.int32) for side in (0, 1)
        )
        links = coo_array((np.ones(len(first), dtype=np.int8), (first, second)), shape=(total, total))
        labels = connected_components(links, directed=False)[1]
        return torch.from_numpy(labels.astype(np.int64))
