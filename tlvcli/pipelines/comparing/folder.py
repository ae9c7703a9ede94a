"""Where a comparison lies: a folder for each cell, and beside them what is made of all."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tlvcli.core.errors import TlvError
from tlvcli.io.atomic import remove_stale, stale_files
from tlvcli.pipelines.comparing.grid import Cell
from tlvcli.pipelines.training.run_folder import RunFolder

_LONGEST_NAME = 100


@dataclass(frozen=True)
class CellFolder:
    """What one cell leaves: reports for good, checkpoints as long as they are needed."""

    path: Path

    @property
    def settings_path(self) -> Path:
        """What the cell was run with."""
        return self.path / "cell.json"

    @property
    def start_path(self) -> Path:
        """The target as the transfer starts it."""
        return self.path / "start.safetensors"

    @property
    def transfer_report_path(self) -> Path:
        """The report of the transfer."""
        return self.path / "start.report.json"

    @property
    def run_path(self) -> Path:
        """The folder of the training."""
        return self.path / "run"

    @property
    def best_path(self) -> Path:
        """The checkpoint of the best epoch."""
        return RunFolder(self.run_path).best_path

    @property
    def train_report_path(self) -> Path:
        """The report of the training; where it is, the cell is trained."""
        return RunFolder(self.run_path).report_path

    @property
    def test_path(self) -> Path:
        """The report of the test."""
        return self.path / "test.json"

    @property
    def log_path(self) -> Path:
        """What the cell said."""
        return self.path / "output.log"

    def begin(self, settings: str) -> None:
        """Make the folder anew.

        Raises:
            TlvError: `output-not-writable`.
        """
        try:
            if self.path.exists():
                shutil.rmtree(self.path)
            self.path.mkdir(parents=True)
            self.settings_path.write_text(settings, encoding="utf-8")
        except OSError as error:
            raise _not_writable(self.path, error) from error

    def drop_leftovers(self) -> None:
        """Delete what nothing needs once the cell is trained: all but the best checkpoint and the reports."""
        run = RunFolder(self.run_path)
        for path in (self.start_path, run.last_path, run.state_path, run.state_text_path):
            path.unlink(missing_ok=True)

    def drop_checkpoint(self) -> None:
        """Delete the best checkpoint too."""
        self.best_path.unlink(missing_ok=True)


@dataclass(frozen=True)
class CompareFolder:
    """The folder of a comparison."""

    path: Path

    @property
    def grid_path(self) -> Path:
        """What the grid was when it was run last."""
        return self.path / "grid.json"

    @property
    def cells_path(self) -> Path:
        """The folders of the cells."""
        return self.path / "cells"

    @property
    def report_path(self) -> Path:
        """The report."""
        return self.path / "compare.json"

    @property
    def table_path(self) -> Path:
        """The table in Markdown."""
        return self.path / "compare.md"

    @property
    def page_path(self) -> Path:
        """Table and curves as a page."""
        return self.path / "compare.html"

    @property
    def curves_path(self) -> Path:
        """The curves as a picture."""
        return self.path / "curves.png"

    @property
    def lock_path(self) -> Path:
        """What the process at work holds."""
        return self.path / ".lock"

    def cell(self, cell: Cell) -> CellFolder:
        """Return the folder of a cell: source, method, strategy, settings and seed below one another."""
        parts = [*cell.variant.words, *filter(None, (cell.point.text,)), f"seed{cell.seed}"]
        return CellFolder(self.cells_path.joinpath(*map(_file_name, parts)))

    def refuse_other(self, *, force: bool) -> None:
        """Raise unless the folder is free, or a comparison's; called before the work starts.

        Raises:
            TlvError: `output-not-folder`, `output-folder-missing` or `output-exists`.
        """
        if self.path.exists() and not self.path.is_dir():
            raise TlvError("output-not-folder", f"{self.path} is a file", "name a folder for the comparison")
        if not self.path.is_dir() and not self.path.parent.is_dir():
            parent = self.path.parent
            raise TlvError("output-folder-missing", f"{parent} is not a folder", f"mkdir -p {parent}")
        if not self.path.is_dir() or self.grid_path.is_file():
            return
        if self.cells_path.exists():  # whatever it is, cells of ours were never in it
            raise TlvError(
                "output-exists", f"{self.cells_path} is of no comparison", "name another folder for the comparison"
            )
        ours = {self.lock_path, *stale_files([self.grid_path])}  # of one that was killed before its grid was there
        if not force and not ours.issuperset(self.path.iterdir()):
            raise TlvError(
                "output-exists",
                f"{self.path} is not empty, and holds no comparison",
                "name another folder; --force writes into it",
            )

    def begin(self) -> None:
        """Make the folder; cells of an earlier comparison, which another grid.json spoke of, go.

        Raises:
            TlvError: `output-not-writable`.
        """
        try:
            self.path.mkdir(exist_ok=True)
            shutil.rmtree(self.cells_path, ignore_errors=True)
            for path in (self.grid_path, self.report_path, self.table_path, self.page_path, self.curves_path):
                path.unlink(missing_ok=True)
        except OSError as error:
            raise _not_writable(self.path, error) from error

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the folder to this process; the system lets go of it where the process dies.

        Raises:
            TlvError: `compare-running`, or `output-not-writable`.
        """
        import fcntl

        try:
            self.path.mkdir(exist_ok=True)
            lock = self.lock_path.open("w")
        except OSError as error:
            raise _not_writable(self.path, error) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise TlvError(
                    "compare-running",
                    f"another tlv compare is at work in {self.path}",
                    "wait for it, or name another folder",
                ) from error
            remove_stale([self.grid_path])  # which is written by who holds the folder
            yield


def _file_name(text: str) -> str:
    """Return a name that a file may have and a shell reads as it is, different for different texts of one grid."""
    name = re.sub(r"[^\w.=+,@~-]", "-", text)
    if name == text and len(name) <= _LONGEST_NAME and not name.startswith("."):
        return name
    import hashlib

    # Two texts may read alike once their slashes and spaces are gone.
    return f"{name[:_LONGEST_NAME].lstrip('.')}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def _not_writable(path: Path, error: OSError) -> TlvError:
    return TlvError(
        "output-not-writable",
        f"cannot write {path}: {error.strerror or error}",
        "choose a folder you may write to, with space left",
    )
