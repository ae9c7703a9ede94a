"""What one turn sees of both networks: what the target's layer reads, and what the source computes in its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlvcli.methods.fitting.network import End
from tlvcli.methods.fitting.observe import Place, observe
from tlvcli.methods.fitting.patches import Fittable, maps_of
from tlvcli.methods.fitting.points import FitPoint

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

    def values(self, images: Tensor, source_images: Tensor) -> dict[str, Tensor]:
        """Return what there is for one batch, all as [n, channels, places] but `read`.

        `read` is what the first layer reads; `wanted` what the source has where the last is complete, `now` what the
        target has there, and `other` what is added there; `hidden` what an inner layer may choose of.

        Raises:
            UnseenError: a value is not there, or of another shape.
        """
        end, read = self.last.end, Place(self.first.layer, "input")
        places = [read, _complete(end)] + ([Place(end.last, "other")] if end.is_added else [])
        if self.first is not self.last:
            places += [Place(self.first.layer, "output"), Place(self.last.layer, "input")]
        own = _observed(self.target, images, places, "target")
        ends = [feed.end for feed in self.last.feeds]
        ends += self.first.hidden if self.first is not self.last else ()
        theirs = _observed(self.source, source_images, [_complete(end) for end in ends], "source")
        complete = own[_complete(end)]
        now = maps_of(self.layer, complete)
        found = {"read": own[read], "now": now, "wanted": self._wanted(theirs, now, complete.shape[2:])}
        if end.is_added:
            found["other"] = maps_of(self.layer, own[Place(end.last, "other")]).expand_as(now)
        if self.first is not self.last:
            found["hidden"] = self._hidden(own, theirs)
        return found

    def _wanted(self, theirs: dict[Place, Tensor], now: Tensor, size: torch.Size) -> Tensor:
        wanted = torch.zeros_like(now)
        for feed in self.last.feeds:
            values = theirs[_complete(feed.end)]
            if values.dim() == 4 and len(size) == 2 and values.shape[2:] != size:
                values = F.interpolate(values, size, mode="area")
            maps = maps_of(self.source.get_submodule(feed.end.layer), values)
            if maps.shape[::2] != now.shape[::2]:
                raise UnseenError(f"{feed.end.layer} of the source has {maps.shape[2]} places, it has {now.shape[2]}")
            activation = feed.end.activation
            if activation is not None and activation in _ACTIVATIONS and activation != self.last.end.activation:
                maps = _ACTIVATIONS[activation](maps)
            wanted[:, feed.outputs] = maps[:, feed.channels].to(wanted.dtype)
        return wanted

    def _hidden(self, own: dict[Place, Tensor], theirs: dict[Place, Tensor]) -> Tensor:
        put_out, read = own[Place(self.first.layer, "output")], own[Place(self.last.layer, "input")]
        values = [theirs[_complete(end)] for end in self.first.hidden]
        if put_out.shape != read.shape or any(each.shape[2:] != read.shape[2:] for each in values):
            raise UnseenError("something stands between it and its reader")
        return torch.cat([maps_of(self.inner, each) for each in values], 1)


def _complete(end: End) -> Place:
    return Place(end.last, "sum" if end.is_added else "output")


def _observed(module: nn.Module, images: Tensor, places: list[Place], role: str) -> dict[Place, Tensor]:
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
