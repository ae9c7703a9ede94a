"""What a forward pass goes through: a row for every call of a module, and what the network costs.

The figures follow the conventions of torchinfo 1.8, so that they can be compared with what people know:

- *parameters* of a row are those that no row below it has; a module that is called again has none of its own left.
- *mult-adds* are counted from parameters: of a convolution, parameters times batch and output positions; of any other
  leaf, parameters times batch. So a linear layer counts one position even where it sees 197 tokens, and what a module
  computes with parameters of its own (attention in torchvision's ViT and Swin) does not count at all.
- *forward/backward* bytes are twice the outputs of all leaves with parameters.

Two figures are ours. *products* are the multiply-adds of convolutions, matrix products and attention, counted from
their shapes by `torch.utils.flop_counter`: they are what the network computes, and what torchvision publishes for its
weights. *Parameter bytes* are those of all parameters; torchinfo leaves out parameters outside leaves that are called:
class tokens, layer scales, attention's projections, auxiliary heads.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from pydantic import Field

from tlvcli.core.errors import TlvError
from tlvcli.core.report import ReportPart
from tlvcli.models.call_trace import Call, FailedCall, Shape, input_dtype, trace_calls

if TYPE_CHECKING:
    from torch import nn


class SummaryRow(ReportPart):
    """One call of a module, or a container that is never called around those that are."""

    name: str = Field(description="path of attributes, as in features.0; empty for the network itself")
    depth: int = Field(description="0 for the network itself")
    class_name: str
    output_shapes: tuple[Shape, ...] = Field(description="of every tensor it returned; empty where it did not return")
    parameters: int = Field(description="elements of parameters that no row below has; 0 when called again")
    trainable_parameters: int = Field(description="those of them that require a gradient")
    mult_adds: int = Field(description="as torchinfo counts them, without the rows below")
    products: int = Field(description="multiply-adds as torch counts them, without the rows below")
    is_recursive: bool = Field(description="this module has a row above already")


class SummaryTotals(ReportPart):
    """Sums over the network and its forward pass."""

    parameters: int = Field(description="each once, however often it is used; those that are not called, too")
    trainable_parameters: int
    frozen_parameters: int
    mult_adds: int = Field(description="as torchinfo counts them: a linear layer at one position, attention not at all")
    products: int = Field(description="multiply-adds of convolutions, matrix products and attention, by their shapes")
    input_bytes: int
    forward_backward_bytes: int = Field(description="twice the outputs of the leaves with parameters")
    parameter_bytes: int
    total_bytes: int = Field(description="input, forward/backward and parameters")


class SummaryFailure(ReportPart):
    """The layer at which the forward pass ended; its row is the last."""

    name: str
    class_name: str
    input_shapes: tuple[Shape, ...]
    message: str = Field(description="first line of what it raised")
    needs_values: bool = Field(description="the pass was of shapes alone, and the code asked for a value")


class ModuleSummary(ReportPart):
    """Rows in the order of the calls; totals unless the forward pass failed."""

    rows: tuple[SummaryRow, ...]
    not_called: tuple[str, ...]
    totals: SummaryTotals | None
    failure: SummaryFailure | None


def summarise(module: nn.Module, input_size: Shape = (1, 3, 224, 224), *, with_values: bool = False) -> ModuleSummary:
    """Run the module once in evaluation mode, by shapes alone unless `with_values`, and describe what it did.

    Its weights may be on the meta device unless `with_values`; it is left as it was. A layer that fails is part of
    the summary, not an error.

    Raises:
        TlvError: `architecture-invalid` for a lazy layer.
    """
    _refuse_lazy(module)
    calls, failed = trace_calls(module, input_size, with_values=with_values)
    modules = dict(module.named_modules())
    complete = failed is None
    rows = _rows(modules, calls, complete=complete)
    return ModuleSummary(
        rows=rows,
        not_called=tuple(_not_called(module, {row.name for row in rows})) if complete else (),
        totals=_totals(module, rows, calls, input_size) if complete else None,
        failure=_describe_failure(modules, failed) if failed else None,
    )


def _refuse_lazy(module: nn.Module) -> None:
    from torch.nn.parameter import is_lazy

    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if is_lazy(tensor):
            raise TlvError(
                "architecture-invalid",
                f"{name} has no shape before the first input: its layer is lazy",
                "give the layer the size of its input",
            )


def _rows(modules: dict[str, nn.Module], calls: Iterable[Call], *, complete: bool) -> tuple[SummaryRow, ...]:
    listed = list(_with_containers(calls))
    # Of a pass that failed nobody knows what else would have been called: there each module has its own alone.
    own = _own_parameters(modules, dict.fromkeys(name for name, _ in listed) if complete else modules)
    rows: list[SummaryRow] = []
    seen: set[str] = set()
    for name, call in listed:
        parameters = own.get(name, []) if name not in seen else []
        rows.append(
            SummaryRow(
                name=name,
                depth=_depth(name),
                class_name=type(modules[name]).__name__,
                output_shapes=call.output_shapes if call else (),
                parameters=sum(parameter.numel() for parameter in parameters),
                trainable_parameters=sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
                mult_adds=_count_mult_adds(modules[name], call) if call else 0,
                products=call.products if call else 0,
                is_recursive=name in seen,
            )
        )
        seen.add(name)
    return tuple(rows)


def _with_containers(calls: Iterable[Call]) -> Iterator[tuple[str, Call | None]]:
    """Yield each call, and before it those modules around it that are not called themselves, as a ModuleList."""
    around: list[str] = []
    for call in calls:
        parts = call.name.split(".") if call.name else []
        for depth in range(len(parts) - 1):
            container = ".".join(parts[: depth + 1])
            if around[depth : depth + 1] != [container]:
                around = [*around[:depth], container]
                yield container, None
        if parts:
            around = [*around[: len(parts) - 1], call.name]
        yield call.name, call


def _own_parameters(modules: dict[str, nn.Module], names: Iterable[str]) -> dict[str, list[nn.Parameter]]:
    """Give every parameter to the deepest of the named modules that has it."""
    own: dict[str, list[nn.Parameter]] = {}
    given: set[int] = set()
    for name in sorted(names, key=_depth, reverse=True):
        parameters = [parameter for parameter in modules[name].parameters() if id(parameter) not in given]
        given.update(map(id, parameters))
        own[name] = parameters
    return own


def _depth(name: str) -> int:
    return name.count(".") + 1 if name else 0


def _count_mult_adds(module: nn.Module, call: Call) -> int:
    """Count from parameters, as torchinfo does; a layer with modules below it counts nothing itself."""
    if not _is_leaf(module) or not call.output_shapes:
        return 0
    shape = call.output_shapes[0]  # [batch, channels, positions...] of a convolution
    batch = math.prod(shape[:1])
    total = 0
    for name, parameter in module.named_parameters():
        if name in ("weight", "bias"):
            positions = math.prod(shape[2:]) if "Conv" in type(module).__name__ else 1
            total += parameter.numel() * batch * positions
        elif "weight" in name or "bias" in name:  # a recurrent layer: [batch, time, ...]
            total += parameter.numel() * math.prod(shape[:2])
    return total


def _is_leaf(module: nn.Module) -> bool:
    return next(module.children(), None) is None


def _not_called(module: nn.Module, called: set[str]) -> Iterator[str]:
    """Yield the outermost modules with parameters that have no row; who called their surroundings may use them."""
    for name, part in module.named_modules():
        parent = name.rpartition(".")[0]
        if name not in called and parent in called and next(part.parameters(), None) is not None:
            yield name


def _totals(module: nn.Module, rows: Iterable[SummaryRow], calls: Iterable[Call], input_size: Shape) -> SummaryTotals:
    modules = dict(module.named_modules())
    parameters = list(module.parameters())
    num_parameters = sum(parameter.numel() for parameter in parameters)
    trainable = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
    outputs = sum(_output_bytes(modules[call.name], call) for call in calls)
    input_bytes = math.prod(input_size) * input_dtype(module).itemsize
    parameter_bytes = sum(parameter.numel() * parameter.element_size() for parameter in parameters)
    return SummaryTotals(
        parameters=num_parameters,
        trainable_parameters=trainable,
        frozen_parameters=num_parameters - trainable,
        mult_adds=sum(row.mult_adds for row in rows),
        products=sum(call.products for call in calls),
        input_bytes=input_bytes,
        forward_backward_bytes=2 * outputs,
        parameter_bytes=parameter_bytes,
        total_bytes=input_bytes + 2 * outputs + parameter_bytes,
    )


def _output_bytes(module: nn.Module, call: Call) -> int:
    """Return the bytes of what a leaf with parameters returns, of the first tensor where they are several."""
    counts = _is_leaf(module) and call.output_shapes and next(module.parameters(), None) is not None
    return math.prod(call.output_shapes[0]) * call.output_itemsize if counts else 0


def _describe_failure(modules: dict[str, nn.Module], failed: FailedCall) -> SummaryFailure:
    return SummaryFailure(
        name=failed.name,
        class_name=type(modules[failed.name]).__name__,
        input_shapes=failed.input_shapes,
        message=failed.message,
        needs_values=failed.needs_values,
    )
