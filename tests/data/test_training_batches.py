from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from PIL import Image

from tlvcli.data.augmentation import Augmentation
from tlvcli.data.datasets import open_dataset
from tlvcli.data.image_dataset import ImageDataset
from tlvcli.data.loading import Batch, evaluation_batches, num_batches, training_batches
from tlvcli.data.order import num_evaluation_batches
from tlvcli.data.reference import parse_data_reference
from tlvcli.data.transforms import default_preprocessing

CPU = torch.device("cpu")
# Kept in memory and shifted a batch at a time; image by image; with what is drawn after normalisation.
SHIFTED, ONE_BY_ONE = Augmentation(), Augmentation("trivialaugment")
ERASED = Augmentation("none", erasing=0.9, erasing_mode="pixel")
ALL = pytest.mark.parametrize("augmentation", [SHIFTED, ONE_BY_ONE, ERASED])


@pytest.fixture
def digits() -> ImageDataset:
    return open_dataset(parse_data_reference("digits"), "train").subset(range(21))


def _train(dataset: ImageDataset, augmentation: Augmentation = SHIFTED, **others: Any) -> list[Batch]:
    settings = {"batch_size": 8, "epochs": 2, "seed": 0, "workers": 0, "drop_single": False, **others}
    preprocessing = default_preprocessing(dataset.traits, channels=1)
    return list(training_batches(dataset, preprocessing, device=CPU, augmentation=augmentation, **settings))


def _images(batches: list[Batch]) -> torch.Tensor:
    return torch.cat([batch.images for batch in batches])


@ALL
def test_augmentation_follows_the_image_not_the_batch(digits: ImageDataset, augmentation: Augmentation) -> None:
    batches = _train(digits, augmentation)
    assert torch.equal(_images(batches), _images(_train(digits, augmentation, batch_size=5)))
    first, second = (
        {int(p): i for b in part for p, i in zip(b.positions, b.images, strict=True)}
        for part in (batches[:3], batches[3:])
    )
    assert sum(torch.equal(first[position], second[position]) for position in range(21)) < 4
    for batch in batches:
        assert batch.labels.tolist() == [digits.labels[position] for position in batch.positions]
        assert batch.global_size == len(batch.labels)


@ALL
@pytest.mark.parametrize(("sampling", "workers"), [("shuffled", 0), ("shuffled", 2), ("balanced", 0)])
def test_a_run_goes_on_in_mid_epoch(
    digits: ImageDataset, augmentation: Augmentation, sampling: str, workers: int
) -> None:
    whole = _train(digits, augmentation, epochs=3, sampling=sampling)
    rest = _train(digits, augmentation, epochs=3, sampling=sampling, workers=workers, first_epoch=2, first_step=1)
    assert len(rest) == 5
    for before, after in zip(whole[4:], rest, strict=True):
        assert torch.equal(before.positions, after.positions)
        assert torch.equal(before.labels, after.labels)
        assert torch.equal(before.images, after.images)


@dataclass(frozen=True)
class _Counted:
    reads: list[int]

    def read(self, index: int) -> Image.Image:
        self.reads.append(index)
        return Image.new("L", (80, 80))

    def where(self, index: int) -> str:
        return "nowhere"

    def identity(self, index: int) -> bytes:
        return b""


def test_what_is_done_is_not_read_again(digits: ImageDataset) -> None:
    source = _Counted([])
    _train(replace(digits, source=source), epochs=2, first_epoch=2, first_step=2)
    assert len(source.reads) == 1 + 5  # the first one tells that images are large


@pytest.mark.parametrize("augmentation", [SHIFTED, ONE_BY_ONE])
def test_an_image_drawn_twice_is_seen_differently(digits: ImageDataset, augmentation: Augmentation) -> None:
    batches = _train(digits.subset([0, 1]), augmentation, epochs=20, batch_size=2, sampling="balanced")
    twice = [batch.images for batch in batches if batch.positions[0] == batch.positions[1]]
    assert len(twice) > 4
    assert sum(torch.equal(first, second) for first, second in twice) <= len(twice) // 2


def test_in_order_and_none_are_the_evaluation(digits: ImageDataset) -> None:
    preprocessing = default_preprocessing(digits.traits, channels=1)
    evaluated = list(evaluation_batches(digits, preprocessing, batch_size=8, workers=0, device=CPU))
    assert torch.equal(_images(_train(digits, Augmentation("none"), epochs=1, sampling="in-order")), _images(evaluated))


@ALL
def test_processes_together_see_what_one_would(digits: ImageDataset, augmentation: Augmentation) -> None:
    alone = _train(digits, augmentation, batch_size=6)
    shares = [
        _train(digits, augmentation, batch_size=2, rank=rank, world_size=3, workers=rank % 2) for rank in range(3)
    ]
    assert [len(batch.labels) for batch in shares[0]] == [2, 2, 2, 1] * 2
    for whole, *parts in zip(alone, *shares, strict=True):
        for rank, part in enumerate(parts):
            assert torch.equal(whole.positions[rank::3], part.positions)
            assert torch.equal(whole.images[rank::3], part.images)
            assert part.global_size == len(whole.labels)


@pytest.mark.parametrize(
    ("world_size", "drop_single", "expected"),
    [(4, False, 1), (5, False, 1), (2, False, 2), (2, True, 2), (1, True, 4), (11, True, 0)],
)
def test_every_process_takes_as_many_steps(
    digits: ImageDataset, world_size: int, drop_single: bool, expected: int
) -> None:
    # 21 images: a last batch of one is less than several processes can share.
    steps = {
        len(_train(digits, epochs=1, batch_size=5, rank=rank, world_size=world_size, drop_single=drop_single))
        for rank in range(world_size)
    }
    assert steps == {expected} == {num_batches(21, 5, drop_single=drop_single, world_size=world_size)}


def test_processes_share_the_evaluation_without_padding(digits: ImageDataset) -> None:
    preprocessing = default_preprocessing(digits.traits, channels=1)
    seen = []
    for rank in range(4):
        batches = list(
            evaluation_batches(digits, preprocessing, batch_size=2, workers=0, device=CPU, rank=rank, world_size=4)
        )
        assert len(batches) == num_evaluation_batches(21, 2, rank=rank, world_size=4)
        assert [batch.global_size for batch in batches][:2] == [8, 8]
        for batch in batches:
            assert batch.labels.tolist() == [digits.labels[position] for position in batch.positions]
            seen += batch.positions.tolist()
    assert sorted(seen) == list(range(21))
