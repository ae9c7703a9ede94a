"""Layers of a network, read from a module or, where there is none, from tensor names and shapes alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING

from tlvcli.core.channels import ChannelGroups
from tlvcli.core.graph import Layer, LayerKind, ModelGraph, Module, TensorSpec

if TYPE_CHECKING:
    from torch import nn

BUFFER_SUFFIXES = frozenset({"running_mean", "running_var", "num_batches_tracked"})


def graph_of_module(module: nn.Module) -> ModelGraph:
    """Return the graph of a module, its kinds from the layers' classes; order is that of the state_dict."""
    kinds = {name: _kind_of_class(layer) for name, layer in module.named_modules()}
    parameters = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    specs = tuple(
        TensorSpec(name, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
        for name, tensor in module.state_dict().items()
    )
    layers = tuple(Layer(name, _kind_with(tensors, kinds.get(name)), tensors) for name, tensors in _group(specs))
    buffers = frozenset(spec.name for spec in specs if spec.name not in parameters)
    return ModelGraph(layers, buffers, _tree_of_module(module), cache(partial(_channels_of_module, module)))


def graph_of_tensors(specs: Sequence[TensorSpec]) -> ModelGraph:
    """Return the graph that names and shapes suggest: a foreign state_dict needs no architecture.

    A transposed convolution cannot be told from a convolution, nor an embedding from a linear layer.
    """
    layers: list[Layer] = []
    for name, tensors in _group(specs):
        is_first_conv = not any(layer.kind in ("conv2d", "depthwise-conv2d") for layer in layers)
        layers.append(Layer(name, _kind_of_shapes(tensors, is_first_conv=is_first_conv), tensors))
    buffers = frozenset(spec.name for spec in specs if spec.suffix in BUFFER_SUFFIXES)
    return ModelGraph(tuple(layers), buffers)


def _kind_with(tensors: Sequence[TensorSpec], kind: LayerKind | None) -> LayerKind:
    """Return `other` for a layer whose weight is computed from other tensors, as under `weight_norm`."""
    has_weight = any(tensor.suffix == "weight" for tensor in tensors)
    return kind if kind and (has_weight or kind in ("batch-norm", "norm")) else "other"


def _tree_of_module(module: nn.Module, name: str = "") -> Module:
    children = (_tree_of_module(child, f"{name}.{key}".lstrip(".")) for key, child in module.named_children())
    return Module(name, _torch_class(type(module)), tuple(children))


def _channels_of_module(module: nn.Module) -> ChannelGroups:
    from tlvcli.models.channels.groups import channel_groups

    return channel_groups(module)


def _torch_class(kind: type[nn.Module]) -> str:
    from torch import nn

    return next(str(base.__name__) for base in kind.__mro__ if getattr(nn, base.__name__, None) is base)


def _group(specs: Iterable[TensorSpec]) -> list[tuple[str, tuple[TensorSpec, ...]]]:
    groups: dict[str, list[TensorSpec]] = {}
    for spec in specs:
        groups.setdefault(spec.name.rpartition(".")[0], []).append(spec)
    return [(name, tuple(tensors)) for name, tensors in groups.items()]


def _kind_of_class(layer: nn.Module) -> LayerKind:
    from torch import nn
    from torch.nn.modules.batchnorm import _NormBase
    from torch.nn.modules.conv import _ConvTransposeNd

    if isinstance(layer, _ConvTransposeNd):
        return "conv-transpose"
    if isinstance(layer, nn.Conv2d):
        is_depthwise = layer.groups == layer.in_channels and layer.groups > 1
        return "depthwise-conv2d" if is_depthwise else "conv2d"
    for kind, classes in _CLASSES.items():
        if isinstance(layer, tuple(getattr(nn, name) for name in classes)):
            return kind
    return "batch-norm" if isinstance(layer, _NormBase) else "other"


_CLASSES: dict[LayerKind, tuple[str, ...]] = {
    "conv1d": ("Conv1d",),
    "conv3d": ("Conv3d",),
    "linear": ("Linear",),
    "norm": ("LayerNorm", "GroupNorm"),
}


def _kind_of_shapes(tensors: Sequence[TensorSpec], *, is_first_conv: bool) -> LayerKind:
    suffixes = {tensor.suffix for tensor in tensors}
    weight = next((tensor for tensor in tensors if tensor.suffix == "weight"), None)
    if "running_mean" in suffixes:
        return "batch-norm"
    if weight is None:
        return "other"
    match len(weight.shape):
        case 1:
            return "norm"
        case 2:
            return "linear"
        case 3:
            return "conv1d"
        case 4:
            # One input channel per filter: depthwise, unless it is the stem of a greyscale network.
            return "depthwise-conv2d" if weight.shape[1] == 1 and not is_first_conv else "conv2d"
        case 5:
            return "conv3d"
        case _:
            return "other"
