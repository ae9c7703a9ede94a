"""Images of the data sets that torchvision knows by name."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlvcli.core.errors import TlvError
from tlvcli.data.folders import file_identity
from tlvcli.data.image_dataset import ImageDataset
from tlvcli.data.torchvision_sets import TORCHVISION_SETS, TorchvisionSet

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class TorchvisionImages:
    """A torchvision data set without its transforms."""

    name: str
    root: str
    dataset: Any

    def read(self, index: int) -> Image:
        """Return one image as torchvision decodes it."""
        image: Image = self.dataset[index][0]
        return image

    def where(self, index: int) -> str:
        """Return the path where the set keeps one, else the image's number."""
        for attribute in ("_image_files", "_images", "samples", "_samples"):
            files = getattr(self.dataset, attribute, None)
            if files is not None:
                entry = files[index]
                return str(entry[0] if isinstance(entry, tuple) else entry)
        return f"image {index} of {self.name}"

    def identity(self, index: int) -> bytes:
        """Return the path below the root, the file's size and ends, or the pixels of a set that holds them."""
        import numpy as np

        if hasattr(self.dataset, "data"):
            return np.asarray(self.dataset.data[index]).tobytes()
        path = Path(self.where(index))
        if path.is_file():
            return file_identity(str(path), self.root)
        return self.read(index).tobytes()


def open_torchvision(name: str, root: Path, split: str, *, download: bool) -> ImageDataset:
    """Open one split of a torchvision data set; labels come from its lists, no image is decoded.

    Raises:
        TlvError: `data-missing`, `data-not-downloadable` or `data-download-failed`.
    """
    entry = TORCHVISION_SETS[name]
    if download and not entry.downloadable:
        raise TlvError(
            "data-not-downloadable",
            f"{name} cannot be fetched: its owners ask for a login or took it down",
            f"put its files into {root} and leave --download out",
        )
    dataset = _construct(name, entry, root, split, download=download)
    labels = _labels_of(dataset)
    return ImageDataset(
        name=name,
        split=split,
        kind="torchvision",
        class_names=entry.class_names or _class_names(name, dataset),
        labels=labels,
        indices=tuple(range(len(labels))),
        source=TorchvisionImages(name, str(root), dataset),
        traits=entry.traits,
        in_memory=hasattr(dataset, "data"),
    )


def refuse_missing_root(name: str, root: Path, *, download: bool) -> None:
    """Raise where the folder of a set is not there, which shows before torchvision is imported.

    Raises:
        TlvError: `data-missing`.
    """
    if not download and not root.is_dir():
        raise _missing(name, root, "there is no such folder", TORCHVISION_SETS[name])


def _construct(name: str, entry: TorchvisionSet, root: Path, split: str, *, download: bool) -> Any:
    from torchvision import datasets

    arguments: dict[str, Any] = dict(entry.splits[split])
    if entry.downloadable:
        arguments["download"] = download
    refuse_missing_root(name, root, download=download)
    try:
        # Some sets print about their download, and stdout belongs to our report.
        with redirect_stdout(sys.stderr):
            return getattr(datasets, entry.builder)(root, **arguments)
    # Each of torchvision's sets has its own way to say that files are missing, damaged or out of reach.
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if download:
            raise TlvError(
                "data-download-failed",
                f"cannot fetch {name}: {reason}",
                f"check the network, or put it into {root}",
            ) from error
        raise _missing(name, root, reason.split(". You can use")[0], entry) from error


def _missing(name: str, root: Path, reason: str, entry: TorchvisionSet) -> TlvError:
    hint = "--download fetches it" if entry.downloadable else f"put its files into {root}; it cannot be fetched"
    return TlvError("data-missing", f"no {name} split below {root}: {reason}", hint)


def _labels_of(dataset: Any) -> tuple[int, ...]:
    for attribute in ("targets", "labels", "_labels", "y"):
        labels = getattr(dataset, attribute, None)
        if labels is not None:
            return tuple(int(label) for label in labels)
    return tuple(int(label) for _, label in dataset._samples)


def _class_names(name: str, dataset: Any) -> tuple[str, ...]:
    if name == "imagenet":
        # The set's own names are lists of synonyms; pretrained weights carry these, in the same order.
        from torchvision.models import ResNet50_Weights

        return tuple(ResNet50_Weights.IMAGENET1K_V1.meta["categories"])
    names = getattr(dataset, "classes", None) or dataset.categories
    return tuple(str(class_name) for class_name in names)
