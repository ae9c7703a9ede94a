"""One forward pass, watched: every call of a module in order, with its shapes; by default nothing is computed.

Tensors on torch's meta device have shapes and no memory. Code that asks for a value, as `x.sum().item()` does, fails
on them and on them alone: such a failure says so (`needs_values`), and the pass can be repeated with real weights.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from tlvcli.core.runtime import make_generator, seeded_globally

if TYPE_CHECKING:
    from torch import Tensor, dtype, nn

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Call:
    """One call of one module; `output_shapes` is empty while it has not returned, or where it returns no tensor.

    `products` are the multiply-adds of convolutions, matrix products and attention between this call's start and its
    end, those inside the modules that it called left out.
    """

    name: str
    input_shapes: tuple[Shape, ...]
    output_shapes: tuple[Shape, ...]
    output_itemsize: int
    products: int


@dataclass(frozen=True)
class FailedCall:
    """The innermost call that was open when the forward pass raised, and the first line of what it said."""

    name: str
    input_shapes: tuple[Shape, ...]
    message: str
    needs_values: bool


def trace_calls(
    module: nn.Module, input_size: Shape, *, with_values: bool
) -> tuple[tuple[Call, ...], FailedCall | None]:
    """Run `module` in evaluation mode on one input of `input_size`; whatever it was before, it is afterwards.

    With values, the module's own weights and random input on the CPU; without, shapes alone, so that weights may be
    on the meta device and a network of any size takes a second and no memory.
    """
    import torch
    from torch.func import functional_call
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    watch = _Watch(counter.get_total_flops)
    failed = None
    mode = nullcontext() if with_values else torch.device("meta")
    with _as_it_was(module), _hooked(module, watch), torch.no_grad(), seeded_globally(0), mode:
        state = _state(module, with_values=with_values)
        images = _input(module, input_size, with_values=with_values)
        try:
            with counter:
                functional_call(module, state, (images,))
        except Exception as error:
            at = watch.open_calls[-1]
            failed = FailedCall(at.name, at.input_shapes, _first_line(error), not with_values and _needs_values(error))
    return tuple(Call(**vars(record)) for record in watch.records), failed


@dataclass
class _Record:
    name: str
    input_shapes: tuple[Shape, ...]
    output_shapes: tuple[Shape, ...] = ()
    output_itemsize: int = 0
    products: int = 0


@dataclass
class _Watch:
    """Records calls as they begin and end; operations belong to the innermost call that is open."""

    count_flops: Callable[[], int]
    records: list[_Record] = field(default_factory=list)
    open_calls: list[_Record] = field(default_factory=list)
    seen_flops: int = 0

    def enter(self, name: str, _module: nn.Module, args: Any, kwargs: Any) -> None:
        self._attribute()
        record = _Record(name, _shapes((args, kwargs)))
        self.records.append(record)
        self.open_calls.append(record)

    def leave(self, name: str, _module: nn.Module, _args: Any, output: Any) -> None:
        self._attribute()
        record = self.open_calls.pop()
        while record.name != name:  # a module caught what one below it raised
            record = self.open_calls.pop()
        record.output_shapes = _shapes(output)
        record.output_itemsize = next((tensor.element_size() for tensor in _tensors(output)), 0)

    def _attribute(self) -> None:
        flops = self.count_flops()
        if self.open_calls:
            self.open_calls[-1].products += (flops - self.seen_flops) // 2  # a product and a sum are one
        self.seen_flops = flops


@contextmanager
def _hooked(module: nn.Module, watch: _Watch) -> Iterator[None]:
    handles = []
    try:
        for name, part in module.named_modules():
            handles.append(part.register_forward_pre_hook(partial(watch.enter, name), prepend=True, with_kwargs=True))
            handles.append(part.register_forward_hook(partial(watch.leave, name)))
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _as_it_was(module: nn.Module) -> Iterator[None]:
    """Put the module into evaluation mode and torch's transformers on their plain path; restore both, be silent."""
    import torch

    modes = [(part, part.training) for part in module.modules()]
    fast_path = torch.backends.mha.get_fastpath_enabled()
    try:
        # The fused kernel of nn.MultiheadAttention knows no meta tensors, and its products are not counted.
        torch.backends.mha.set_fastpath_enabled(False)
        module.eval()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for part, was_training in modes:
            part.training = was_training
        torch.backends.mha.set_fastpath_enabled(fast_path)


def _input(module: nn.Module, size: Shape, *, with_values: bool) -> Tensor:
    import torch

    dtype = input_dtype(module)
    if not with_values:
        return torch.empty(size, dtype=dtype)
    return torch.rand(size, generator=make_generator(0, "summary")).to(dtype)


def input_dtype(module: nn.Module) -> dtype:
    """Return the dtype of the images that the module wants: that of its first floating parameter, else float32."""
    import torch

    floating = (parameter.dtype for parameter in module.parameters() if parameter.is_floating_point())
    return next(floating, torch.float32)


def _state(module: nn.Module, *, with_values: bool) -> dict[str, Tensor]:
    """Return what stands in for the module's tensors: empty ones for all of them, or copies of its buffers."""
    import torch

    if with_values:
        return {name: buffer.clone() for name, buffer in module.named_buffers()}
    tensors = (*module.named_parameters(), *module.named_buffers())
    return {name: torch.empty(tensor.shape, dtype=tensor.dtype) for name, tensor in tensors}


def _tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested tuples, lists and dicts, in order."""
    import torch

    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for part in value:
            yield from _tensors(part)


def _shapes(value: Any) -> tuple[Shape, ...]:
    return tuple(tuple(tensor.shape) for tensor in _tensors(value))


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _needs_values(error: Exception) -> bool:
    """Return whether a real tensor might have passed where one on the meta device did not."""
    return isinstance(error, NotImplementedError) or "meta" in str(error)
