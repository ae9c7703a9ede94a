"""Images that a user names one by one: files, folders, patterns, lists, in the order in which they are named."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from tlvcli.core.errors import TlvError
from tlvcli.core.wording import counted
from tlvcli.data.folders import IMAGE_SUFFIXES, FolderImages, files_below, folders_below, left_out
from tlvcli.data.image_dataset import ImageDataset
from tlvcli.data.torchvision_sets import ImageTraits

# Stands for the names in a list, in place of a name.
LIST = "-"
# One or more ** in a row, each a whole part of a path.
_ANY_DEPTH = re.compile(r"(?<![^/])(\*\*(/+|$))+")


def name_images(names: Iterable[str], listed: Sequence[str]) -> ImageDataset:
    """List the images that `names` stand for; none is opened, and all carry label 0 of one class without a name.

    A folder stands for the images below it, a pattern for those among what it matches, `-` for `listed`: files, which
    are looked for only when they are read. Any other name is a file, whatever its suffix.

    Raises:
        TlvError: `image-missing` where a name stands for nothing; `data-no-images`.
    """
    paths: list[str] = []
    warnings: list[str] = []
    for name in names:
        found, said = (listed, ()) if name == LIST else _find(name)
        paths += found
        warnings += said
    if not paths:
        raise TlvError("data-no-images", "the list on standard input is empty", "one file to a line, as find prints it")
    return ImageDataset(
        name="images",
        split="all",
        kind="images without labels",
        class_names=("",),
        labels=(0,) * len(paths),
        indices=tuple(range(len(paths))),
        source=FolderImages("", tuple(paths)),
        traits=ImageTraits(),
        warnings=tuple(warnings),
    )


def _find(name: str) -> tuple[Sequence[str], Sequence[str]]:
    """Return the images that one name stands for, and warnings."""
    path = Path(name)
    if path.is_dir():
        images, others = files_below(path)
        if not images:
            known = f"known are {' '.join(IMAGE_SUFFIXES)}"
            raise TlvError("data-no-images", f"{name}: no image in it or below it", known)
        return images, left_out(path, others)
    # A file may be called like a pattern: a[1].jpg.
    if path.exists():
        return (name,), ()
    if not glob.has_magic(name):
        raise TlvError("image-missing", f"{name} is neither a file nor a folder", "a pattern is written 'photos/*.jpg'")
    files = sorted(match for match in _matches(name) if Path(match).is_file())
    images = [file for file in files if file.lower().endswith(IMAGE_SUFFIXES)]
    if not images:
        raise TlvError("image-missing", f"{name} matches no image", "** matches folders at any depth")
    if len(images) == len(files):
        return images, ()
    return images, (f"{name}: left out {counted(len(files) - len(images), 'file')}, no images by suffix",)


def _matches(pattern: str) -> set[str]:
    """Return what a pattern matches, relative or absolute, as `glob.glob` does.

    But `**` enters a folder once, however many links lead to it: two links back would give 2 ** 40 names.
    """
    # Text and not paths, which would drop a leading ./ that the user has written.
    found = _ANY_DEPTH.search(pattern)
    if not found:
        return set(glob.glob(pattern))  # noqa: PTH207
    above, below = pattern[: found.start()], pattern[found.end() :] or "*"
    matches: set[str] = set()
    for start in glob.glob(above) if above else [os.curdir]:  # noqa: PTH207
        for folder, _ in folders_below(start):
            inside = os.path.join(folder, "")  # noqa: PTH118
            matches |= _matches(glob.escape(inside if above else inside[len(start) + 1 :]) + below)
    return matches
