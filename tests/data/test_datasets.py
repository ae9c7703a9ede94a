from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tlvcli.core.errors import TlvError
from tlvcli.data.datasets import open_dataset, open_evaluation_data, open_training_data, splits_of
from tlvcli.data.reference import parse_data_reference
from tlvcli.data.torchvision_images import open_torchvision
from tlvcli.data.torchvision_sets import TORCHVISION_SETS


def test_digits_are_split_once_and_for_all() -> None:
    reference = parse_data_reference("digits")
    parts = {split: open_dataset(reference, split) for split in splits_of(reference)}
    assert {split: len(part) for split, part in parts.items()} == {"train": 1258, "val": 180, "test": 359}
    indices = sorted(index for part in parts.values() for index in part.indices)
    assert indices == list(range(1797))
    for part in parts.values():
        shares = np.bincount(part.labels) / len(part)
        assert shares.min() > 0.09
        assert shares.max() < 0.11
    # Who compares accuracies on digits compares them on these 359 images.
    test = ",".join(map(str, parts["test"].indices))
    assert hashlib.sha256(test.encode()).hexdigest()[:16] == "f7cf2e3e73c57d48"


def test_digits_are_the_images_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    raw = load_digits()
    test = open_evaluation_data(parse_data_reference("digits"), data_seed=0)
    index = test.indices[5]
    assert test.labels[5] == raw.target[index]
    pixels = np.asarray(test.read(5, channels=1), dtype=np.float64)
    np.testing.assert_allclose(pixels * 16 / 255, raw.images[index], atol=0.04)
    assert test.class_names == tuple("0123456789")


def test_a_sample_of_digits_is_stratified_and_repeats() -> None:
    reference = parse_data_reference("digits@train:100")
    first = open_training_data(reference, data_seed=0).train
    assert np.bincount(first.labels).tolist() == [10] * 10
    assert open_training_data(reference, data_seed=0).train.indices == first.indices
    assert open_training_data(reference, data_seed=1).train.indices != first.indices


def test_a_sample_that_leaves_classes_out_says_so() -> None:
    data = open_training_data(parse_data_reference("digits@train:3"), data_seed=0)
    assert data.train.warnings == ("digits@train:3: 7 of 10 classes have no image to train on",)
    assert open_training_data(parse_data_reference("digits@train:10"), data_seed=0).train.warnings == ()


@pytest.fixture
def dtd_root(tmp_path: Path) -> Path:
    """The folders of the Describable Textures Dataset as torchvision expects them, with two classes."""
    labels, images = tmp_path / "dtd" / "dtd" / "labels", tmp_path / "dtd" / "dtd" / "images"
    labels.mkdir(parents=True)
    for class_name, shade in (("banded", 40), ("dotted", 200)):
        (images / class_name).mkdir(parents=True)
        for number in range(6):
            picture = Image.new("RGB", (12, 10), (shade, number, 0))
            picture.save(images / class_name / f"{class_name}_{number}.png")
    for split, numbers in (("train", (0, 1, 2)), ("val", (3,)), ("test", (4, 5))):
        lines = [f"{name}/{name}_{number}.png" for name in ("banded", "dotted") for number in numbers]
        (labels / f"{split}1.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_dtd(dtd_root: Path) -> None:
    reference = parse_data_reference(f"dtd:{dtd_root}")
    assert splits_of(reference) == ("train", "val", "test")
    data = open_training_data(reference, data_seed=0)
    assert (data.train.labels, data.val.labels) == ((0, 0, 0, 1, 1, 1), (0, 1))
    assert data.train.class_names == ("banded", "dotted")
    test = open_evaluation_data(reference, data_seed=0)
    assert (test.split, test.kind) == ("test", "torchvision")
    assert test.read(3, channels=3).getpixel((0, 0)) == (200, 5, 0)
    assert test.source.where(3) == str(dtd_root / "dtd" / "dtd" / "images" / "dotted" / "dotted_5.png")


def test_dtd_names_a_damaged_file(dtd_root: Path) -> None:
    test = open_evaluation_data(parse_data_reference(f"dtd:{dtd_root}"), data_seed=0)
    Path(test.source.where(0)).write_bytes(b"not an image")
    with pytest.raises(TlvError, match=r"banded_4\.png"):
        test.read(0, channels=3)


@pytest.mark.parametrize("name", sorted(TORCHVISION_SETS))
def test_missing_data_say_so(tmp_path: Path, name: str) -> None:
    for split in TORCHVISION_SETS[name].splits:
        with pytest.raises(TlvError) as caught:
            open_torchvision(name, tmp_path, split, download=False)
        assert caught.value.error_id == "data-missing"
        assert ("--download" in caught.value.hint) == TORCHVISION_SETS[name].downloadable
    with pytest.raises(TlvError, match="there is no such folder"):
        open_torchvision(name, tmp_path / "nowhere", split, download=False)


def test_what_cannot_be_fetched_is_not_tried(tmp_path: Path) -> None:
    with pytest.raises(TlvError) as caught:
        open_torchvision("imagenet", tmp_path, "val", download=True)
    assert caught.value.error_id == "data-not-downloadable"


def test_every_entry_names_a_class_of_torchvision() -> None:
    from torchvision import datasets

    for entry in TORCHVISION_SETS.values():
        assert callable(getattr(datasets, entry.builder))
        assert set(entry.splits) <= {"train", "val", "test", "all"}


def test_imagenet_is_named_as_pretrained_weights_name_it() -> None:
    from tlvcli.data.torchvision_images import _class_names

    names = _class_names("imagenet", None)
    assert (len(names), names[0], names[999]) == (1000, "tench", "toilet tissue")


def test_eurosat_is_not_divided(tmp_path: Path) -> None:
    for class_name in ("Forest", "River"):
        folder = tmp_path / "eurosat" / "2750" / class_name
        folder.mkdir(parents=True)
        for number in range(5):
            Image.new("RGB", (64, 64)).save(folder / f"{class_name}_{number}.jpg")
    reference = parse_data_reference(f"eurosat:{tmp_path}")
    data = open_training_data(reference, data_seed=0)
    assert (len(data.train), len(data.val)) == (9, 1)
    with pytest.raises(TlvError, match="is not divided into splits"):
        open_evaluation_data(parse_data_reference(f"eurosat:{tmp_path}@test"), data_seed=0)


def test_one_class_is_enough_where_labels_are_not_looked_at(tmp_path: Path) -> None:
    folder = tmp_path / "photos" / "train" / "all"
    folder.mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(folder / "a.png")
    reference = parse_data_reference(str(tmp_path / "photos"))
    assert len(open_evaluation_data(reference, data_seed=0, one_class=True)) == 1
    with pytest.raises(TlvError) as raised:
        open_evaluation_data(reference, data_seed=0)
    assert raised.value.error_id == "data-one-class"
