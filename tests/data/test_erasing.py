from __future__ import annotations

import math
import random

import numpy as np
import pytest
import torch
from scipy.stats import binomtest, ks_2samp

from tlvcli.core.runtime import make_generator
from tlvcli.data.erasing import draw_rectangles, erase


def test_rectangles_are_those_of_timm() -> None:
    from timm.data.random_erasing import RandomErasing

    side = 64
    drawn = draw_rectangles(4000, 0.5, side, make_generator(0))
    erased = drawn[drawn[:, 2] > 0]
    assert binomtest(len(erased), 4000).pvalue > 0.001
    assert (drawn[drawn[:, 2] == 0] == 0).all()
    assert (erased >= 0).all()
    assert (erased[:, :2] + erased[:, 2:] <= side).all()
    before = random.getstate()
    random.seed(0)
    theirs = []
    eraser = RandomErasing(probability=1.0, mode="const", device="cpu")
    for _ in range(1000):
        hole = eraser(torch.ones(1, side, side))[0] == 0
        rows, columns = (hole.any(axis).nonzero().flatten() for axis in (1, 0))
        theirs.append((int(rows[0]), int(columns[0]), len(rows), len(columns)))
    random.setstate(before)
    for number in range(4):
        assert ks_2samp(erased[:, number].numpy(), np.array(theirs)[:, number]).pvalue > 0.001
    areas = erased[:, 2] * erased[:, 3]
    assert areas.min() > 0.01 * side**2
    assert areas.max() < 0.35 * side**2


def test_every_probability_and_size_works() -> None:
    assert (draw_rectangles(50, 0.0, 8, make_generator(0)) == 0).all()
    always = draw_rectangles(500, 1.0, 8, make_generator(0))
    assert (always[:, 2:] >= 1).all()
    assert (always[:, 2:] < 8).all()


@pytest.mark.parametrize("mode", ["constant", "pixel"])
def test_only_rectangles_change(mode: str) -> None:
    images = torch.full((3, 2, 16, 16), 7.0)
    rectangles = torch.tensor([[0, 0, 0, 0], [2, 3, 4, 5], [10, 0, 6, 16]])
    erased = erase(images, rectangles, mode, seed=0, epoch=1, places=[4, 5, 6])  # type: ignore[arg-type]
    assert (images == 7.0).all()
    assert torch.equal(erased[0], images[0])
    for number, (top, left, height, width) in ((1, (2, 3, 4, 5)), (2, (10, 0, 6, 16))):
        inside = torch.zeros(16, 16, dtype=torch.bool)
        inside[top : top + height, left : left + width] = True
        assert (erased[number][:, ~inside] == 7.0).all()
        filled = erased[number][:, inside]
        if mode == "constant":
            assert (filled == 0).all()
        else:
            assert len(filled.unique()) == filled.numel()
            assert abs(float(filled.mean())) < 4 / math.sqrt(filled.numel())


def test_noise_follows_the_place_not_the_batch() -> None:
    images, rectangles = torch.zeros(3, 1, 8, 8), torch.tensor([[1, 1, 5, 5]] * 3)
    together = erase(images, rectangles, "pixel", seed=0, epoch=1, places=[4, 5, 6])
    alone = erase(images[:1], rectangles[:1], "pixel", seed=0, epoch=1, places=[5])
    assert torch.equal(together[1], alone[0])
    assert not torch.equal(together[0], alone[0])
