"""Values inside a network: what a layer reads, puts out, and becomes in a residual addition."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Place:
    """One value of a forward pass, by the layer it belongs to.

    `input` and `output` are the layer's own; `sum` is what the addition gives that its output enters, and `other`
    what is added there.
    """

    layer: str
    what: Literal["input", "output", "sum", "other"]


class _EnoughError(Exception):
    """Nothing more is to be seen."""


def observe(module: nn.Module, images: Tensor, places: Collection[Place]) -> dict[Place, Tensor]:
    """Return the values at these places, copies of their own; the pass ends where all are known.

    A place is missing where the network has no such value. Of a layer that is called twice the first call counts.
    """
    seen = _Seen(frozenset(places))
    parts = dict(module.named_modules())
    added = {place.layer for place in places if place.what in ("sum", "other")}
    with ExitStack() as stack, torch.no_grad():
        for name in {place.layer for place in places}:
            stack.callback(parts[name].register_forward_hook(partial(seen.leave, name, name in added)).remove)
        if added:
            stack.enter_context(_Additions(seen))
        with suppress(_EnoughError):
            module(images)
    return seen.values


@dataclass
class _Seen:
    """The values found so far."""

    places: frozenset[Place]
    values: dict[Place, Tensor] = field(default_factory=dict)
    waiting: dict[int, tuple[str, Tensor]] = field(default_factory=dict)  # outputs that may enter an addition, by id
    copies: dict[tuple[int, int], tuple[Tensor, Tensor]] = field(default_factory=dict)

    def leave(self, name: str, is_added: bool, _module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        self.note(Place(name, "input"), args[0])
        self.note(Place(name, "output"), output)
        if is_added:
            self.waiting.setdefault(id(output), (name, output))

    def note(self, place: Place, value: Tensor) -> None:
        """Copy a value that is asked for, for it may be overwritten; what comes in under two names is copied once."""
        if place not in self.places or place in self.values:
            return
        key = id(value), value._version
        # A sum may stand where its term stood, and its version is counted only after it has been seen.
        if place.what == "sum" or key not in self.copies:
            self.copies[key] = value.clone(), value  # the value itself, too: an id is good as long as it lives
        self.values[place] = self.copies[key][0]
        if len(self.values) == len(self.places):
            raise _EnoughError


class _Additions(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees additions, which no module performs."""

    def __init__(self, seen: _Seen) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen = seen

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        entering = []
        if function.overloadpacket.__name__ in ("add", "add_"):
            terms = [term for term in args[:2] if isinstance(term, Tensor)]
            entering = [(term, other) for term, other in zip(terms, terms[::-1], strict=True) if id(term) in self.known]
            entering = entering if len(terms) == 2 else []
        for term, other in entering:
            self.seen.note(Place(self.seen.waiting[id(term)][0], "other"), other)
        result = function(*args, **(kwargs or {}))
        for term, _ in entering:
            self.seen.note(Place(self.seen.waiting[id(term)][0], "sum"), result)
        return result

    @property
    def known(self) -> Collection[int]:
        """The ids of outputs that are waited for."""
        return self.seen.waiting.keys()
