from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tlvcli.core.errors import TlvError
from tlvcli.data.datasets import open_dataset, open_evaluation_data, open_training_data, splits_of
from tlvcli.data.image_dataset import ImageDataset
from tlvcli.data.reference import parse_data_reference

WriteClasses = Callable[[Path, dict[str, int]], Path]


def _open(folder: Path, split: str) -> ImageDataset:
    return open_dataset(parse_data_reference(str(folder)), split)


def test_splits_with_class_folders(tmp_path: Path, write_classes: WriteClasses) -> None:
    write_classes(tmp_path / "train", {"bee": 3, "ant": 2})
    write_classes(tmp_path / "test", {"bee": 1, "ant": 1})
    assert splits_of(parse_data_reference(str(tmp_path))) == ("train", "test")
    train = _open(tmp_path, "train")
    assert train.class_names == ("ant", "bee")
    assert train.labels == (0, 0, 1, 1, 1)
    assert train.source.where(2) == str(tmp_path / "train" / "bee" / "000.png")
    assert train.read(0, channels=3).size == (20, 16)
    assert train.warnings == ()


def test_class_folders_directly(tmp_path: Path, write_classes: WriteClasses) -> None:
    write_classes(tmp_path, {"car": 2, "train": 3})  # a train is a vehicle here, not a split
    assert splits_of(parse_data_reference(str(tmp_path))) == ("all",)
    assert _open(tmp_path, "all").class_names == ("car", "train")


def test_images_in_folders_below_a_class(tmp_path: Path, write_classes: WriteClasses) -> None:
    write_classes(tmp_path, {"ant/red": 2, "ant/black": 1, "bee": 1})
    dataset = _open(tmp_path, "all")
    assert (dataset.class_names, dataset.labels) == (("ant", "bee"), (0, 0, 0, 1))


def test_what_is_not_read_is_said(tmp_path: Path, write_classes: WriteClasses) -> None:
    write_classes(tmp_path / "train", {"ant": 1, "bee": 1})
    write_classes(tmp_path / "valid", {"ant": 1, "bee": 1})
    (tmp_path / "train" / "ant" / "notes.txt").touch()
    (tmp_path / "train" / "ant" / ".DS_Store").touch()
    write_classes(tmp_path / "train" / "ant", {".thumbnails": 1})
    train = _open(tmp_path, "train")
    assert len(train) == 2
    beside, others = train.warnings
    assert beside.endswith("with class folders: valid")
    assert others.endswith(f"left out 1 file, no images by suffix, as {tmp_path}/train/ant/notes.txt")


def test_links_that_lead_back_do_not_repeat_images(tmp_path: Path, write_classes: WriteClasses) -> None:
    write_classes(tmp_path / "data", {"ant": 2, "ant/red": 1, "bee": 1})
    write_classes(tmp_path / "elsewhere", {"more": 3})
    ant = tmp_path / "data" / "ant"
    (ant / "again").symlink_to(ant)
    (ant / "red" / "up").symlink_to(ant, target_is_directory=True)
    (ant / "linked").symlink_to(tmp_path / "elsewhere" / "more")
    (ant / "twice").symlink_to(tmp_path / "elsewhere" / "more")
    dataset = _open(tmp_path / "data", "all")
    files = [Path(dataset.where(position)).relative_to(ant.parent) for position in range(len(dataset))]
    assert [str(file) for file in files] == [
        *("ant/000.png", "ant/001.png", "ant/linked/000.png", "ant/linked/001.png", "ant/linked/002.png"),
        *("ant/red/000.png", "bee/000.png"),
    ]
    assert len({file.resolve() for file in map(ant.parent.joinpath, files)}) == len(files) == 7


def test_names_that_are_no_utf8_are_text_in_what_is_said(tmp_path: Path, write_classes: WriteClasses) -> None:
    write_classes(tmp_path / "train", {"ant": 1, os.fsdecode(b"b\xffe"): 1})
    (tmp_path / "train" / "ant" / os.fsdecode(b"\xfe.txt")).touch()
    (tmp_path / os.fsdecode(b"\xfd") / "x").mkdir(parents=True)
    dataset = _open(tmp_path, "train")
    assert dataset.class_names == ("ant", "b\ufffde")
    assert dataset.read(1, channels=3).size == (20, 16)
    beside, others = dataset.warnings
    assert (beside[-1], others[-6:]) == ("\ufffd", "/\ufffd.txt")


@pytest.mark.parametrize(
    ("counts", "error_id"),
    [({}, "data-no-classes"), ({"ant": 0, "bee": 0}, "data-no-images"), ({"ant": 3}, "data-one-class")],
)
def test_folders_that_are_refused(
    tmp_path: Path, write_classes: WriteClasses, counts: dict[str, int], error_id: str
) -> None:
    write_classes(tmp_path, counts)
    with pytest.raises(TlvError) as caught:
        _open(tmp_path, "all")
    assert caught.value.error_id == error_id


def test_a_split_that_is_not_there(tmp_path: Path, write_classes: WriteClasses) -> None:
    write_classes(tmp_path / "train", {"ant": 1, "bee": 1})
    with pytest.raises(TlvError, match="no split test; the data set has train"):
        open_evaluation_data(parse_data_reference(f"{tmp_path}@test"), data_seed=0)


def test_classes_that_differ_are_named(tmp_path: Path, write_classes: WriteClasses) -> None:
    write_classes(tmp_path / "train", {"ant": 1, "bee": 1, "wasp": 1})
    write_classes(tmp_path / "val", {"ant": 1, "bee": 1, "fly": 1})
    with pytest.raises(TlvError, match="only in train: wasp; only in val: fly") as caught:
        open_training_data(parse_data_reference(str(tmp_path)), data_seed=0)
    assert caught.value.error_id == "data-classes-differ"


def test_a_class_without_training_images_is_named(tmp_path: Path, write_classes: WriteClasses) -> None:
    write_classes(tmp_path / "train", {"ant": 2, "bee": 0})
    write_classes(tmp_path / "val", {"ant": 1, "bee": 1})
    with pytest.raises(TlvError, match="no image to train on in bee"):
        open_training_data(parse_data_reference(str(tmp_path)), data_seed=0)


@pytest.mark.parametrize("split", ["val", "test"])
def test_val_and_test_do_not_train(tmp_path: Path, write_classes: WriteClasses, split: str) -> None:
    for name in ("train", "val", "test"):
        write_classes(tmp_path / name, {"ant": 1, "bee": 1})
    with pytest.raises(TlvError, match=f"{split} is not for training"):
        open_training_data(parse_data_reference(f"{tmp_path}@{split}"), data_seed=0)


@pytest.mark.parametrize("split", ["", "@train"])
def test_val_alone_is_nothing_to_train_on(tmp_path: Path, write_classes: WriteClasses, split: str) -> None:
    write_classes(tmp_path / "val", {"ant": 1, "bee": 1})
    with pytest.raises(TlvError, match="the data set has val, and nothing to train on") as caught:
        open_training_data(parse_data_reference(f"{tmp_path}{split}"), data_seed=0)
    assert (caught.value.error_id, "@val" in caught.value.hint) == ("data-split-missing", False)


def test_evaluation_takes_test_then_val_then_all(tmp_path: Path, write_classes: WriteClasses) -> None:
    reference = parse_data_reference(str(tmp_path))
    write_classes(tmp_path, {"ant": 1, "bee": 1})
    assert open_evaluation_data(reference, data_seed=0).split == "all"
    write_classes(tmp_path / "val", {"ant": 1, "bee": 1})
    assert open_evaluation_data(reference, data_seed=0).split == "val"
    write_classes(tmp_path / "test", {"ant": 1, "bee": 1})
    assert open_evaluation_data(reference, data_seed=0).split == "test"


def test_without_val_a_tenth_is_held_out(tmp_path: Path, write_classes: WriteClasses) -> None:
    write_classes(tmp_path / "train", {"ant": 30, "bee": 10})
    write_classes(tmp_path / "test", {"ant": 5, "bee": 5})
    data = open_training_data(parse_data_reference(str(tmp_path)), data_seed=0)
    assert (len(data.train), len(data.val), data.val.split) == (36, 4, "val")
    assert (data.val.labels.count(0), data.val.labels.count(1)) == (3, 1)
    files = [part.source.where(index) for part in (data.train, data.val) for index in part.indices]
    assert len(set(files)) == 40
    assert all("/train/" in file for file in files)
    assert data.train.warnings == (f"{tmp_path} has no val split: held out 4 images of train",)
    again = open_training_data(parse_data_reference(str(tmp_path)), data_seed=0)
    other = open_training_data(parse_data_reference(str(tmp_path)), data_seed=1)
    assert again.val.indices == data.val.indices != other.val.indices


def test_a_sample_of_train_leaves_val_whole(tmp_path: Path, write_classes: WriteClasses) -> None:
    write_classes(tmp_path / "train", {"ant": 12, "bee": 8})
    write_classes(tmp_path / "val", {"ant": 3, "bee": 3})
    data = open_training_data(parse_data_reference(f"{tmp_path}@train:5"), data_seed=0)
    assert (data.train.labels, len(data.val)) == ((0, 0, 0, 1, 1), 6)
    with pytest.raises(TlvError, match="has only 20 images"):
        open_training_data(parse_data_reference(f"{tmp_path}@train:21"), data_seed=0)


def test_damaged_and_missing_files_are_named(tmp_path: Path, write_classes: WriteClasses) -> None:
    write_classes(tmp_path, {"ant": 2, "bee": 1})
    broken = tmp_path / "ant" / "000.png"
    broken.write_bytes(broken.read_bytes()[:60])
    (tmp_path / "bee" / "000.png").write_text("<!DOCTYPE html>")
    dataset = _open(tmp_path, "all")
    (tmp_path / "ant" / "001.png").unlink()
    for position, file in enumerate(("ant/000.png", "ant/001.png: it is missing", "bee/000.png")):
        with pytest.raises(TlvError, match=file) as caught:
            dataset.read(position, channels=3)
        assert caught.value.error_id == "image-unreadable"


def test_every_kind_of_pixel_becomes_eight_bits(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    ramp = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    Image.fromarray(ramp).save(tmp_path / "a" / "deep.png")
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 250, 10, 20])
    palette.save(tmp_path / "b" / "palette.png", transparency=bytes([0, 255]))
    dataset = _open(tmp_path, "all")
    deep = np.asarray(dataset.read(0, channels=1))
    np.testing.assert_array_equal(deep, (ramp / 257).round())
    assert dataset.read(1, channels=3).getpixel((3, 3)) == (250, 10, 20)
