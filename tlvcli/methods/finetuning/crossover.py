"""Feature crossover: while a network trains, some of its pooled features are those of a frozen source network.

"Transfer Learning using Variance-based mapping and Feature crossover", ThuanNaN/TLVFC. For each batch one mask is
drawn over the pooled features before the classifier, and where it is 1 the source's feature of the same index, of the
same image, takes the place of the target's:

    m = min(D, D_source)      u ~ U(0, 1)^m      x[:, j] := x_source[:, j]   for all j < m with u_j < p

The classifier learns from both; a crossed feature sends no gradient to the layers below it, and none reaches the
source. In evaluation nothing crosses, and nothing is scaled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tlvcli.models.pooled_features import ClassifierInput

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@contextmanager
def crossing(
    module: nn.Module,
    classifier: ClassifierInput,
    source_features: Callable[[Tensor], Tensor],
    p: float,
    generator: torch.Generator,
) -> Iterator[None]:
    """Exchange features in every pass of `module` in training mode while the context is open.

    One mask holds for all passes in one context. `source_features` takes the images that the module is given,
    [n, channels, h, w], and returns [n, D_source]; `generator` is on the CPU.
    """
    import torch

    draws = torch.rand(classifier.num_features, generator=generator)
    from_source: list[Tensor] = []

    def see(module: nn.Module, args: tuple[Any, ...]) -> None:
        from_source.clear()
        if module.training:
            with torch.no_grad():
                from_source.append(source_features(args[0]))

    def exchange(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if not from_source:
            return None
        return (cross(args[0], from_source[0], draws < p, classifier), *args[1:])

    handles = [
        module.register_forward_pre_hook(see),
        module.get_submodule(classifier.name).register_forward_pre_hook(exchange),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def cross(inputs: Tensor, source: Tensor, mask: Tensor, classifier: ClassifierInput) -> Tensor:
    """Return the classifier's input with the source's features where `mask` [D] is 1, as a new tensor.

    Of `source` [n, D_source] the first D features count; the target's features beyond D_source do not cross. Where
    the input is a map or tokens, the source's one number goes to every place of the channel.
    """
    import torch

    places_last = inputs.transpose(1, 2) if classifier.form == "tokens" else inputs
    features = places_last.reshape(len(inputs), classifier.num_features, -1)  # [n, D, places]
    width = min(classifier.num_features, source.shape[1])
    is_crossed = mask[:width, None].to(inputs.device)
    crossed = torch.where(is_crossed, source[:, :width, None].to(inputs.dtype), features[:, :width])
    joined = torch.cat([crossed, features[:, width:]], dim=1).reshape(places_last.shape)
    return joined.transpose(1, 2) if classifier.form == "tokens" else joined
