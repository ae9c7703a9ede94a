"""What the source computes is computed once for several turns, as far as there is room."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.methods.fitting.nets import Batches, Residual, fitted, images, seeded, started
from tlvcli.methods.fitting.ahead import Errand, looking_ahead, stretches
from tlvcli.methods.fitting.observe import Place


@pytest.mark.parametrize(
    ("made", "own", "room", "ends"),
    [
        ([4, 4, 4, 4], [0, 0, 0, 0], 8, [2, 2, 4, 4]),
        ([4, 4, 4, 4], [2, 0, 0, 0], 8, [1, 3, 3, 4]),
        ([4, 1, 1, 1], [0, 9, 0, 0], 8, [1, 2, 4, 4]),
        ([4, 4, 4, 4], [0, 0, 0, 0], 0, [1, 2, 3, 4]),
        ([4, 4, 4, 4], [1, 1, 1, 1], 99, [4, 4, 4, 4]),
        ([], [], 9, []),
    ],
)
def test_a_stretch_is_as_long_as_all_its_turns_have_room_for(
    made: list[int], own: list[int], room: int, ends: list[int]
) -> None:
    assert stretches(made, own, room) == ends


class _Counting(nn.Sequential):
    """Two layers, and how many images have been through them."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(3, 3), nn.Linear(3, 3))
        self.num_images = 0

    def forward(self, images: Tensor) -> Tensor:
        self.num_images += len(images)
        return super().forward(images)


@pytest.mark.parametrize(("room", "num_passes"), [(0, 2), (1000, 1)])
def test_values_are_the_same_whether_they_are_computed_again_or_stored(room: int, num_passes: int) -> None:
    net, shown = _Counting(), torch.randn(6, 3).split(2)
    places = [Place("0", "output"), Place("1", "output")]
    errands = [
        Errand(frozenset({place}), lambda found, _num, place=place: {"wanted": found[place]}, 12, 0) for place in places
    ]
    values = looking_ahead(net, errands, num_images=6, room=room)
    first = [values(0, number, batch)["wanted"] for number, batch in enumerate(shown)]
    second = [values(1, number, batch)["wanted"] for number, batch in enumerate(shown)]
    torch.testing.assert_close(torch.cat(first), net[0](torch.cat(shown)))
    torch.testing.assert_close(torch.cat(second), net(torch.cat(shown)))
    assert net.num_images == 6 * num_passes + 6
    assert not torch.equal(values(1, 0, shown[1])["wanted"], second[0])  # what was taken is gone


def test_with_room_the_source_sees_every_image_once_and_one_again_for_each_turn() -> None:
    source, target = seeded(Residual, 4), seeded(Residual, 2, seed=1)
    plan = started(source, target)
    seen: list[int] = []
    # Whoever traces the network shows it an image of another size.
    source.register_forward_pre_hook(lambda _module, args: seen.append(len(args[0]) * (args[0].shape[-1] == 10)))
    fitting = fitted(target, source, plan, Batches(images(60), 20))
    num_turns = len({row.layer for row in fitting.layers}) - 2  # a block's two layers take one
    assert sum(seen) == 60 + num_turns
