"""How the weights lie in memory: the same answers in half the time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlvcli.core.provenance import Preprocessing
from tlvcli.core.runtime import make_generator, seeded_globally

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

_TOLERANCE = 1e-4


def lay_out_fast(module: nn.Module, preprocessing: Preprocessing, device: torch.device) -> bool:
    """Lay a network's convolutions out channels last on the CPU, unless its answers then are others; returns whether.

    They take 0.55 of the time there (resnet18 at 32 px, squeezenet1_1 at 224 px). A network of a user's that takes its
    activations apart by `view` cannot bear it, and stays as it was.
    """
    import torch

    # A transformer's one convolution gains nothing that the trial would not cost.
    if device.type != "cpu" or sum(parameter.dim() == 4 for parameter in module.parameters()) < 2:
        return False
    size = preprocessing.image_size
    images = torch.rand(1, preprocessing.channels, size, size, generator=make_generator(0, "layout"))
    expected = _answer(module, images)
    if not isinstance(expected, torch.Tensor):  # what asks for an answer will say so
        return False
    module.to(memory_format=torch.channels_last)
    try:
        answer = _answer(module, images)
    except RuntimeError:
        answer = None
    scale = expected.abs().amax()
    if isinstance(answer, torch.Tensor) and bool((answer - expected).abs().amax() <= _TOLERANCE * scale):
        return True
    module.to(memory_format=torch.contiguous_format)
    return False


def _answer(module: nn.Module, images: Tensor) -> object:
    import torch

    was_training = module.training
    try:
        with torch.inference_mode(), seeded_globally(0):
            answer: object = module.eval()(images)
    finally:
        module.train(was_training)
    return answer
