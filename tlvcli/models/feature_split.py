"""A network in two: what comes before its trained layers, which never changes, and the trained layers by themselves."""

from __future__ import annotations

from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from tlvcli.core.runtime import seeded_globally
from tlvcli.models.pooled_features import capture_input

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class FeatureSplit:
    """Where a network is cut.

    Args:
        tail: modules from the first trained one to the output, in the order of their calls, each given what the one
            before it returned.
        flattens: whether the network flattens what the last of them returns.
    """

    tail: tuple[str, ...]
    flattens: bool


def find_split(module: nn.Module, trained: Set[str], images: Tensor) -> FeatureSplit | None:
    """Return where `module` can be cut before its first `trained` parameter, or None where it cannot.

    It can where both halves, one after the other, give on `images` what the whole gives, to the bit: in evaluation
    mode, and with the modules around the trained layers in training mode. So neither an auxiliary head, which is
    called in training alone, nor a function between two modules is lost without notice.
    """
    import torch

    owners = {name.rpartition(".")[0] for name in trained}
    with modes_kept(module), seeded_globally(0), torch.no_grad():
        split = _watch(module.eval(), owners, images)
        if split is None:
            return None
        half = head_module(module, split)(backbone_features(module, split, images))
        if not _are_equal(half, module(images)):
            return None
        for name in _around(owners):
            module.get_submodule(name).training = True
        return split if _are_equal(half, module(images)) else None


def backbone_features(module: nn.Module, split: FeatureSplit, images: Tensor) -> Tensor:
    """Return what the first trained layer is given, without gradients, in the mode that `module` is in."""
    import torch

    with torch.no_grad():
        return capture_input(module, split.tail[0], images)


def head_module(module: nn.Module, split: FeatureSplit) -> nn.Module:
    """Return the trained end of `module` by itself: the same layers with the same parameters, not copies."""
    from torch import nn

    tail = [module.get_submodule(name) for name in split.tail]
    return nn.Sequential(*tail, *([nn.Flatten()] if split.flattens else []))


@dataclass
class _Watch:
    """Records the outermost calls from the first one of an owner on; `around` are those open at that time."""

    owners: Set[str]
    called: set[str] = field(default_factory=set)
    open_calls: list[str] = field(default_factory=list)
    around: tuple[str, ...] = ()
    tail: list[str] = field(default_factory=list)
    returned: Any = None
    is_chain: bool = True

    def enter(self, name: str, _module: nn.Module, args: tuple[Any, ...]) -> None:
        self.called.add(name)
        if not self.tail and name in self.owners:
            self.around = tuple(self.open_calls)
            self.tail.append(name)
        elif self.tail and set(self.open_calls) <= set(self.around):
            self.is_chain &= len(args) == 1 and args[0] is self.returned
            self.tail.append(name)
        self.open_calls.append(name)

    def leave(self, name: str, _module: nn.Module, _args: tuple[Any, ...], output: Any) -> None:
        self.open_calls.pop()
        if self.tail and name == self.tail[-1]:
            self.returned = output


def _watch(module: nn.Module, owners: Set[str], images: Tensor) -> FeatureSplit | None:
    """Return the split that the calls suggest; None where an owner is not called, or something lies between two."""
    import torch

    watch = _Watch(owners)
    handles = []
    try:
        for name, part in module.named_modules():
            handles.append(part.register_forward_pre_hook(partial(watch.enter, name)))
            handles.append(part.register_forward_hook(partial(watch.leave, name)))
        output = module(images)
    finally:
        for handle in handles:
            handle.remove()
    is_called = bool(owners) and owners <= watch.called and watch.tail[0] != ""
    if not (is_called and watch.is_chain and isinstance(output, torch.Tensor)):
        return None
    return FeatureSplit(tuple(watch.tail), flattens=watch.returned.ndim > output.ndim)


def _around(owners: Set[str]) -> set[str]:
    """Return the names of the modules that hold the owners, the network's own among them."""
    parts = [owner.split(".") for owner in owners]
    return {".".join(names[:depth]) for names in parts for depth in range(len(names))}


def _are_equal(half: Tensor, whole: object) -> bool:
    import torch

    return isinstance(whole, torch.Tensor) and torch.equal(half, whole)


@contextmanager
def modes_kept(module: nn.Module) -> Iterator[None]:
    """Give every part of `module` back the mode that it was in."""
    modes = [(part, part.training) for part in module.modules()]
    try:
        yield
    finally:
        for part, was_training in modes:
            part.training = was_training
