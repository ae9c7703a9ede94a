from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from tlvcli.core.runtime import make_generator
from tlvcli.data.sampling import class_weights, hold_out, stratified_sample


def _counts(labels: list[int], positions: list[int]) -> dict[int, int]:
    return dict(Counter(labels[position] for position in positions))


def test_classes_keep_their_proportion() -> None:
    labels = [0] * 60 + [1] * 30 + [2] * 10
    taken = stratified_sample(labels, 10, make_generator(0))
    assert _counts(labels, taken) == {0: 6, 1: 3, 2: 1}
    assert taken == sorted(set(taken))


def test_largest_remainder() -> None:
    labels = [0] * 5 + [1] * 3 + [2] * 2
    # Quotas of 7: 3.5, 2.1, 1.4; the one that is left goes to the largest remainder.
    assert _counts(labels, stratified_sample(labels, 7, make_generator(0))) == {0: 4, 1: 2, 2: 1}


def test_same_generator_same_sample() -> None:
    labels = [position % 10 for position in range(1000)]
    first = stratified_sample(labels, 100, make_generator(3))
    assert first == stratified_sample(labels, 100, make_generator(3))
    assert first != stratified_sample(labels, 100, make_generator(4))


def test_fewer_images_than_classes_fall_to_different_classes() -> None:
    labels = list(range(10))
    samples = {tuple(stratified_sample(labels, 2, make_generator(seed))) for seed in range(5)}
    assert len(samples) > 1


@pytest.mark.parametrize("num_images", [1, 7, 99, 100])
def test_exactly_as_many_as_asked(num_images: int) -> None:
    labels = [0] * 50 + [1] * 33 + [2] * 16 + [3]
    assert len(stratified_sample(labels, num_images, make_generator(0))) == num_images


def test_hold_out_takes_a_tenth_and_no_class_s_last_image() -> None:
    labels = [0] * 50 + [1] * 49 + [2]
    stay, held_out = hold_out(labels, 0.1, make_generator(0))
    assert len(held_out) == 10
    assert sorted(stay + held_out) == list(range(100))
    assert _counts(labels, held_out) == {0: 5, 1: 5}
    assert labels.index(2) in stay


def test_hold_out_takes_one_at_the_least() -> None:
    stay, held_out = hold_out([0, 0, 1, 1], 0.1, make_generator(0))
    assert (len(stay), len(held_out)) == (3, 1)


def test_class_weights_are_those_of_scikit_learn() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    labels = [0] * 50 + [1] * 33 + [3] * 17
    weights = class_weights(labels, 5)
    expected = compute_class_weight("balanced", classes=np.array([0, 1, 3]), y=np.array(labels))
    np.testing.assert_allclose(weights[[0, 1, 3]], expected, rtol=1e-6)
    assert weights[[2, 4]].tolist() == [0.0, 0.0]
    assert abs(float(weights[labels].mean()) - 1) < 1e-6
