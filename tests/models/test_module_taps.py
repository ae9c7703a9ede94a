"""Outputs of blocks and other modules: which are read, in what order, and all of their calls."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tlvcli.models.activations import watched
from tlvcli.models.module_taps import find_module_taps


class _Network(nn.Module):
    """Calls one ReLU twice, one layer never, and one module that returns two tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Linear(2, 2)
        self.late = nn.Conv2d(4, 5, 1)
        self.block = nn.Sequential(nn.Conv2d(3, 4, 1))
        self.relu = nn.ReLU(inplace=True)
        self.rnn = nn.GRU(5, 6, batch_first=True)

    def forward(self, images: Tensor) -> Tensor:
        values = self.relu(self.late(self.relu(self.block(images))))
        tokens, _ = self.rnn(values.flatten(2).transpose(1, 2))
        return tokens.mean(dim=1)


def test_taps_and_what_they_read() -> None:
    torch.manual_seed(0)
    module = _Network().eval()
    names = {name for name, _ in module.named_modules() if name}
    taps = find_module_taps(module, names, (3, 4, 4))
    assert [(tap.layer, len(tap.readings)) for tap in taps] == [("block.0", 1), ("block", 1), ("relu", 2), ("late", 1)]
    assert [tap.values_per_image * tap.num_channels for tap in taps] == [64, 64, 64 + 80, 80]
    seen: dict[str, list[Tensor]] = {}
    images = torch.randn(7, 3, 4, 4)
    with torch.no_grad(), watched(module, taps, lambda name, values: seen.setdefault(name, []).append(values.clone())):
        module(images)
        block = module.block(images)
    assert [tuple(values.shape) for values in seen["relu"]] == [(7, 4, 4, 4), (7, 5, 4, 4)]
    # Seen as it was, though the ReLU behind it works in place.
    assert torch.equal(seen["block"][0], block)
    assert torch.equal(seen["relu"][0], block.relu())
