from __future__ import annotations

import numpy as np
import torch
from scipy.stats import binomtest, chisquare

from tlvcli.core.runtime import make_generator
from tlvcli.data.shifting import Shifts, draw_shifts, shift_images


def test_shifts_by_hand() -> None:
    side, padding = 9, 3
    stored = torch.randint(0, 256, (5, side, side, 3), dtype=torch.uint8, generator=make_generator(0))
    positions = torch.tensor([4, 0, 0, 2])
    shifts = Shifts(torch.tensor([[0, 0], [-3, 3], [2, -1], [3, 3]]), torch.tensor([False, True, False, True]))
    shifted = shift_images(stored, positions, shifts)
    assert shifted.shape == (4, 3, side, side)
    assert shifted.is_contiguous()
    for number, position in enumerate(positions):
        padded = np.pad(stored[position].numpy(), ((padding, padding), (padding, padding), (0, 0)), mode="reflect")
        down, right = (padding + int(offset) for offset in shifts.offsets[number])
        window = padded[down : down + side, right : right + side]
        if shifts.mirrored[number]:
            window = window[:, ::-1]
        np.testing.assert_array_equal(shifted[number].permute(1, 2, 0), window)


def test_draws_are_uniform() -> None:
    drawn = draw_shifts(20_000, 4, mirrors=True, generator=make_generator(0))
    for axis in (0, 1):
        counts = np.bincount(drawn.offsets[:, axis] + 4, minlength=9)
        assert len(counts) == 9
        assert chisquare(counts).pvalue > 0.001
    together = np.bincount((drawn.offsets[:, 0] + 4) * 9 + drawn.offsets[:, 1] + 4, minlength=81)
    assert chisquare(together).pvalue > 0.001
    assert binomtest(int(drawn.mirrored.sum()), 20_000).pvalue > 0.001
    assert not draw_shifts(100, 4, mirrors=False, generator=make_generator(0)).mirrored.any()


def test_views_are_those_of_torchvision() -> None:
    from torchvision.transforms import v2

    pixels = torch.arange(3 * 8 * 8, dtype=torch.uint8).reshape(3, 8, 8)
    crop = v2.Compose([v2.RandomCrop(8, padding=1, padding_mode="reflect"), v2.RandomHorizontalFlip()])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = {crop(pixels).numpy().tobytes() for _ in range(400)}
    drawn = draw_shifts(400, 1, mirrors=True, generator=make_generator(0))
    ours = shift_images(pixels.permute(1, 2, 0)[None].contiguous(), torch.zeros(400, dtype=torch.long), drawn)
    assert {image.numpy().tobytes() for image in ours} == theirs
    assert len(theirs) == 18
