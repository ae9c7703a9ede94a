from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from tlvcli.core.errors import TlvError
from tlvcli.data.augmentation import Augmentation
from tlvcli.data.datasets import open_dataset
from tlvcli.data.image_dataset import ImageDataset
from tlvcli.data.loading import choose_workers, evaluation_batches, num_batches, training_batches
from tlvcli.data.reference import parse_data_reference
from tlvcli.data.transforms import default_preprocessing, evaluation_transform, normalise

WriteClasses = Callable[[Path, dict[str, int]], Path]
CPU = torch.device("cpu")


@pytest.fixture
def digits() -> ImageDataset:
    return open_dataset(parse_data_reference("digits"), "train").subset(range(21))


def _train(
    dataset: ImageDataset, *, workers: int = 0, seed: int = 0, epochs: int = 2, policy: str = "standard"
) -> list[tuple[torch.Tensor, list[int]]]:
    batches = training_batches(
        dataset,
        default_preprocessing(dataset.traits, channels=1),
        batch_size=8,
        epochs=epochs,
        seed=seed,
        workers=workers,
        device=CPU,
        drop_single=False,
        augmentation=Augmentation(policy),
    )
    return [(batch.images, batch.labels.tolist()) for batch in batches]


def test_workers_change_nothing(digits: ImageDataset) -> None:
    # Image by image, as the standard augmentation of small images needs no workers.
    alone = _train(digits, policy="trivialaugment")
    for workers in (1, 3):
        shared = _train(digits, policy="trivialaugment", workers=workers)
        assert [labels for _, labels in shared] == [labels for _, labels in alone]
        assert all(torch.equal(a, b) for (a, _), (b, _) in zip(alone, shared, strict=True))


def test_epochs_and_seeds_differ(digits: ImageDataset) -> None:
    batches = _train(digits)
    assert [len(labels) for _, labels in batches] == [8, 8, 5] * 2
    first, second = ([label for _, labels in batches[part] for label in labels] for part in (slice(3), slice(3, 6)))
    assert sorted(first) == sorted(second) == sorted(digits.labels)
    assert first != second
    assert _train(digits, seed=1)[0][1] != batches[0][1]


def test_the_global_generator_is_left_alone(digits: ImageDataset) -> None:
    before = torch.get_rng_state()
    _train(digits)
    _train(digits, policy="randaugment", workers=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_evaluation_keeps_the_order(digits: ImageDataset) -> None:
    batches = list(
        evaluation_batches(
            digits,
            default_preprocessing(digits.traits),
            batch_size=8,
            workers=0,
            device=CPU,
            passes=2,
        )
    )
    assert [label for batch in batches for label in batch.labels.tolist()] == [*digits.labels] * 2
    assert torch.equal(batches[0].images, batches[3].images)
    assert batches[0].images.shape == (8, 3, 32, 32)
    assert batches[0].images.dtype == torch.float32


def test_a_single_last_image_is_dropped_on_demand(digits: ImageDataset) -> None:
    assert [num_batches(n, 8) for n in (7, 8, 9, 10)] == [1, 1, 2, 2]
    assert [num_batches(n, 8, drop_single=True) for n in (1, 7, 8, 9, 10)] == [0, 1, 1, 1, 2]
    batches = training_batches(
        digits,
        default_preprocessing(digits.traits),
        batch_size=10,
        epochs=2,
        seed=0,
        workers=0,
        device=CPU,
        drop_single=True,
    )
    assert [len(batch.labels) for batch in batches] == [10] * 4


@pytest.mark.parametrize(("image_size", "resize_size"), [(32, 32), (20, 26), (64, 73)])
@pytest.mark.parametrize("channels", [1, 3])
def test_evaluation_from_memory_is_bit_identical(
    tmp_path: Path, write_classes: WriteClasses, image_size: int, resize_size: int, channels: int
) -> None:
    write_classes(tmp_path, {"ant": 3, "bee": 4})
    dataset = open_dataset(parse_data_reference(str(tmp_path)), "all")
    traits = replace(dataset.traits, image_size=image_size, resize_size=resize_size)
    preprocessing = default_preprocessing(traits, channels=channels)

    def evaluate(passes: int) -> torch.Tensor:
        batches = evaluation_batches(dataset, preprocessing, batch_size=4, workers=0, device=CPU, passes=passes)
        return torch.cat([batch.images for batch in batches])

    transform = evaluation_transform(preprocessing)
    pixels = torch.stack([transform(dataset.read(position, channels=channels)) for position in range(7)])
    by_hand = normalise(pixels, preprocessing)
    assert torch.equal(evaluate(1), by_hand)
    assert torch.equal(evaluate(2), torch.cat([by_hand, by_hand]))


@pytest.mark.parametrize("workers", [0, 2])
def test_unreadable_images_are_left_out_on_demand(tmp_path: Path, write_classes: WriteClasses, workers: int) -> None:
    write_classes(tmp_path, {"ant": 4, "bee": 4})
    unreadable = [str(tmp_path / file) for file in ("ant/001.png", "bee/002.png", "bee/003.png")]
    for file in unreadable:
        Path(file).write_bytes(b"no image")
    skipped: list[str] = []
    dataset = open_dataset(parse_data_reference(str(tmp_path)), "all")
    batches = list(
        evaluation_batches(
            dataset,
            default_preprocessing(dataset.traits),
            batch_size=2,
            workers=workers,
            device=CPU,
            skip_unreadable=skipped.append,
        )
    )
    assert [batch.positions.tolist() for batch in batches] == [[0], [2, 3], [4, 5]]
    assert [batch.labels.tolist() for batch in batches] == [[0], [0, 0], [1, 1]]
    assert [len(batch.images) for batch in batches] == [1, 2, 2]
    assert skipped == unreadable


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_image_is_named(tmp_path: Path, write_classes: WriteClasses, workers: int) -> None:
    write_classes(tmp_path, {"ant": 6, "bee": 6})
    (tmp_path / "bee" / "004.png").write_bytes(b"\x89PNG\r\n\x1a\n but no more")
    with pytest.raises(TlvError, match=r"cannot read .*bee/004\.png") as caught:
        _train(open_dataset(parse_data_reference(str(tmp_path)), "all"), workers=workers)
    assert caught.value.error_id == "image-unreadable"


@dataclass(frozen=True)
class _Deadly:
    def read(self, index: int) -> Image.Image:
        if index:
            os._exit(9)
        # Larger than what is kept in memory: no other image is read before the workers start.
        return Image.new("L", (80, 80))

    def where(self, index: int) -> str:
        return "nowhere"

    def identity(self, index: int) -> bytes:
        return b""


def test_a_worker_that_dies_is_reported(digits: ImageDataset) -> None:
    with pytest.raises(TlvError) as caught:
        _train(replace(digits, source=_Deadly(), indices=tuple(range(21))), workers=1)
    assert caught.value.error_id == "worker-died"


def test_closing_early_ends_the_workers(digits: ImageDataset) -> None:
    import multiprocessing

    batches = evaluation_batches(digits, default_preprocessing(digits.traits), batch_size=2, workers=2, device=CPU)
    before = set(multiprocessing.active_children())
    next(batches)
    assert len(set(multiprocessing.active_children()) - before) == 2
    batches.close()
    assert set(multiprocessing.active_children()) <= before


def test_workers_by_data_and_cores(
    tmp_path: Path, write_classes: WriteClasses, digits: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_classes(tmp_path, {"ant": 1, "bee": 1})
    files = open_dataset(parse_data_reference(str(tmp_path)), "all")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(6), raising=False)
    assert choose_workers(digits, None, torch.device("cuda")) == 0
    assert choose_workers(digits, 3, CPU) == 3
    assert choose_workers(files, None, torch.device("cuda")) == 6
    assert choose_workers(files, None, CPU) == 1
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(2), raising=False)
    assert choose_workers(files, None, CPU) == 0
