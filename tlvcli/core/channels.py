"""Which dimensions of which tensors speak of the same channels, and where layers stand in the forward pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Site:
    """Where a layer stands in the forward pass.

    `size` is the height and width of its output, empty where it has none; `reads` the layer that feeds it directly,
    if one does; `after` and `before` are the activations (`relu`, `gelu`, ...) right before its input and right
    after its output. Batch normalisation has an `epsilon`.
    """

    operation: str
    size: tuple[int, ...]
    keeps_size: bool
    reads: str | None
    after: str | None
    before: str | None = None
    epsilon: float | None = None


@dataclass(frozen=True)
class Term:
    """One side of a residual addition: zero when all of `writers` are; `after` is the activation it comes from."""

    writers: tuple[str, ...]
    after: str | None


@dataclass(frozen=True)
class Addition:
    """A residual addition, and the activation right behind it."""

    terms: tuple[Term, Term]
    before: str | None = None


@dataclass(frozen=True, eq=False)
class ChannelGroups:
    """Channels of a network: positions with the same number, in whatever tensor, are one and the same channel.

    Layers, batch normalisation, residual additions and depthwise convolutions make positions the same; concatenation,
    splitting, shuffling and flattening only rearrange them, so a number may stand anywhere and several times.

    Args:
        num_channels: channels are 0 .. num_channels - 1.
        axes: for every tensor and each of its dimensions the channels [size]; [groups, size] where a grouped
            convolution reads others in every group; None for kernel heights and widths.
        inputs: channels of the image.
        outputs: channels of the network's outputs, auxiliary ones among them: the classes.
        blocks: channels [blocks, in a block] that belong together: groups of a convolution, heads of an attention.
        mixed: what makes one number of many channels (a normalisation, an attention), and which channels.
        sites: layers in the order of the forward pass; a layer that is missing here was not understood.
        additions: residual additions in the order of the forward pass.
    """

    num_channels: int
    axes: Mapping[str, tuple[Tensor | None, ...]]
    inputs: Tensor
    outputs: Tensor
    blocks: tuple[Tensor, ...]
    mixed: Mapping[str, Tensor]
    sites: Mapping[str, Site]
    additions: tuple[Addition, ...]
