"""Which tensor is a layer's activation: a forward pass is followed from each layer through what comes right behind it.

Networks differ in how they write it down: a module for each step, one ReLU module for many layers, a function in
`forward`, in place or not. So it is the tensors that are followed, not the modules.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from tlvcli.core.errors import TlvError
from tlvcli.core.graph import Layer, LayerKind
from tlvcli.core.runtime import make_generator
from tlvcli.models.activations import Reading, Stage, Tap

if TYPE_CHECKING:
    from torch import Tensor, nn

# Prime, so that a first dimension that is a multiple of it is one of images, not of tokens.
_NUM_IMAGES = 3
_NORMALISATIONS = frozenset({"batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm"})
_ACTIVATIONS = frozenset(
    {
        *("relu", "relu6", "leaky_relu", "prelu", "rrelu", "elu", "selu", "celu", "gelu", "silu", "mish"),
        *("hardtanh", "hardswish", "hardsigmoid", "sigmoid", "tanh", "softplus", "softsign", "threshold", "logsigmoid"),
    }
)


def find_taps(
    module: nn.Module, layers: Sequence[Layer], image_shape: tuple[int, int, int], *, at: Literal["pre", "post"]
) -> tuple[Tap, ...]:
    """Return where to read each layer, in the order in which the network calls them; layers never called are left out.

    Args:
        module: the network, in evaluation mode; it computes one small batch.
        layers: those that are asked for.
        image_shape: channels, height and width of its input.
        at: `pre` reads a layer's own output. `post` goes on through the normalisation and the activation function
            that take this output as it is; where an addition or a concatenation comes first, it ends there.

    Raises:
        TlvError: `layer-unsupported` for a layer whose output is not one row, map or list of tokens per image.
    """
    import torch

    parameter = next(module.parameters())
    images = torch.rand((_NUM_IMAGES, *image_shape), generator=make_generator(0, "taps"))
    follows = at == "post"
    trace = _Trace({layer.name: layer.kind for layer in layers}, follows)
    fast_path = torch.backends.mha.get_fastpath_enabled()
    with ExitStack() as stack:
        stack.callback(torch.backends.mha.set_fastpath_enabled, fast_path)
        torch.backends.mha.set_fastpath_enabled(False)
        for name, part in module.named_modules():
            stack.callback(part.register_forward_hook(partial(trace.leave, name)).remove)
        stack.enter_context(torch.no_grad())
        stack.enter_context(_following(trace) if follows else nullcontext())
        module(images.to(parameter.device, parameter.dtype))
    by_layer: dict[str, list[_Trail]] = {}
    for trail in trace.trails:
        by_layer.setdefault(trail.layer, []).append(trail)
    return tuple(_tap(trails) for trails in by_layer.values())


def _following(trace: _Trace) -> Any:
    from torch.overrides import TorchFunctionMode

    class Follow(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            trace.follow(func, args, kwargs or {}, result)
            return result

    return Follow()


@dataclass
class _Trail:
    """One call of a layer and what it has become so far; `then` was done to what `reading` gives, by no module."""

    layer: str
    kind: LayerKind
    shape: tuple[int, ...]
    num_channels: int
    stage: Stage
    reading: Reading
    then: tuple[Callable[[Tensor], Tensor], ...] = ()


@dataclass
class _Trace:
    kinds: dict[str, LayerKind]
    follows: bool
    trails: list[_Trail] = field(default_factory=list)
    at: dict[int, list[_Trail]] = field(default_factory=dict)  # by the identity of the tensor that they have reached
    alive: list[Tensor] = field(default_factory=list)  # or another tensor could get the same identity
    counts: dict[str, int] = field(default_factory=dict)

    def leave(self, name: str, part: nn.Module, args: Any, output: Any) -> None:
        import torch

        call = self.counts.get(name, 0)
        self.counts[name] = call + 1
        if not isinstance(output, torch.Tensor):
            return
        for trail in self.at.get(id(output), ()):
            if trail.then:
                trail.reading, trail.then = Reading(name, call), ()
        if (
            self.follows and _normalises(part) and args and id(output) not in self.at
        ):  # one that permutes its input first
            for trail in list(self._reached(args[0], "output")):
                trail.reading, trail.then = Reading(name, call), ()
                self._move(trail, args[0], output, "normalised")
        if name in self.kinds:
            stage: Stage = "normalised" if _normalises(part) else "output"
            shape = tuple(output.shape)
            # A normalisation that holds its activation function ends where a layer before it is read already.
            reading = next((trail.reading for trail in self.at.get(id(output), ())), Reading(name, call))
            trail = _Trail(name, self.kinds[name], shape, _num_channels(part), stage, reading)
            self.trails.append(trail)
            self._arrive(trail, output)

    def follow(self, func: Any, args: Any, kwargs: Any, result: Any) -> None:
        import torch

        if not isinstance(result, torch.Tensor) or not args or not isinstance(args[0], torch.Tensor):
            return
        written = getattr(func, "__name__", "")
        name = written.rstrip("_")
        if name in _NORMALISATIONS or name in _ACTIVATIONS:
            stages: tuple[Stage, ...] = ("output",) if name in _NORMALISATIONS else ("output", "normalised")
            again = partial(_on_copy, func, args[1:], kwargs)  # one for all, so that equal readings compare equal
            for trail in list(self._reached(args[0], *stages)):
                trail.then = (*trail.then, again)
                self._move(trail, args[0], result, "normalised" if name in _NORMALISATIONS else "activated")
        elif result is args[0] and (written.startswith("__i") or (written.endswith("_") and written[-2:] != "__")):
            self.at.pop(id(result), None)  # written over, as by the addition of a residual

    def _reached(self, tensor: Any, *stages: Stage) -> Iterator[_Trail]:
        return (trail for trail in self.at.get(id(tensor), ()) if trail.stage in stages)

    def _move(self, trail: _Trail, before: Tensor, after: Tensor, stage: Stage) -> None:
        self.at[id(before)].remove(trail)
        trail.stage = stage
        self._arrive(trail, after)

    def _arrive(self, trail: _Trail, tensor: Tensor) -> None:
        self.at.setdefault(id(tensor), []).append(trail)
        self.alive.append(tensor)


def _on_copy(func: Callable[..., Tensor], args: Any, kwargs: Any, activations: Tensor) -> Tensor:
    # The function may write into its argument, which is the network's own.
    return func(activations.clone(), *args, **kwargs)


def _normalises(part: nn.Module) -> bool:
    from torch import nn
    from torch.nn.modules.batchnorm import _NormBase

    return isinstance(part, _NormBase | nn.LayerNorm | nn.GroupNorm)


def _num_channels(part: nn.Module) -> int:
    """Return how many output channels a layer has, by whatever its class calls them."""
    for name in ("out_channels", "out_features", "num_features", "num_channels"):
        if hasattr(part, name):
            return int(getattr(part, name))
    return int(part.normalized_shape[-1])  # type: ignore[index]


def _tap(trails: Sequence[_Trail]) -> Tap:
    first = trails[0]
    if first.shape[0] % _NUM_IMAGES:
        shape = "x".join(map(str, first.shape))
        raise TlvError(
            "layer-unsupported",
            f"{first.layer} gives {shape} for {_NUM_IMAGES} images, not a row, a map or tokens for each",
            "choose other layers with --layers",
        )
    stages: tuple[Stage, ...] = ("output", "normalised", "activated")
    readings = tuple(Reading(trail.reading.module, trail.reading.call, trail.then) for trail in trails)
    per_channel = sum(math.prod(trail.shape) for trail in trails) // (_NUM_IMAGES * first.num_channels)
    return Tap(
        layer=first.layer,
        kind=first.kind,
        readings=readings,
        stage=min((trail.stage for trail in trails), key=stages.index),
        channel_dim=_channel_dim(first),
        num_channels=first.num_channels,
        values_per_image=per_channel,
    )


def _channel_dim(trail: _Trail) -> int:
    """Return the dimension of the channels, from the end: the last of tokens and rows, the second of maps."""
    is_last = trail.kind in ("linear", "norm") and trail.shape[-1] == trail.num_channels
    return -1 if is_last else 1 - len(trail.shape)
