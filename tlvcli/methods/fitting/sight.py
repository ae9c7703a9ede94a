"""What one turn sees of both networks: what the target's layer reads, and what the source computes in its place."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlvcli.methods.fitting.ahead import Errand
from tlvcli.methods.fitting.network import End
from tlvcli.methods.fitting.observe import Place, observe
from tlvcli.methods.fitting.patches import Fittable, maps_of
from tlvcli.methods.fitting.points import FitPoint
from tlvcli.methods.fitting.replay import num_bytes

# By the names that traces give them.
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "relu6": F.relu6,
    "hardswish": F.hardswish,
    "silu": F.silu,
    "gelu": F.gelu,
    "elu": F.elu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
}


class UnseenError(Exception):
    """A value is not met in the forward pass as the plan has it; the message says which."""


@dataclass(frozen=True)
class _Frame:
    """What stands where the last layer is complete: rows of an image, channels, places, and the size of its maps.

    `inner` is the size of the maps between two layers that are fitted together.
    """

    rows: int
    channels: int
    places: int
    dtype: torch.dtype
    size: torch.Size
    inner: torch.Size | None


@dataclass(frozen=True, eq=False)
class Sight:
    """Both networks, and the layer whose values are to become the source's: `last`.

    `first` is the same, or a block's inner layer that is fitted together with it.
    """

    target: nn.Module
    source: nn.Module
    first: FitPoint
    last: FitPoint

    @property
    def points(self) -> tuple[FitPoint, ...]:
        """The layers that are fitted, in order."""
        return (self.last,) if self.first is self.last else (self.first, self.last)

    @property
    def inner(self) -> Fittable:
        """The module of the first layer."""
        return _fittable(self.target, self.first.layer)

    @property
    def layer(self) -> Fittable:
        """The module of the last layer."""
        return _fittable(self.target, self.last.layer)

    @property
    def outputs(self) -> Tensor:
        """The outputs [n] of the last layer that have a source."""
        return torch.cat([feed.outputs for feed in self.last.feeds])

    def has_intercept(self, point: FitPoint) -> bool:
        """Return whether a layer can add a constant: a bias, or the shift of its normalisation."""
        return point.end.norm is not None or _fittable(self.target, point.layer).bias is not None

    def errand(self, image: Tensor, source_image: Tensor) -> Errand:
        """Return what the turn needs of the source; one image of both networks says how large everything is.

        Raises:
            UnseenError: a value is not met in the forward pass as the plan has it, or is of another shape.
        """
        frame, own = self._frame(image), self.own(image)
        ends = [feed.end for feed in self.last.feeds]
        ends += self.first.hidden if self.first is not self.last else ()
        places = frozenset(map(_complete, ends))
        make = partial(self._goals, frame=frame)
        made = make(_observed(self.source, source_image, places, "source"), len(image))
        own_bytes = num_bytes({name: own[name] for name in own if name != "now"})
        return Errand(places, make, num_bytes(made), own_bytes)

    def own(self, images: Tensor) -> dict[str, Tensor]:
        """Return what the target has for one batch.

        `read` is what the first layer reads, in its own layout; `now` what stands where the last is complete, and
        `other` what is added there, as [n, channels, places].

        Raises:
            UnseenError: a value is not there.
        """
        end, read = self.last.end, Place(self.first.layer, "input")
        places = [read, _complete(end)] + ([Place(end.last, "other")] if end.is_added else [])
        seen = _observed(self.target, images, places, "target")
        found = {"read": seen[read], "now": maps_of(self.layer, seen[_complete(end)])}
        if end.is_added:
            found["other"] = maps_of(self.layer, seen[Place(end.last, "other")]).expand_as(found["now"])
        return found

    def _frame(self, image: Tensor) -> _Frame:
        complete = _complete(self.last.end)
        inside: tuple[Place, ...] = ()
        if self.first is not self.last:
            inside = (Place(self.first.layer, "output"), Place(self.last.layer, "input"))
        seen = _observed(self.target, image, [complete, *inside], "target")
        shapes = [seen[place].shape for place in inside]
        if len(set(shapes)) > 1:
            raise UnseenError("something stands between it and its reader")
        now = maps_of(self.layer, seen[complete])
        rows, channels, places = now.shape
        inner = shapes[0][2:] if shapes else None
        return _Frame(rows // len(image), channels, places, now.dtype, seen[complete].shape[2:], inner)

    def _goals(self, theirs: Mapping[Place, Tensor], num_images: int, *, frame: _Frame) -> dict[str, Tensor]:
        """Return what the target is to have, as [n, channels, places].

        `wanted` is what the source has where the last layer is complete; `hidden` what an inner one may choose of.
        """
        found = {"wanted": self._wanted(theirs, num_images, frame)}
        if frame.inner is not None:
            values = [theirs[_complete(end)] for end in self.first.hidden]
            if any(each.shape[2:] != frame.inner for each in values):
                raise UnseenError("something stands between it and its reader")
            found["hidden"] = torch.cat([maps_of(self.inner, each) for each in values], 1)
        return found

    def _wanted(self, theirs: Mapping[Place, Tensor], num_images: int, frame: _Frame) -> Tensor:
        parts = []
        for feed in self.last.feeds:
            values = theirs[_complete(feed.end)]
            if values.dim() == 4 and len(frame.size) == 2 and values.shape[2:] != frame.size:
                values = F.interpolate(values, frame.size, mode="area")
            maps = maps_of(self.source.get_submodule(feed.end.layer), values)
            if maps.shape[::2] != (num_images * frame.rows, frame.places):
                raise UnseenError(f"{feed.end.layer} of the source has {maps.shape[2]} places, it has {frame.places}")
            activation = feed.end.activation
            if activation is not None and activation in _ACTIVATIONS and activation != self.last.end.activation:
                maps = _ACTIVATIONS[activation](maps)
            parts.append(maps[:, feed.channels].to(frame.dtype))
        wanted = parts[0].new_zeros(len(parts[0]), frame.channels, frame.places)
        wanted[:, self.outputs] = torch.cat(parts, 1)
        return wanted


def _complete(end: End) -> Place:
    return Place(end.last, "sum" if end.is_added else "output")


def _observed(module: nn.Module, images: Tensor, places: Collection[Place], role: str) -> dict[Place, Tensor]:
    found = observe(module, images, places)
    missing = [place for place in places if place not in found]
    if missing:
        what = "addition" if missing[0].what in ("sum", "other") else missing[0].what
        raise UnseenError(f"the {what} of {missing[0].layer} in the {role} is not met in the forward pass")
    return found


def _fittable(module: nn.Module, name: str) -> Fittable:
    layer = module.get_submodule(name)
    assert isinstance(layer, Fittable)
    return layer
