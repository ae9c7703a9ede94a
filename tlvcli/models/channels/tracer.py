"""A forward pass without values: every operation torch carries out is repeated on the numbers of the channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tlvcli.models.channels.ledger import Ledger
from tlvcli.models.channels.rules import values_of
from tlvcli.models.channels.values import Call, Value, along, smallest, spread_over, tensors_in, unknown


class ChannelTracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows channels through whatever runs inside the context and writes down what it learns."""

    def __init__(self, ledger: Ledger, state: Mapping[str, Tensor], image: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.ledger = ledger
        self._values: dict[int, Value] = {}
        self._alive: list[Tensor] = []  # an id is good as long as its tensor lives
        for name, tensor in state.items():
            axes = ledger.numbers.axes[name]
            self._note(tensor, Value(spread_over(axes, tensor.shape), axes, name))
        ledger.num_image_channels = image.shape[1]
        channels = ledger.numbers.image[: image.shape[1]]
        self._note(image, Value(along(channels, 1, image.shape)))

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        call = Call(function.overloadpacket.__name__, function, args, kwargs or {}, result)
        values = values_of(self, call)
        for tensor, value in zip(tensors_in(result), values, strict=False):
            self._note(tensor, value)
        return result

    def value(self, tensor: Tensor) -> Value:
        """Return what is known of a tensor; nothing, of one that was made in the pass."""
        known = self._values.get(id(tensor))
        return known if known is not None else unknown(tensor.shape)

    def finish(self, outputs: Any) -> None:
        """Note which channels the network puts out."""
        for tensor in tree_leaves(outputs):
            if isinstance(tensor, Tensor):
                channels = torch.unique(self.value(tensor).channels)
                self.ledger.outputs.append(channels[channels >= 0])

    def see_activation(self, value: Value, name: str) -> None:
        """Note the activation that stands right behind a layer or an addition."""
        sites, additions = self.ledger.sites, self.ledger.additions
        if value.layer is not None and value.layer in sites:
            sites[value.layer] = replace(sites[value.layer], before=name)
        if value.addition is not None:
            additions[value.addition] = replace(additions[value.addition], before=name)

    def _note(self, tensor: Tensor, value: Value) -> None:
        # Kept small: numbers are the same over heights, widths and tokens, and only expanded there.
        small = smallest(value.channels).expand(value.channels.shape)
        self._values[id(tensor)] = replace(value, channels=small)
        self._alive.append(tensor)
