"""From the words for data to images: which split is meant, what is held out, what does not fit together."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tlvcli.core.errors import TlvError
from tlvcli.core.runtime import make_generator
from tlvcli.core.wording import counted
from tlvcli.data.digits import DIGITS_SPLITS, open_digits
from tlvcli.data.folders import folder_splits, open_folder
from tlvcli.data.image_dataset import ImageDataset
from tlvcli.data.reference import DataReference
from tlvcli.data.sampling import hold_out, stratified_sample
from tlvcli.data.torchvision_images import open_torchvision
from tlvcli.data.torchvision_sets import TORCHVISION_SETS

_HELD_OUT_SHARE = 0.1


@dataclass(frozen=True)
class TrainingData:
    """What is trained on, and what selects the best epoch; never the test split."""

    train: ImageDataset
    val: ImageDataset


def splits_of(reference: DataReference) -> tuple[str, ...]:
    """Return the splits that the data have, of train, val and test in this order, or `("all",)`."""
    if reference.kind == "digits":
        return DIGITS_SPLITS
    if reference.kind == "torchvision":
        return tuple(TORCHVISION_SETS[reference.name].splits)
    assert reference.root is not None
    return folder_splits(reference.root)


def open_dataset(
    reference: DataReference, split: str, *, download: bool = False, one_class: bool = False
) -> ImageDataset:
    """Open one split whole; where labels are not looked at, `one_class` is enough.

    Raises:
        TlvError: `data-split-missing`, `data-one-class`, or what is wrong with the files.
    """
    _refuse_missing_split(reference, split)
    if reference.kind == "digits":
        dataset = open_digits(split)
    elif reference.root is None:
        raise AssertionError(reference)
    elif reference.kind == "torchvision":
        dataset = open_torchvision(reference.name, reference.root, split, download=download)
    else:
        dataset = open_folder(reference.root, split, name=reference.name)
    if len(dataset.class_names) == 1 and not one_class:
        raise TlvError(
            "data-one-class",
            f"{reference.text}: {dataset.class_names[0]} is the only class",
            "name the folder that holds a folder per class, or train/ val/ test/ with these",
        )
    return dataset


def open_evaluation_data(
    reference: DataReference, *, data_seed: int, download: bool = False, one_class: bool = False
) -> ImageDataset:
    """Open the split that `reference` names; without one test, else val, else what there is."""
    dataset = open_dataset(reference, evaluation_split(reference), download=download, one_class=one_class)
    return draw_sample(dataset, reference, data_seed)


def evaluation_split(reference: DataReference) -> str:
    """Return the split that `reference` names; without one test, else val, else what there is.

    Raises:
        TlvError: `data-split-missing`.
    """
    splits = splits_of(reference)
    split = reference.split or next((name for name in ("test", "val") if name in splits), splits[0])
    _refuse_missing_split(reference, split)
    return split


def open_training_data(reference: DataReference, *, data_seed: int, download: bool = False) -> TrainingData:
    """Open train and val; without a val split, a stratified tenth of what is trained on is held out.

    Raises:
        TlvError: `data-split-invalid`, `data-split-missing`, `data-class-empty`, `data-classes-differ` or
            `data-too-small`.
    """
    split = training_split(reference)
    train = draw_sample(open_dataset(reference, split, download=download), reference, data_seed)
    if "val" in splits_of(reference):
        data = TrainingData(train, open_dataset(reference, "val", download=download))
        _refuse_other_classes(reference, data)
    else:
        stay, held_out = hold_out(train.labels, _HELD_OUT_SHARE, make_generator(data_seed, "hold-out"))
        said = (
            *train.warnings,
            f"{reference.text} has no val split: held out {len(held_out)} images of {split}",
        )
        data = TrainingData(
            replace(train.subset(stay), warnings=said),
            replace(train.subset(held_out, split="val"), warnings=()),
        )
    _refuse_too_little(reference, data)
    empty = _empty_classes(data.train)
    if empty:
        warning = f"{reference.text}: {len(empty)} of {len(data.train.class_names)} classes have no image to train on"
        data = replace(data, train=replace(data.train, warnings=(*data.train.warnings, warning)))
    return data


def training_split(reference: DataReference) -> str:
    """Return the split that is trained on: the one that `reference` names, else train, else all there is.

    Raises:
        TlvError: `data-split-invalid` or `data-split-missing`.
    """
    splits = splits_of(reference)
    usable = next((split for split in splits if split in ("train", "all")), None)
    hint = f"use @{usable}, or none" if usable else "put a folder train beside it, with a folder for each class"
    if reference.split in ("val", "test"):
        raise TlvError("data-split-invalid", f"{reference.text}: {reference.split} is not for training", hint)
    if usable is None:
        has = f"the data set has {', '.join(splits)}, and nothing to train on"
        raise TlvError("data-split-missing", f"{reference.text}: {has}", hint)
    split = reference.split or ("train" if "train" in splits else "all")
    _refuse_missing_split(reference, split)
    return split


def draw_sample(dataset: ImageDataset, reference: DataReference, data_seed: int) -> ImageDataset:
    """Return the N images of @SPLIT:N, of every class its share, or all where no N is said.

    Raises:
        TlvError: `data-sample-invalid`, where there are fewer.
    """
    if reference.num_images is None:
        return dataset
    if reference.num_images > len(dataset):
        raise TlvError(
            "data-sample-invalid",
            f"{reference.text}: {_called(dataset)} has only {counted(len(dataset), 'image')}",
            f"ask for at most {len(dataset)}",
        )
    generator = make_generator(data_seed, "sample", dataset.split)
    return dataset.subset(stratified_sample(dataset.labels, reference.num_images, generator))


def _refuse_missing_split(reference: DataReference, split: str) -> None:
    splits = splits_of(reference)
    if split not in splits:
        has = "is not divided into splits" if splits == ("all",) else f"has {', '.join(splits)}"
        raise TlvError(
            "data-split-missing",
            f"{reference.text}: no split {split}; the data set {has}",
            f"use {' or '.join(f'@{name}' for name in splits)}",
        )


def _called(dataset: ImageDataset) -> str:
    return "the folder" if dataset.split == "all" else f"the split {dataset.split}"


def _refuse_other_classes(reference: DataReference, data: TrainingData) -> None:
    train, val = set(data.train.class_names), set(data.val.class_names)
    if train == val:
        return
    only = [
        f"only in {split}: {', '.join(sorted(names))}"
        for split, names in (("train", train - val), ("val", val - train))
        if names
    ]
    raise TlvError(
        "data-classes-differ",
        f"{reference.text}: train and val have different classes; {'; '.join(only)}",
        "give both the same class folders; a folder may be empty in val",
    )


def _refuse_too_little(reference: DataReference, data: TrainingData) -> None:
    if not len(data.train) or not len(data.val):
        raise TlvError(
            "data-too-small",
            f"{reference.text}: {len(data.train)} images to train on, {len(data.val)} to select with",
            "training needs at least one of each; take more images",
        )
    empty = _empty_classes(data.train)
    if empty and reference.num_images is None:
        raise TlvError(
            "data-class-empty",
            f"{reference.text}: no image to train on in {', '.join(empty)}",
            "add images, or take the class folder out",
        )


def _empty_classes(dataset: ImageDataset) -> list[str]:
    present = set(dataset.labels)
    return [name for label, name in enumerate(dataset.class_names) if label not in present]
