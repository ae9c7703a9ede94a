"""Image folders: `train/ val/ test/` with a folder per class, or the class folders directly."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tlvcli.core.errors import TlvError
from tlvcli.core.file_names import as_text
from tlvcli.core.wording import counted
from tlvcli.data.image_dataset import ImageDataset
from tlvcli.data.image_files import read_image_file, refuse_irregular
from tlvcli.data.torchvision_sets import ImageTraits

if TYPE_CHECKING:
    from PIL.Image import Image

# Bytes at either end of a file that tell it from others: 0.3 s for 10,000 small files, and no more for large ones.
_END = 4096
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class FolderImages:
    """Images by path, all of them below `root`, or anywhere where that is empty."""

    root: str
    paths: tuple[str, ...]

    def read(self, index: int) -> Image:
        """Decode one file; its EXIF rotation is not applied, as in torchvision."""
        return read_image_file(self.paths[index])

    def where(self, index: int) -> str:
        """Return the path."""
        return self.paths[index]

    def identity(self, index: int) -> bytes:
        """Return the path below the root, the file's size, and a hash of its ends."""
        return file_identity(self.paths[index], self.root)


def file_identity(path: str, root: str) -> bytes:
    """Return the path below `root`, the size in bytes, and a sha256 of both ends: the same wherever the root lies."""
    refuse_irregular(path)
    below = path.removeprefix(root).lstrip(os.sep)
    with Path(path).open("rb", buffering=0) as stream:
        size = os.fstat(stream.fileno()).st_size
        ends = hashlib.sha256(stream.read(_END))
        stream.seek(max(_END, size - _END))
        ends.update(stream.read(_END))
    return os.fsencode(f"{below}\0{size}\0{ends.hexdigest()}")


def folder_splits(root: Path) -> tuple[str, ...]:
    """Return which of train, val and test hold class folders, or `("all",)` for class folders directly."""
    # A folder `train` full of images is a class: of vehicles, say.
    splits = tuple(name for name in ("train", "val", "test") if _subfolders(root / name))
    return splits or ("all",)


def open_folder(root: Path, split: str, *, name: str) -> ImageDataset:
    """List the images of one split; none is opened.

    Raises:
        TlvError: `data-no-classes` or `data-no-images`.
    """
    folder = root if split == "all" else root / split
    class_names = _subfolders(folder)
    if not class_names:
        raise TlvError("data-no-classes", f"{folder} has no class folders", f"put images into {folder}/CLASS/")
    paths: list[str] = []
    labels: list[int] = []
    others: list[str] = []
    for label, class_name in enumerate(class_names):
        images, rest = files_below(folder / class_name)
        paths += images
        labels += [label] * len(images)
        others += rest
    if not paths:
        raise TlvError(
            "data-no-images",
            f"{folder}: no image in {len(class_names)} folders",
            f"known are {' '.join(IMAGE_SUFFIXES)}",
        )
    return ImageDataset(
        name=name,
        split=split,
        kind="image folder",
        class_names=tuple(map(as_text, class_names)),
        labels=tuple(labels),
        indices=tuple(range(len(paths))),
        source=FolderImages(str(folder), tuple(paths)),
        traits=ImageTraits(),
        warnings=(*_beside_splits(root, split), *left_out(folder, others)),
    )


def _subfolders(folder: Path) -> tuple[str, ...]:
    if not folder.is_dir():
        return ()
    return tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")))


def files_below(folder: Path) -> tuple[list[str], list[str]]:
    """Return the images at any depth, sorted within each folder, and the other files; what is hidden is neither."""
    images: list[str] = []
    others: list[str] = []
    for parent, files in folders_below(folder):
        for file in files:
            (images if file.lower().endswith(IMAGE_SUFFIXES) else others).append(str(Path(parent, file)))
    return images, others


def folders_below(folder: str | Path) -> Iterator[tuple[str, list[str]]]:
    """Yield `folder` and those at any depth, each with the names of its files, sorted; what is hidden is left out.

    Links are followed, but a folder to which several lead, itself among them, comes once.
    """
    seen = {Path(folder).resolve()}
    for parent, folders, files in os.walk(folder, followlinks=True):
        folders[:] = _first_seen(Path(parent), _visible(folders), seen)
        yield parent, _visible(files)


def _visible(names: list[str]) -> list[str]:
    return sorted(name for name in names if not name.startswith("."))


def _first_seen(parent: Path, folders: list[str], seen: set[Path]) -> list[str]:
    """Return the folders that are not in `seen` yet, and add them."""
    new = []
    for name in folders:
        place = (parent / name).resolve()
        if place not in seen:
            seen.add(place)
            new.append(name)
    return new


def _beside_splits(root: Path, split: str) -> tuple[str, ...]:
    if split == "all":
        return ()
    unread = sorted(set(_subfolders(root)) - set(folder_splits(root)))
    said = f"{root}: not read, for it is none of train, val, test with class folders: {', '.join(unread)}"
    return (as_text(said),) if unread else ()


def left_out(folder: Path, others: list[str]) -> tuple[str, ...]:
    """Return the warning about files that are no images, if there are any."""
    if not others:
        return ()
    said = f"{folder}: left out {counted(len(others), 'file')}, no images by suffix, as {others[0]}"
    return (as_text(said),)
