"""A reader sees the old file or the new one, never half of either."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from tlvcli.core.errors import TlvError
from tlvcli.io.atomic import atomic_file, refuse_existing, remove_stale


def _write(path: Path, data: bytes, *, force: bool = False) -> None:
    with atomic_file(path, force=force) as stream:
        stream.write(data)


def test_written_whole_with_ordinary_permissions(tmp_path: Path) -> None:
    _write(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    (tmp_path / "usual").touch()
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "usual").stat().st_mode
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "usual"]


def test_a_failure_in_the_block_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), atomic_file(tmp_path / "a", force=True) as stream:
        stream.write(b"half")
        raise ZeroDivisionError
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_an_interrupt_as_soon_as_the_file_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def open_and_interrupt(*arguments: Any) -> int:
        os.close(real(*arguments))
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "open", open_and_interrupt)
    with pytest.raises(KeyboardInterrupt):
        _write(tmp_path / "a", b"new")
    assert list(tmp_path.iterdir()) == []


def test_replaced_only_by_force(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(TlvError, match="exists") as caught:
        _write(tmp_path / "a", b"new")
    assert caught.value.error_id == "output-exists"
    _write(tmp_path / "a", b"new", force=True)
    assert (tmp_path / "a").read_bytes() == b"new"


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(TlvError) as caught, atomic_file(tmp_path / "a", force=False) as stream:
        stream.write(b"mine")
        (tmp_path / "a").write_bytes(b"theirs")
    assert caught.value.error_id == "output-exists"
    assert (tmp_path / "a").read_bytes() == b"theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_no_space(tmp_path: Path, code: int) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(TlvError) as caught, atomic_file(tmp_path / "a", force=True):
        raise OSError(code, os.strerror(code))
    assert caught.value.error_id == "no-space"
    assert (tmp_path / "a").read_bytes() == b"old"


def test_a_full_device_for_real(tmp_path: Path) -> None:
    import resource
    import signal

    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.getsignal(signal.SIGXFSZ)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(TlvError) as caught:
            _write(tmp_path / "a", b"x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert caught.value.error_id == "no-space"
    assert list(tmp_path.iterdir()) == []


def test_places_one_cannot_write_to(tmp_path: Path) -> None:
    for path, error_id in (
        (tmp_path, "output-is-directory"),
        (tmp_path / "absent" / "a", "output-folder-missing"),
        (Path("/proc/a"), "output-not-writable"),
    ):
        with pytest.raises(TlvError) as caught:
            _write(path, b"x")
        assert caught.value.error_id == error_id


def test_a_name_that_no_file_can_have(tmp_path: Path) -> None:
    with pytest.raises(TlvError, match="File name too long") as caught:
        refuse_existing(tmp_path / ("x" * 300), force=False)
    assert caught.value.error_id == "output-not-writable"


def test_only_temporaries_of_these_paths_are_stale(tmp_path: Path) -> None:
    long = "n" * 210
    theirs = (".b.0123abcd.tmp", ".a.0123abc.tmp", ".a.backup.tmp", "a.0123abcd.tmp", ".a.0123ABCD.tmp", "a")
    for name in theirs:
        (tmp_path / name).touch()
    with (
        pytest.raises(ZeroDivisionError),
        atomic_file(tmp_path / "a", force=True),
        atomic_file(tmp_path / long, force=True),
    ):
        assert len(list(tmp_path.iterdir())) == len(theirs) + 2
        remove_stale([tmp_path / "a", tmp_path / long])
        assert sorted(file.name for file in tmp_path.iterdir()) == sorted(theirs)
        raise ZeroDivisionError
