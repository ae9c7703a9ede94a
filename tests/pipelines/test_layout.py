"""Weights laid out for speed answer alike, or stay as they were."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tlvcli.core.provenance import Preprocessing
from tlvcli.pipelines.layout import lay_out_fast

PREPROCESSING = Preprocessing(image_size=8, resize_size=8, mean=(0.5,) * 3, std=(0.5,) * 3)
CPU = torch.device("cpu")


class _Net(nn.Module):
    def __init__(self, convolutions: int = 2, *, by_view: bool = False, by_stride: bool = False) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(*(nn.Conv2d(3, 3, 3, padding=1) for _ in range(convolutions)))
        self.by_view, self.by_stride = by_view, by_stride
        self.head = nn.Linear(3 * 64, 2)

    def forward(self, images: Tensor) -> Tensor:
        found = self.convolutions(images)
        if self.by_stride:
            return self.head(found.as_strided((len(images), 192), (192, 1)))
        return self.head(found.view(-1, 192) if self.by_view else found.flatten(1))


def _is_channels_last(module: _Net) -> list[bool]:
    weights = [layer.weight for layer in module.convolutions]
    return [weight.is_contiguous(memory_format=torch.channels_last) for weight in weights]


def test_convolutions_are_laid_out_channels_last() -> None:
    module, images = _Net().train(), torch.rand(4, 3, 8, 8)
    expected = module(images)
    assert lay_out_fast(module, PREPROCESSING, CPU)
    assert _is_channels_last(module) == [True, True]
    assert module.training
    torch.testing.assert_close(module(images), expected, rtol=1e-5, atol=1e-6)


class _Pair(_Net):
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        found = super().forward(images)
        return found, found


def test_a_network_of_several_answers_stays_as_it_was() -> None:
    module = _Pair()
    assert not lay_out_fast(module, PREPROCESSING, CPU)
    assert not any(_is_channels_last(module))


@pytest.mark.parametrize("module", [_Net(by_view=True), _Net(by_stride=True), _Net(1)], ids=["view", "stride", "one"])
def test_others_stay_as_they_were(module: _Net) -> None:
    images = torch.rand(4, 3, 8, 8)
    expected = module(images)
    assert not lay_out_fast(module, PREPROCESSING, CPU)
    assert not any(_is_channels_last(module))
    assert module(images).equal(expected)
