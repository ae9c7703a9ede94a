from __future__ import annotations

from pathlib import Path

import pytest

from tlvcli.core.errors import TlvError
from tlvcli.data.reference import parse_data_reference
from tlvcli.data.torchvision_sets import ALIASES, TORCHVISION_SETS


def test_folder_with_and_without_split(tmp_path: Path) -> None:
    plain = parse_data_reference(str(tmp_path))
    assert (plain.kind, plain.root, plain.split, plain.num_images) == ("folder", tmp_path, None, None)
    val = parse_data_reference(f"{tmp_path}@val")
    assert (val.root, val.split, val.num_images) == (tmp_path, "val", None)
    sample = parse_data_reference(f"{tmp_path}@train:500")
    assert (sample.root, sample.split, sample.num_images) == (tmp_path, "train", 500)


def test_an_at_in_the_path_is_no_split(tmp_path: Path) -> None:
    folder = tmp_path / "me@host" / "photos@v2"
    folder.mkdir(parents=True)
    assert parse_data_reference(str(folder)).root == folder
    reference = parse_data_reference(f"{folder}@test:3")
    assert (reference.root, reference.split, reference.num_images) == (folder, "test", 3)
    assert parse_data_reference(str(folder.parent)).root == folder.parent


def test_torchvision_name_with_root() -> None:
    reference = parse_data_reference("cifar10:./data@train:10000")
    assert (reference.kind, reference.name, reference.root) == ("torchvision", "cifar10", Path("data"))
    assert (reference.split, reference.num_images) == ("train", 10000)


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("fashion_mnist", "fashion-mnist"),
        ("stanford_cars", "stanford-cars"),
        ("fgvc_aircraft", "fgvc-aircraft"),
        ("oxford_pets", "oxford-iiit-pet"),
        ("pets", "oxford-iiit-pet"),
        ("CIFAR10", "cifar10"),
        ("caltech256", "caltech256"),
        ("food101", "food101"),
        ("dtd", "dtd"),
        ("imagenet", "imagenet"),
    ],
)
def test_names_as_others_write_them(word: str, name: str) -> None:
    reference = parse_data_reference(f"{word}:./data")
    assert (reference.kind, reference.name, reference.root) == ("torchvision", name, Path("data"))
    with pytest.raises(TlvError, match="names no root folder") as caught:
        parse_data_reference(word)
    assert caught.value.hint == f"write {word}:FOLDER, as in {word}:./data"


def test_every_alias_leads_to_a_data_set() -> None:
    assert set(ALIASES.values()) <= set(TORCHVISION_SETS)
    assert not set(ALIASES) & set(TORCHVISION_SETS)


def test_digits_need_no_root() -> None:
    reference = parse_data_reference("digits@val")
    assert (reference.kind, reference.root, reference.split) == ("digits", None, "val")


@pytest.mark.parametrize(
    ("text", "error_id", "hint"),
    [
        ("digits@tset", "data-split-unknown", "did you mean test?"),
        ("digits@", "data-split-unknown", "choose from all, test, train, val"),
        ("digits@train:0", "data-sample-invalid", "write digits@train:N with N of at least 1"),
        ("digits@train:-3", "data-sample-invalid", "write digits@train:N with N of at least 1"),
        ("digits@train:", "data-sample-invalid", "write digits@train:N with N of at least 1"),
        ("cifra10:./data", "data-unknown", "did you mean cifar10?"),
        ("cifar10", "data-unknown", "write cifar10:FOLDER, as in cifar10:./data"),
        ("cifar10:", "data-unknown", "write cifar10:FOLDER, as in cifar10:./data"),
        (
            "no/such/folder",
            "data-missing",
            "name an image folder, NAME:ROOT for a torchvision data set, or digits",
        ),
    ],
)
def test_what_is_refused(text: str, error_id: str, hint: str) -> None:
    with pytest.raises(TlvError) as caught:
        parse_data_reference(text)
    assert caught.value.error_id == error_id
    assert caught.value.hint == hint


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    file = tmp_path / "photo.png"
    file.touch()
    with pytest.raises(TlvError, match="is a file, not a folder"):
        parse_data_reference(str(file))
