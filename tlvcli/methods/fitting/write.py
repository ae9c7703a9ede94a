"""What a solution makes of a layer: weight, bias, and the normalisation behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlvcli.methods.fitting.network import End
from tlvcli.methods.fitting.patches import Fittable, kernel_of
from tlvcli.methods.fitting.solve import Solution

if TYPE_CHECKING:
    from torch import Tensor, nn


def tensors_of(network: nn.Module, layer: Fittable, end: End, solution: Solution, outputs: Tensor) -> dict[str, Tensor]:
    """Return the tensors by name with which `outputs` [n] of a layer, normalised, are the solution's.

    The normalisation's statistics are those of the kernel on the images of the fit. In front of it the size of a
    kernel changes no value, but the rate at which it learns: the kernel keeps the spread it had.
    """
    kernel, shift = kernel_of(layer, solution.weights)[outputs], solution.bias[outputs]
    had, has = (float(weights.std(correction=0)) for weights in (layer.weight[outputs], kernel))
    scale = had / has if end.norm is not None and had > 0 and has > 0 else 1.0
    new = {f"{end.layer}.weight": kernel * scale, f"{end.layer}.bias": shift}
    if end.norm is not None and end.epsilon is not None:
        mean, variance = solution.mean()[outputs], solution.variance()[outputs] * scale**2
        new |= {
            f"{end.layer}.bias": shift * 0,
            f"{end.norm}.running_mean": mean * scale,
            f"{end.norm}.running_var": variance,
            f"{end.norm}.weight": (variance + end.epsilon).sqrt() / scale,
            f"{end.norm}.bias": shift + mean,
        }
    state = network.state_dict()
    known = {name.lstrip("."): values for name, values in new.items() if name.lstrip(".") in state}
    index = outputs.to(layer.weight.device)
    return {name: state[name].index_copy(0, index, values.to(state[name])) for name, values in known.items()}
