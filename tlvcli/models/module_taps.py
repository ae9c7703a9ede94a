"""Where to read the output of any module, be it a block or an activation function, as `activations` reads layers."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from tlvcli.core.runtime import make_generator
from tlvcli.models.activations import Reading, Tap

if TYPE_CHECKING:
    from torch import Tensor, nn

# Prime, as in `activation_trace`: a first dimension that is a multiple of it is one of images.
_NUM_IMAGES = 3


def find_module_taps(module: nn.Module, names: Collection[str], image_shape: tuple[int, int, int]) -> tuple[Tap, ...]:
    """Return where to read the named modules' outputs, in the order in which they are first there.

    The network, in evaluation mode, computes one small batch. A module that is never called has no tap, nor has one
    that returns anything but a tensor with values for each image.
    """
    import torch

    outputs: dict[str, list[Tensor | None]] = {}

    def keep(name: str, _module: nn.Module, _args: Any, output: Any) -> None:
        is_read = isinstance(output, torch.Tensor) and output.dim() > 1 and output.shape[0] % _NUM_IMAGES == 0
        outputs.setdefault(name, []).append(output if is_read else None)

    parameter = next(module.parameters())
    images = torch.rand((_NUM_IMAGES, *image_shape), generator=make_generator(0, "taps"))
    fast_path = torch.backends.mha.get_fastpath_enabled()
    with ExitStack() as stack:
        # As in `watched`: the fused kernel of torch's transformers does not call the layers it is made of.
        stack.callback(torch.backends.mha.set_fastpath_enabled, fast_path)
        torch.backends.mha.set_fastpath_enabled(False)
        for name, part in module.named_modules():
            if name in names:
                stack.callback(part.register_forward_hook(partial(keep, name)).remove)
        stack.enter_context(torch.no_grad())
        module(images.to(parameter.device, parameter.dtype))
    return tuple(_tap(name, calls) for name, calls in outputs.items() if None not in calls)


def _tap(name: str, calls: list[Tensor | None]) -> Tap:
    shapes = [output.shape for output in calls if output is not None]
    values = sum(shape.numel() for shape in shapes) // _NUM_IMAGES
    num_channels = shapes[0][1]
    readings = tuple(Reading(name, number) for number in range(len(calls)))
    # A block has no channels of its own: the second dimension stands for them, and nothing is moved.
    return Tap(name, "other", readings, "output", 1, num_channels, values // num_channels)
