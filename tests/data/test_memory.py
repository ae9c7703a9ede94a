from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tlvcli.core.errors import TlvError
from tlvcli.data import memory
from tlvcli.data.datasets import open_dataset
from tlvcli.data.image_dataset import ImageDataset
from tlvcli.data.reference import parse_data_reference
from tlvcli.data.torchvision_sets import ImageTraits
from tlvcli.data.transforms import default_preprocessing, evaluation_transform, resizing_transform

WriteClasses = Callable[[Path, dict[str, int]], Path]


@pytest.fixture
def folder(tmp_path: Path, write_classes: WriteClasses) -> ImageDataset:
    """Seven images of 20 x 16 pixels and one of 9 x 12."""
    write_classes(tmp_path, {"ant": 3, "bee": 4})
    Image.fromarray(np.arange(108, dtype=np.uint8).reshape(12, 9)).save(tmp_path / "bee" / "other.png")
    return open_dataset(parse_data_reference(str(tmp_path)), "all")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("workers", [0, 2, None])
def test_images_are_what_they_were(
    folder: ImageDataset, channels: int, workers: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_FEW_IMAGES", 2)
    monkeypatch.setattr(memory, "_READ_TOGETHER", 3)
    some = folder.subset([7, 2, 0, 5])
    decoded = memory.decode_small(some, channels=channels, workers=workers)
    assert decoded is not None
    assert (decoded.labels, decoded.class_names, decoded.in_memory) == (some.labels, some.class_names, True)
    for position in range(4):
        ours, theirs = (dataset.read(position, channels=channels) for dataset in (decoded, some))
        assert ours.mode == theirs.mode
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))
        assert decoded.where(position) == some.where(position)
        assert decoded.source.identity(position) == some.source.identity(some.indices[position])


def test_large_images_stay_where_they_are(folder: ImageDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    assert memory.decode_small(folder, channels=3, workers=0) is not None
    monkeypatch.setattr(memory, "_LARGEST_SIDE", 19)
    # The only small one comes first.
    assert memory.decode_small(folder.subset([7, 0, 1]), channels=3, workers=0) is None
    assert memory.decode_small(folder.subset([7]), channels=3, workers=0) is not None


def test_memory_is_bounded(folder: ImageDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    num_bytes = 7 * 20 * 16 + 9 * 12
    monkeypatch.setattr(memory, "_MOST_BYTES", num_bytes)
    decoded = memory.decode_small(folder.subset([7, *range(7)]), channels=1, workers=0)
    assert decoded is not None
    assert memory.stack_resized(decoded, default_preprocessing(ImageTraits(32, 32), channels=1), crops=True) is None
    monkeypatch.setattr(memory, "_MOST_BYTES", num_bytes - 1)
    assert memory.decode_small(folder.subset([7, *range(7)]), channels=1, workers=0) is None
    assert memory.decode_small(folder, channels=1, workers=0) is None


def test_a_damaged_image_is_named(folder: ImageDataset) -> None:
    for position in (0, 4):
        Path(folder.where(position)).write_bytes(b"no image")
        with pytest.raises(TlvError, match="cannot read") as caught:
            memory.decode_small(folder, channels=3, workers=0)
        assert folder.where(0) in caught.value.message


def test_stacks_are_what_the_transforms_give(folder: ImageDataset) -> None:
    decoded = memory.decode_small(folder, channels=3, workers=0)
    assert decoded is not None
    for traits in (ImageTraits(32, 32), ImageTraits(24, 30), ImageTraits(8, 8)):
        preprocessing = default_preprocessing(traits)
        stacked = memory.stack_resized(decoded, preprocessing, crops=True)
        assert stacked is not None
        transform = evaluation_transform(preprocessing)
        for position in range(8):
            expected = transform(folder.read(position, channels=3))
            assert torch.equal(stacked[position].permute(2, 0, 1), expected)
        # They are no squares, so resized alone they do not fit.
        assert memory.stack_resized(decoded, preprocessing, crops=False) is None


@pytest.mark.parametrize("size", [8, 32])
def test_squares_are_resized_once(size: int) -> None:
    digits = open_dataset(parse_data_reference("digits"), "val").subset(range(5))
    decoded = memory.decode_small(digits, channels=1, workers=0)
    assert decoded is not None
    preprocessing = default_preprocessing(ImageTraits(size, size), channels=1)
    stacked = memory.stack_resized(decoded, preprocessing, crops=False)
    assert stacked is not None
    transform = resizing_transform(preprocessing)
    for position in range(5):
        expected = transform(digits.read(position, channels=1))
        assert torch.equal(stacked[position].permute(2, 0, 1), expected)
