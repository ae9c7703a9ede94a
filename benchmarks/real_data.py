"""Where the real images are: a folder with `cifar10` and `hymenoptera`, or the archives of these; and parts of them."""

from __future__ import annotations

import os
import random
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"
SPLITS = ("train", "val", "test")


def default_root() -> Path:
    """Return the folder named by TLV_DATA, or the one beside the repository."""
    return Path(os.environ.get("TLV_DATA", BESIDE))


def find_data(root: Path, name: str, unpacked: Path) -> Path:
    """Return the image folder `name` below `root`; an archive `name.tar` there is unpacked below `unpacked`, once.

    Raises:
        FileNotFoundError: neither is there.
    """
    if (root / name).is_dir():
        return root / name
    if not (unpacked / f"{name}.complete").exists():
        unpacked.mkdir(parents=True, exist_ok=True)
        with tarfile.open(root / f"{name}.tar") as archive:
            archive.extractall(unpacked, filter="data")
        (unpacked / f"{name}.complete").touch()
    return unpacked / name


def find_checkpoint(root: Path, name: str) -> Path:
    """Return the checkpoint `name` below `root`, in its folder `checkpoints` or directly.

    Raises:
        FileNotFoundError: it is not there.
    """
    for path in (root / "checkpoints" / name, root / name, default_root() / "checkpoints" / name):
        if path.is_file():
            return path
    raise FileNotFoundError(f"no {name} in {root}, nor in {root}/checkpoints; set TLV_DATA or --data")


def sample_images(source: Path, target: Path, parts: Mapping[str, tuple[str, int]]) -> Path:
    """Link images of `source` into the new folder `target`, by split: of which split, and how many over all classes."""
    for split, (taken_from, number) in parts.items():
        classes = sorted(path for path in (source / taken_from).iterdir() if path.is_dir())
        for path in classes:
            images = random.Random(0).sample(sorted(path.iterdir()), number // len(classes))
            (target / split / path.name).mkdir(parents=True)
            for image in images:
                (target / split / path.name / image.name).symlink_to(image.resolve())
    return target


def pick_classes(source: Path, target: Path, classes: Iterable[str]) -> Path:
    """Link the class folders of these names, of every split, into `target`."""
    for name in classes:
        for split in SPLITS:
            link = target / split / name
            if (source / split / name).is_dir() and not link.is_symlink():
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to((source / split / name).resolve(), target_is_directory=True)
    return target
