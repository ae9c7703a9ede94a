"""Images as the world has them: damaged, dressed up, far too large, oddly named. Each is read, or named."""

from __future__ import annotations

import io
import json
import os
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tlvcli.cli.main import run
from tlvcli.core.errors import TlvError
from tlvcli.data.fingerprint import fingerprint
from tlvcli.data.folders import open_folder
from tlvcli.data.image_files import read_image_file
from tlvcli.data.unlabelled import open_unlabelled

Write = Callable[[Path], object]

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def _bytes(format: str, image: Image.Image | None = None, **options: object) -> bytes:
    stream = io.BytesIO()
    (image or Image.fromarray(PIXELS)).save(stream, format, **options)
    return stream.getvalue()


def _black_png(side: int, *, with_pixels: bool) -> bytes:
    """Return a PNG of `side` x `side` pixels of one bit; a million of them take 125 bytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    packer = zlib.compressobj(1)
    rows = b"".join(packer.compress(bytes(1 + (side + 7) // 8)) for _ in range(side)) if with_pixels else b""
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", rows + packer.flush()) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def _link(name: str, to: str) -> Write:
    return lambda folder: (folder / name).symlink_to(to)


def _file(name: str, content: bytes) -> Write:
    return lambda folder: Path(os.fsdecode(os.fsencode(folder) + b"/" + os.fsencode(name))).write_bytes(content)


_ROTATED = Image.Exif()
_ROTATED[0x112] = 6
_MORE = {"save_all": True, "append_images": [Image.fromarray(255 - PIXELS)]}

READ: dict[str, Write] = {
    "a PNG called jpg": _file("a.jpg", _bytes("PNG")),
    "a GIF called jpg": _file("b.jpg", _bytes("GIF")),
    "rotated by EXIF": _file("c.jpg", _bytes("JPEG", exif=_ROTATED)),
    "four inks": _file("d.jpg", _bytes("JPEG", Image.fromarray(PIXELS).convert("CMYK"))),
    "palette": _file("e.png", _bytes("PNG", Image.fromarray(PIXELS).convert("P"))),
    "palette, transparent": _file("f.png", _bytes("PNG", Image.fromarray(PIXELS).convert("P"), transparency=b"\0\1")),
    "transparent": _file("g.png", _bytes("PNG", Image.fromarray(PIXELS).convert("RGBA"))),
    "animated": _file("h.webp", _bytes("WEBP", lossless=True, **_MORE)),
    "several pages": _file("i.tiff", _bytes("TIFF", **_MORE)),
    "of a stereo camera": _file("j.jpg", _bytes("MPO", **_MORE)),
    "one pixel": _file("k.png", _bytes("PNG", Image.fromarray(PIXELS[:1, :1]))),
    "a newline and an escape in its name": _file("l\n\x1b[31m .png", _bytes("PNG")),
    "no UTF-8 in its name": _file("m\udcff.png", _bytes("PNG")),
    "more pixels than Pillow finds usual": _file("n.png", _black_png(9500, with_pixels=True)),
}
NOT_READ: dict[str, tuple[Write, str]] = {
    "truncated": (_file("p.jpg", _bytes("JPEG")[:-200]), "truncated"),
    "empty": (_file("q.jpg", b""), "cannot identify image file"),
    "a page of the server": (_file("r.jpg", b"<html>404</html>"), "cannot identify image file"),
    "a bomb": (_file("s.png", _black_png(20_000, with_pixels=False)), "DecompressionBombError"),
    "a program that Pillow would have run": (
        _file("t.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"),
        "cannot identify image file",
    ),
    "a link to nowhere": (_link("u.png", "nowhere"), "it is missing"),
    "a link to itself": (_link("v.png", "v.png"), "Too many levels of symbolic links"),
    "a device without end": (_link("w.png", "/dev/zero"), "it is no regular file"),
    "a pipe that nobody writes to": (lambda folder: os.mkfifo(folder / "x.png"), "it is no regular file"),
}


@pytest.mark.parametrize("name", READ)
def test_read(tmp_path: Path, name: str) -> None:
    READ[name](tmp_path)
    dataset = open_unlabelled(tmp_path)
    image = dataset.read(0, channels=3)
    assert len(fingerprint(dataset)) == 64
    assert image.mode == "RGB"
    if name in ("rotated by EXIF", "several pages", "animated", "a PNG called jpg"):
        assert image.size == (60, 40)  # as it lies in the file, and the first of several
        np.testing.assert_allclose(np.asarray(image, float).mean(), PIXELS.mean(), atol=3)


@pytest.mark.parametrize("name", NOT_READ)
def test_named_and_not_waited_for(tmp_path: Path, name: str) -> None:
    write, reason = NOT_READ[name]
    write(tmp_path)
    dataset = open_unlabelled(tmp_path)
    with pytest.raises(TlvError, match=reason) as caught:
        dataset.read(0, channels=3)
    assert caught.value.error_id == "image-unreadable"
    assert dataset.where(0) in caught.value.message


def test_nothing_of_an_image_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow hands PostScript to the first `gs` of the path, whatever the suffix."""
    ghost = tmp_path / "bin" / "gs"
    ghost.parent.mkdir()
    ghost.write_text(f"#!/bin/sh\ntouch {tmp_path / 'ran'}\n")
    ghost.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ghost.parent}:{os.environ['PATH']}")
    NOT_READ["a program that Pillow would have run"][0](tmp_path)
    with pytest.raises(Image.UnidentifiedImageError):
        read_image_file(str(tmp_path / "t.jpg"))
    assert not (tmp_path / "ran").exists()


def test_all_of_them_through_a_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    read = {name: write for name, write in READ.items() if "more pixels" not in name}  # it would take a second
    for write in (*read.values(), *(write for write, _ in NOT_READ.values())):
        write(folder)
    (folder / "round").symlink_to(folder)
    (tmp_path / "net.py").write_text(
        "from torch import nn\n\n\ndef make(num_classes=2):\n"
        "    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, num_classes))\n"
    )
    command = ["predict", f"{tmp_path}/net.py:make@random", str(folder), "--device", "cpu", "--image-size", "16"]
    assert run([*command, "--json"]) == 1
    said = capsys.readouterr()
    report = json.loads(said.out)
    assert report["result"]["images"] == len(read) + len(NOT_READ)
    assert [Path(one["path"]).stem for one in report["result"]["unreadable"]] == list("pqrstuvwx")
    assert "\x1b[31m" not in said.err


@pytest.mark.slow
def test_a_hundred_thousand_files(tmp_path: Path) -> None:
    for label in range(10):
        folder = tmp_path / "data" / "val" / f"class {label}"
        folder.mkdir(parents=True)
        Image.fromarray(PIXELS).save(folder / "0.png")
        for number in range(1, 10_000):
            os.link(folder / "0.png", folder / f"{number}.png")
    started = time.process_time()
    dataset = open_folder(tmp_path / "data", "val", name="data")
    assert len(dataset) == 100_000
    assert time.process_time() - started < 5
    assert dataset.read(99_999, channels=3).size == (60, 40)
