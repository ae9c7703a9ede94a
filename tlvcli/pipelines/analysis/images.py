"""Images to look at: of any data set or folder, with or without labels."""

from __future__ import annotations

from pathlib import Path

from tlvcli.core.report import InputInfo
from tlvcli.data.datasets import draw_sample, open_evaluation_data
from tlvcli.data.folders import IMAGE_SUFFIXES, folder_splits
from tlvcli.data.image_dataset import ImageDataset
from tlvcli.data.reference import DataReference, parse_data_reference
from tlvcli.data.unlabelled import open_unlabelled
from tlvcli.pipelines.image_input import describe_data


def open_images(text: str, *, data_seed: int, download: bool) -> tuple[ImageDataset, tuple[str, ...]]:
    """Return the images that a DATA argument names, and warnings; a folder of images needs no classes.

    Raises:
        TlvError: what is wrong with the argument or the files.
    """
    reference = parse_data_reference(text)
    if is_flat(reference):
        assert reference.root is not None
        dataset = draw_sample(open_unlabelled(reference.root), reference, data_seed)
        return dataset, dataset.warnings
    dataset = open_evaluation_data(reference, data_seed=data_seed, download=download, one_class=True)
    warnings = list(dataset.warnings)
    if reference.split is None and dataset.split not in ("test", "all"):
        warnings.append(f"{text} has no test split: took {dataset.split}")
    return dataset, tuple(warnings)


def describe_images(dataset: ImageDataset, reference: str, role: str) -> InputInfo:
    """Return the report's entry for one set of images."""
    return describe_data(dataset, reference).model_copy(update={"role": role})


def is_flat(reference: DataReference) -> bool:
    """Return whether a folder has no classes to tell apart: images directly, or at most one folder of them."""
    root = reference.root
    if reference.kind != "folder" or reference.split not in (None, "all") or root is None:
        return False
    if folder_splits(root) != ("all",):
        return False
    entries = [entry for entry in root.iterdir() if not entry.name.startswith(".")]
    return any(map(_is_image, entries)) or sum(entry.is_dir() for entry in entries) <= 1


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
