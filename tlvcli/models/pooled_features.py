"""What a classifier is given: one vector per image, found in any network by watching where its last layers begin.

The classifier is the layer that has as many outputs as classes, or the plain sequence at the end of the network in
which it lies (VGG's three linear layers, SqueezeNet's convolution with its pooling). What it is given is pooled to one
number per channel: a map by its mean over the area, also where the network has flattened it, tokens by their mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tlvcli.core.provenance import Architecture
from tlvcli.models.call_trace import Call, Shape, trace_calls
from tlvcli.models.head import head_tensors

if TYPE_CHECKING:
    from torch import Tensor, nn

Form = Literal["pooled", "map", "flat-map", "tokens"]
_FORMS: dict[int, Form] = {2: "pooled", 3: "tokens", 4: "map"}


@dataclass(frozen=True)
class ClassifierInput:
    """Where a network's classifier takes its input, and how that becomes one vector.

    Args:
        name: the module that is called with it.
        num_features: length D of the pooled vector, per image.
        form: pooled [n, D], map [n, D, h, w], flat-map [n, D * h * w], or tokens [n, t, D].
    """

    name: str
    num_features: int
    form: Form


def find_classifier_input(module: nn.Module, architecture: Architecture, image_size: int) -> ClassifierInput | None:
    """Return where the classifier begins, by one pass over shapes with images of `image_size` pixels.

    None where no layer follows the number of classes, where it is the network's only one, or where the network does
    not take images of this size.
    """
    size = (1, architecture.in_chans, image_size, image_size)
    calls, failed = trace_calls(module, size, with_values=False)
    if failed is not None and failed.needs_values:
        calls, failed = trace_calls(module, size, with_values=True)
    name = None if failed else _find_classifier(module, architecture, [call.name for call in calls])
    if name is None:
        return None
    place = next(place for place, call in enumerate(calls) if call.name == name)
    shape = next(iter(calls[place].input_shapes), ())
    if len(shape) not in _FORMS:
        return None
    channels = _channels_before_flattening(calls[:place], shape) if len(shape) == 2 else None
    if channels is not None:
        return ClassifierInput(name, channels, "flat-map")
    form = _FORMS[len(shape)]
    return ClassifierInput(name, shape[1] if form == "map" else shape[-1], form)


def pooled_features(module: nn.Module, classifier: ClassifierInput, images: Tensor) -> Tensor:
    """Return what the classifier is given, pooled to [n, D]; the classifier itself is not computed.

    The module's mode, gradients and precision are the caller's to choose.
    """
    return pool(capture_input(module, classifier.name, images), classifier)


def pool(inputs: Tensor, classifier: ClassifierInput) -> Tensor:
    """Return the classifier's input, in the form in which it takes it, as [n, D]."""
    if classifier.form == "pooled":
        return inputs
    if classifier.form == "tokens":
        return inputs.mean(1)
    return inputs.reshape(len(inputs), classifier.num_features, -1).mean(2)


def capture_input(module: nn.Module, name: str, images: Tensor) -> Tensor:
    """Return the first argument of the first call of the submodule `name`; nothing after it is computed."""

    def stop(_module: nn.Module, args: tuple[Any, ...]) -> None:
        raise _ReachedError(args[0])

    handle = module.get_submodule(name).register_forward_pre_hook(stop)
    try:
        module(images)
    except _ReachedError as reached:
        return reached.inputs
    finally:
        handle.remove()
    raise AssertionError(f"{name} was not called")


class _ReachedError(Exception):
    """The pass has come to where it shall end."""

    def __init__(self, inputs: Tensor) -> None:
        super().__init__()
        self.inputs = inputs


def _find_classifier(module: nn.Module, architecture: Architecture, called: Sequence[str]) -> str | None:
    """Return the name of the classifier: its last layer, or the outermost sequence at the end that holds it."""
    first = {name: place for place, name in reversed(list(enumerate(called)))}
    layers = [
        name.rpartition(".")[0]
        for name, parameter in module.named_parameters()
        if parameter.ndim > 1 and name.rpartition(".")[0] in first
    ]
    of_head = {name.rpartition(".")[0] for name in head_tensors(architecture)}
    # Auxiliary heads are called before the last one, or not at all in evaluation.
    ends = sorted((name for name in layers if name in of_head), key=first.__getitem__)
    if not ends or not ends[-1]:
        return None
    stem = min(layers, key=first.__getitem__)
    if stem == ends[-1]:
        return None
    parts = ends[-1].split(".")
    paths = [".".join(parts[: depth + 1]) for depth in range(len(parts))]
    return next(path for path in paths if path == ends[-1] or _is_classifier(module.get_submodule(path), path, stem))


def _is_classifier(module: nn.Module, path: str, stem: str) -> bool:
    """Return whether `module` is a plain sequence behind the features: no convolution in it looks at an area."""
    from torch import nn

    if type(module) is not nn.Sequential or f"{stem}.".startswith(f"{path}."):
        return False
    return all(math.prod(part.kernel_size) == 1 for part in module.modules() if isinstance(part, nn.Conv2d))


def _channels_before_flattening(before: Sequence[Call], shape: Shape) -> int | None:
    """Return the channels of the map that was flattened into `shape` [n, D * h * w]; None where it never was one."""
    for call in reversed(before):
        output = next(iter(call.output_shapes), ())
        if len(output) == 4 and math.prod(output[1:]) == shape[1]:
            return output[1] if output[2] * output[3] > 1 else None
        # Flattening and dropout, as modules, may lie between.
        if output != shape:
            return None
    return None
