"""From an architecture's name to a module: torchvision, timm, or a callable in the user's own file."""

from __future__ import annotations

import importlib
import inspect
import runpy
import warnings
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlvcli.core.errors import TlvError, did_you_mean
from tlvcli.core.provenance import Architecture
from tlvcli.core.runtime import seeded_globally
from tlvcli.models.names import (
    TIMM,
    no_file,
    timm_missing,
    unknown_in_timm,
    unknown_in_torchvision,
    user_file,
)

if TYPE_CHECKING:
    from torch import nn

RGB_CHANNELS = 3
IMAGENET_CLASSES = 1000


def classifier_names() -> list[str]:
    """Return the names of torchvision's image classifiers, sorted."""
    import torchvision

    return sorted(torchvision.models.list_models(module=torchvision.models))


def build(architecture: Architecture, *, seed: int) -> nn.Module:
    """Build the module on the CPU in float32, initialised by the architecture's own rule from `seed`.

    Raises:
        TlvError: `architecture-unknown`, `architecture-invalid` or `extra-missing`.
    """
    builder = _find_builder(architecture.name)
    with seeded_globally(seed, "initialisation"), warnings.catch_warnings():
        # GoogLeNet and Inception announce a default that is to change; the default is what we want.
        warnings.filterwarnings("ignore", message="The default weight initialization", category=FutureWarning)
        module = _with_head(_call(builder, architecture), architecture)
    return module.float()


def default_num_classes(name: str) -> int:
    """Return how many classes architecture `name` has unless told: of a user's callable its own default, else 1000."""
    if user_file(name):
        parameter = inspect.signature(_file_builder(name)).parameters.get("num_classes")
        if parameter is not None and isinstance(parameter.default, int):
            return parameter.default
    return IMAGENET_CLASSES


@lru_cache(maxsize=16)
def build_skeleton(architecture: Architecture) -> nn.Module:
    """Build the module without memory for its weights: names, shapes and kinds, no random numbers.

    The same object is given again for the same architecture: read it, do not write into it.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    class WeightsOnMeta(TorchFunctionMode):
        # Not `torch.device("meta")`: RegNet and Swin compute their widths with real tensors while they are built.
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = dict(kwargs or {})
            if func is torch.empty:
                kwargs["device"] = "meta"
            name = getattr(func, "__name__", "")
            is_in_place = name.endswith("_") and not name.endswith("__") and name != "requires_grad_"
            if args and is_in_place and getattr(args[0], "is_meta", False):
                return args[0]  # initialising what has no memory is slow in torch, and for nothing
            return func(*args, **kwargs)

    builder = _find_builder(architecture.name)
    with WeightsOnMeta(), seeded_globally(0), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _with_head(_call(builder, architecture), architecture)


def _find_builder(name: str) -> Callable[..., nn.Module]:
    if name.startswith(TIMM):
        return _timm_builder(name.removeprefix(TIMM))
    if user_file(name):
        return _file_builder(name)
    import torchvision

    known = classifier_names()
    if name not in known:
        raise unknown_in_torchvision(name, known)

    def make(*, num_classes: int, in_chans: int) -> nn.Module:
        module: nn.Module = torchvision.models.get_model(name, weights=None, num_classes=num_classes)
        if in_chans != RGB_CHANNELS:
            _replace_stem(module, in_chans)
        return module

    return make


def _timm_builder(name: str) -> Callable[..., nn.Module]:
    try:
        timm: Any = importlib.import_module("timm")
    except ImportError as error:
        raise timm_missing(name) from error
    if not timm.is_model(name):
        raise unknown_in_timm(name, timm.list_models())

    def make(*, num_classes: int, in_chans: int) -> nn.Module:
        module: nn.Module = timm.create_model(name, pretrained=False, num_classes=num_classes, in_chans=in_chans)
        return module

    return make


def _file_builder(name: str) -> Callable[..., nn.Module]:
    file_name, _, function_name = name.rpartition(":")
    path = Path(file_name)
    if not path.is_file():
        raise no_file(path)
    try:
        namespace = runpy.run_path(str(path))
    except (Exception, SystemExit) as error:  # a script that ends itself must not end ours with its code
        raise TlvError(
            "architecture-invalid",
            f"{path} raises {type(error).__name__}: {error}",
            "run the file by itself first",
        ) from error
    function = namespace.get(function_name)
    if not callable(function):
        raise TlvError(
            "architecture-unknown",
            f"{path} defines no callable {function_name}",
            did_you_mean(function_name, [key for key, value in namespace.items() if callable(value)]),
        )
    make: Callable[..., nn.Module] = function
    return make


def _call(builder: Callable[..., nn.Module], architecture: Architecture) -> nn.Module:
    arguments: dict[str, Any] = {"num_classes": architecture.num_classes, "in_chans": architecture.in_chans}
    if user_file(architecture.name) and architecture.in_chans == RGB_CHANNELS:
        # A user's callable need not know in_chans while it is the usual three.
        del arguments["in_chans"]
    try:
        module = builder(**arguments)
    except TlvError:
        raise
    except (Exception, SystemExit) as error:
        raise TlvError(
            "architecture-invalid",
            f"{architecture.name} with {_words(arguments)} raises {type(error).__name__}: {error}",
            "the builder must accept these arguments and return a module",
        ) from error
    from torch import nn

    if not isinstance(module, nn.Module):
        raise TlvError(
            "architecture-invalid",
            f"{architecture.name} returns {type(module).__name__}",
            "the callable must return a torch.nn.Module",
        )
    return module


def _with_head(module: nn.Module, architecture: Architecture) -> nn.Module:
    if architecture.head is None:
        return module
    from tlvcli.models.linear_head import replace_classifier

    return replace_classifier(module, architecture)


def _words(arguments: dict[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in arguments.items())


def _replace_stem(module: nn.Module, in_chans: int) -> None:
    """Give the first convolution `in_chans` input channels, initialised as the whole family's stem is."""
    from torch import nn

    name, stem = next(
        (name, layer)
        for name, layer in module.named_modules()
        if isinstance(layer, nn.Conv2d) and layer.in_channels == RGB_CHANNELS
    )
    widened = nn.Conv2d(
        in_chans,
        stem.out_channels,
        stem.kernel_size,  # type: ignore[arg-type]
        stride=stem.stride,  # type: ignore[arg-type]
        padding=stem.padding,  # type: ignore[arg-type]
        dilation=stem.dilation,  # type: ignore[arg-type]
        bias=stem.bias is not None,
    )
    if not widened.weight.is_meta:
        # Fan-out He noise has the same scale whatever the number of input channels.
        nn.init.kaiming_normal_(widened.weight, mode="fan_out", nonlinearity="relu")
        if widened.bias is not None:
            nn.init.zeros_(widened.bias)
    module.set_submodule(name, widened)
    if getattr(module, "transform_input", False):
        module.transform_input = False  # type: ignore[assignment]  # it reads exactly three channels
