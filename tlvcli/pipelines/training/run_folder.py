"""The folder of one training run: which files it holds, and when it may be written to."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tlvcli.core.errors import TlvError
from tlvcli.core.report import OutputInfo


@dataclass(frozen=True)
class RunFolder:
    """`best.safetensors`, `last.safetensors`, `metrics.jsonl` and `report.json` below `path`."""

    path: Path

    @property
    def best_path(self) -> Path:
        """The checkpoint of the epoch with the best val top-1."""
        return self.path / "best.safetensors"

    @property
    def last_path(self) -> Path:
        """The checkpoint of the last complete epoch."""
        return self.path / "last.safetensors"

    @property
    def metrics_path(self) -> Path:
        """One JSON object per line and epoch."""
        return self.path / "metrics.jsonl"

    @property
    def report_path(self) -> Path:
        """The report of the run, written at its end."""
        return self.path / "report.json"

    @property
    def files(self) -> tuple[Path, ...]:
        """Everything that a run writes."""
        return (self.best_path, self.last_path, self.metrics_path, self.report_path)

    def refuse_existing(self, *, sources: Iterable[str | None], force: bool) -> None:
        """Raise unless the run may be written here; called before the work starts.

        Raises:
            TlvError: `output-exists`, `output-not-folder`, `output-folder-missing` or `output-is-input`.
        """
        if self.path.exists() and not self.path.is_dir():
            raise TlvError("output-not-folder", f"{self.path} is a file", "name a folder for the run")
        if not self.path.is_dir() and not self.path.parent.is_dir():
            parent = self.path.parent
            raise TlvError("output-folder-missing", f"{parent} is not a folder", f"mkdir -p {parent}")
        for source in filter(None, sources):
            if any(file.exists() and Path(source).exists() and file.samefile(source) for file in self.files):
                raise TlvError("output-is-input", f"{source} lies in the run folder", "name another folder for the run")
        if self.path.is_dir() and not force and any(self.path.iterdir()):
            raise TlvError(
                "output-exists",
                f"{self.path} is not empty",
                "--force writes over the run in it, or name another folder",
            )

    def begin(self) -> None:
        """Make the folder and take away what an earlier run left, so that the files in it belong together."""
        try:
            self.path.mkdir(exist_ok=True)
            for file in self.files:
                file.unlink(missing_ok=True)
        except OSError as error:
            raise _not_writable(self.path, error) from error

    def append_metrics(self, line: str) -> None:
        """Add one line to `metrics.jsonl` and flush it to disk."""
        try:
            with self.metrics_path.open("a", encoding="utf-8") as stream:
                stream.write(line + "\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise _not_writable(self.metrics_path, error) from error

    def describe_metrics(self) -> OutputInfo:
        """Return the report's entry for `metrics.jsonl`."""
        sha256 = hashlib.sha256(self.metrics_path.read_bytes()).hexdigest()
        return OutputInfo(role="metrics", path=str(self.metrics_path), sha256=sha256)


def _not_writable(path: Path, error: OSError) -> TlvError:
    return TlvError(
        "output-not-writable",
        f"cannot write {path}: {error.strerror or error}",
        "choose a folder you may write to, with space left",
    )
