"""Activations of chosen layers, handed over batch by batch while a network computes; none is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from tlvcli.core.graph import LayerKind

if TYPE_CHECKING:
    from torch import Tensor, nn

Stage = Literal["output", "normalised", "activated"]
Consumer = Callable[[str, "Tensor"], None]


@dataclass(frozen=True)
class Reading:
    """One call of a module in a forward pass, whose output is read; `then` are functions that no module performs."""

    module: str
    call: int
    then: tuple[Callable[[Tensor], Tensor], ...] = ()


@dataclass(frozen=True)
class Tap:
    """Where the activations of one layer are read: once for each call of the layer.

    `channel_dim` counts from the last dimension, so that it holds for images and for windows of images alike;
    `stage` is how far behind the layer it reads; `values_per_image` are those of one channel, over all calls.
    """

    layer: str
    kind: LayerKind
    readings: tuple[Reading, ...]
    stage: Stage
    channel_dim: int
    num_channels: int
    values_per_image: int


@contextmanager
def watched(module: nn.Module, taps: Sequence[Tap], consume: Consumer) -> Iterator[None]:
    """Inside, every forward pass calls `consume(layer, activations [n, channels, ...])` once for each reading.

    The tensors are the network's own and may be overwritten as soon as `consume` returns; it must not keep them.
    """
    import torch

    watch = _Watch(consume)
    parts = dict(module.named_modules())
    by_module: dict[str, dict[int, list[tuple[Tap, Reading]]]] = {}
    for tap in taps:
        for reading in tap.readings:
            by_module.setdefault(reading.module, {}).setdefault(reading.call, []).append((tap, reading))
    fast_path = torch.backends.mha.get_fastpath_enabled()
    with ExitStack() as stack:
        # The fused kernel of torch's transformers does not call the layers it is made of.
        stack.callback(torch.backends.mha.set_fastpath_enabled, fast_path)
        torch.backends.mha.set_fastpath_enabled(False)
        stack.callback(module.register_forward_pre_hook(watch.begin).remove)
        for name, wanted in by_module.items():
            stack.callback(parts[name].register_forward_hook(partial(watch.leave, name, wanted)).remove)
        yield


@dataclass
class _Watch:
    """Tells the calls of a module in one forward pass apart by counting them."""

    consume: Consumer
    num_images: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    def begin(self, _module: nn.Module, args: tuple[Tensor, ...]) -> None:
        self.num_images = args[0].shape[0]
        self.counts.clear()

    def leave(
        self, name: str, wanted: dict[int, list[tuple[Tap, Reading]]], _module: nn.Module, _args: Any, output: Tensor
    ) -> None:
        call = self.counts.get(name, 0)
        self.counts[name] = call + 1
        for tap, reading in wanted.get(call, ()):
            activations = output
            for function in reading.then:
                activations = function(activations)
            self.consume(tap.layer, _channels_second(activations, tap.channel_dim, self.num_images))


def _channels_second(activations: Tensor, channel_dim: int, num_images: int) -> Tensor:
    """Return [n, channels, ...] of any layout; windows [n * windows, ...] count with the image they lie in."""
    if activations.shape[0] != num_images:
        activations = activations.reshape(num_images, -1, *activations.shape[1:])
    return activations.movedim(channel_dim, 1)
