"""Values inside a network, residual additions among them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tlvcli.core.runtime import make_generator
from tlvcli.methods.fitting.observe import Place, observe


class _Residual(nn.Module):
    """Everything in place, as torchvision's ResNets do it; the last layer cannot run."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.never = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(9, 9)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu_()
        out = self.second(x)
        out += x
        return self.never(out.relu_())


def test_sums_and_their_other_terms_are_seen_as_they_are_before_anything_overwrites_them() -> None:
    net = _Residual()
    images = torch.randn(3, 4, generator=make_generator(0, "images"))
    places = [Place("first", "output"), Place("second", "input"), Place("second", "sum"), Place("second", "other")]
    seen = observe(net, images, places)
    first = net.first(images)
    torch.testing.assert_close(seen[places[0]], first)
    torch.testing.assert_close(seen[places[1]], first.relu())
    torch.testing.assert_close(seen[places[2]], first.relu() + net.second(first.relu()))
    torch.testing.assert_close(seen[places[3]], first.relu())


def test_a_sum_that_is_written_over_its_other_term_is_told_from_it() -> None:
    class Shortcut(_Residual):
        def forward(self, x: Tensor) -> Tensor:
            out = self.first(x)
            out += self.second(x)
            return out

    net = Shortcut()
    images = torch.randn(3, 4, generator=make_generator(0, "images"))
    places = [Place("second", "other"), Place("second", "sum")]
    seen = observe(net, images, places)
    torch.testing.assert_close(seen[places[0]], net.first(images))
    torch.testing.assert_close(seen[places[1]], net.first(images) + net.second(images))


def test_what_is_not_there_is_missing_and_hooks_are_gone() -> None:
    net = _Residual()
    net.never = nn.Linear(4, 2)
    places = [Place("never", "sum"), Place("never", "output")]
    images = torch.ones(1, 4)
    assert set(observe(net, images, places)) == {places[1]}
    assert not any(module._forward_hooks for module in net.modules())
