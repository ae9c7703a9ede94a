"""The words for data: `DATA`, `DATA@SPLIT`, `DATA@SPLIT:N`; DATA is a folder, `NAME:ROOT` or `digits`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tlvcli.core.errors import TlvError, did_you_mean
from tlvcli.data.torchvision_sets import ALIASES, TORCHVISION_SETS

DIGITS = "digits"
SPLITS = ("train", "val", "test", "all")


@dataclass(frozen=True)
class DataReference:
    """What a DATA argument names; `root` is None for `digits`, `num_images` is the N of `@SPLIT:N`."""

    text: str
    kind: Literal["folder", "torchvision", "digits"]
    name: str
    root: Path | None
    split: str | None
    num_images: int | None


def parse_data_reference(text: str) -> DataReference:
    """Take a DATA argument apart.

    Raises:
        TlvError: `data-missing`, `data-unknown`, `data-split-unknown` or `data-sample-invalid`.
    """
    data, split, num_images = _take_off_split(text)
    if data == DIGITS:
        return DataReference(text, "digits", DIGITS, None, split, num_images)
    folder = Path(data)
    if folder.is_dir():
        return DataReference(text, "folder", folder.name or data, folder, split, num_images)
    word, colon, root = data.partition(":")
    name = _canonical(word)
    if colon and name in TORCHVISION_SETS:
        if not root:
            raise TlvError("data-unknown", f"{data} names no root folder", f"write {word}:FOLDER, as in {word}:./data")
        return DataReference(text, "torchvision", name, Path(root), split, num_images)
    raise _unknown(data, word, named=bool(colon) and "/" not in word)


def _canonical(word: str) -> str:
    name = word.lower().replace("_", "-")
    return ALIASES.get(name, name)


def _take_off_split(text: str) -> tuple[str, str | None, int | None]:
    data, at, suffix = text.rpartition("@")
    # A folder may have an @ in its name, and so may a folder above it.
    if not at or "/" in suffix or Path(text).is_dir():
        return text, None, None
    split, colon, count = suffix.partition(":")
    if split not in SPLITS:
        raise TlvError("data-split-unknown", f"{text}: no split is called {split!r}", did_you_mean(split, SPLITS))
    if not colon:
        return data, split, None
    if not count.isdecimal() or int(count) < 1:
        raise TlvError(
            "data-sample-invalid",
            f"{text}: {count!r} is not a number of images",
            f"write {data}@{split}:N with N of at least 1",
        )
    return data, split, int(count)


def _unknown(data: str, name: str, *, named: bool) -> TlvError:
    if named:
        return TlvError(
            "data-unknown",
            f"{data}: no data set is called {name}",
            did_you_mean(name, [*TORCHVISION_SETS, DIGITS]),
        )
    if _canonical(data) in TORCHVISION_SETS:
        return TlvError("data-unknown", f"{data} names no root folder", f"write {data}:FOLDER, as in {data}:./data")
    if Path(data).exists():
        return TlvError("data-missing", f"{data} is a file, not a folder", "name a folder with a folder per class")
    return TlvError(
        "data-missing",
        f"{data or 'the empty name'} is not a folder",
        "name an image folder, NAME:ROOT for a torchvision data set, or digits",
    )
