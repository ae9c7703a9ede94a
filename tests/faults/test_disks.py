"""Disks that are full or closed: exit 2, the reason, what was there as it was, and nothing half written."""

from __future__ import annotations

import ctypes
import os
import resource
from functools import partial
from pathlib import Path

import pytest

from tests.faults.children import finish
from tests.faults.conftest import Place

_BYTES = 400
_DATA = ["--image-size", "8", "--device", "cpu", "--workers", "0"]
_CAPABILITIES_VERSION = 0x20080522

COMMANDS = {
    "transfer": ["transfer", "TRAINED", "WIDER", "OUT/o.safetensors", "--report", "OUT/o.json"],
    "transfer, plan": ["transfer", "TRAINED", "WIDER", "--dry-run", "--save-plan", "OUT/plan.yaml"],
    "convert": ["convert", "TRAINED", "OUT/o.safetensors"],
    "train": ["train", "NETWORK@random", "--out", "OUT/run", "--data", "digits@train:20", *_DATA],
    "eval": ["eval", "TRAINED", "--html", "OUT/page.html", "--data", "digits@test:30", *_DATA],
    "predict": ["predict", "TRAINED", "IMAGES", "--features", "OUT/f.safetensors", *_DATA],
    "inspect": ["inspect", "TRAINED", "--plots", "OUT/plots", "--layers", "0"],
    "analyze-stats": [
        *("analyze-stats", "TRAINED", "--source", "digits@train:60", "--target", "digits@test:60"),
        *("--mask", "OUT/m.safetensors", "--html", "OUT/page.html", *_DATA),
    ],
    "compare": [
        *("compare", "--source", "NETWORK@random", "--target-arch", "WIDER", "--methods", "he", "--seeds", "1"),
        *("--data", "digits@train:20", "--test-data", "digits@test:20", "--image-size", "8"),
        *("--out", "OUT/cmp", "--jobs", "1"),
    ],
}


def _words(command: str, place: Place, out: Path) -> list[str]:
    names = {"TRAINED": place.trained, "WIDER": place.wider, "NETWORK": place.network, "OUT": str(out)}
    names["IMAGES"] = str(_image(place.path))
    words = COMMANDS[command]
    for name, value in names.items():
        words = [word.replace(name, value) for word in words]
    return [*words, "--quiet"]


def _image(folder: Path) -> Path:
    from PIL import Image

    path = folder / "image.png"
    if not path.exists():
        Image.new("RGB", (8, 8), (10, 200, 30)).save(path)
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk(place: Place, tmp_path: Path, command: str) -> None:
    words = [*_words(command, place, tmp_path), *(["--force"] if command != "predict" else [])]
    old = {name: f"old {name}".encode() for name in ("o.safetensors", "page.html", "m.safetensors", "plan.yaml")}
    for name, content in old.items():
        (tmp_path / name).write_bytes(content)
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (_BYTES, _BYTES))
    assert finish(words, place.log, before=limit) == 2
    error, hint = [line for line in place.said if line.startswith(("error[", "hint:"))]
    assert error.startswith(f"error[no-space]: no space left to write {tmp_path}")
    assert hint == "hint: free some space; nothing was replaced"
    files = (path for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock")
    written = {path.name: path.read_bytes() for path in files}
    if command == "analyze-stats":  # the mask, which came first, has space
        del written["m.safetensors"], old["m.safetensors"]
    assert written == old


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_that_is_read_only(place: Place, tmp_path: Path, command: str) -> None:
    out = tmp_path / "out"
    words = _words(command, place, out)
    out.mkdir(mode=0o555)
    assert finish(words, place.log, before=_give_up_rights) == 2
    error = next(line for line in place.said if line.startswith("error["))
    verb = "make the folder" if command == "inspect" else "write"
    assert error.startswith(f"error[output-not-writable]: cannot {verb}")
    assert error.endswith("Permission denied")
    assert str(out) in error
    assert not list(out.iterdir())


def _give_up_rights() -> None:
    """Take from root, whom a closed folder would not stop, what sets it apart from other owners of files (Linux)."""
    if os.geteuid() == 0:
        header = (ctypes.c_uint32 * 2)(_CAPABILITIES_VERSION, 0)
        none = (ctypes.c_uint32 * 6)()
        assert ctypes.CDLL(None).capset(header, none) == 0


def test_no_home_or_a_cache_that_is_read_only(place: Place, tmp_path: Path) -> None:
    """Features of a frozen backbone that no file can keep stay in memory, and nothing else changes."""
    (tmp_path / "closed").mkdir(mode=0o555)

    def close_cache() -> None:
        os.environ["TLV_CACHE"] = str(tmp_path / "closed")
        _give_up_rights()

    def leave_home() -> None:
        os.environ["TLV_CACHE"] = os.environ["XDG_CACHE_HOME"] = ""
        Path.home = _no_home  # type: ignore[assignment, method-assign]

    def cache() -> None:
        os.environ["TLV_CACHE"] = str(tmp_path / "cache")

    train = ["train", place.trained, "--strategy", "linear-probe", "--augment", "none", "--data", "digits@train:20"]
    results = set()
    for before, kept in ((close_cache, "in memory"), (leave_home, "in memory"), (cache, "kept in")):
        out = tmp_path / before.__name__
        assert finish([*train, *_DATA, "--epochs", "1", "--out", str(out)], place.log, before=before) == 0, place.said
        assert any(kept in line for line in place.said)
        results.add((out / "best.safetensors").read_bytes())
    assert len(results) == 1


def _no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")
