"""The folder of one training run: which files it holds, and when it may be written to."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tlvcli.core.errors import TlvError
from tlvcli.core.report import OutputInfo
from tlvcli.io.atomic import atomic_file, remove_stale
from tlvcli.io.hashing import hash_file


@dataclass(frozen=True)
class RunFolder:
    """Checkpoints, metrics, curves, the report, and the state that a run is resumed from, below `path`."""

    path: Path

    @property
    def best_path(self) -> Path:
        """The checkpoint of the epoch that is best on val."""
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
    def curves_path(self) -> Path:
        """Loss and accuracy over the epochs, drawn at the end."""
        return self.path / "curves.png"

    @property
    def state_path(self) -> Path:
        """All that an interrupted run needs to go on."""
        return self.path / "resume.safetensors"

    @property
    def state_text_path(self) -> Path:
        """What the state says of itself, for people."""
        return self.path / "resume.json"

    @property
    def events_path(self) -> Path:
        """The folder of TensorBoard's events, where they are asked for."""
        return self.path / "tensorboard"

    @property
    def files(self) -> tuple[Path, ...]:
        """Everything that a run writes."""
        return (
            self.best_path,
            self.last_path,
            self.metrics_path,
            self.curves_path,
            self.report_path,
            self.state_path,
            self.state_text_path,
        )

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
                "--resume goes on with the run in it, --force writes over it; or name another folder",
            )

    def begin(self) -> None:
        """Make the folder and take away what an earlier run left, so that the files in it belong together."""
        try:
            self.path.mkdir(exist_ok=True)
            for file in self.files:
                file.unlink(missing_ok=True)
            if self.events_path.is_dir():
                shutil.rmtree(self.events_path)
            remove_stale(self.files)
        except OSError as error:
            raise _not_writable(self.path, error) from error

    def go_on(self) -> None:
        """Take away what a killed run left half written."""
        try:
            remove_stale(self.files)
        except OSError as error:
            raise _not_writable(self.path, error) from error

    @contextmanager
    def gone_if_empty(self) -> Iterator[None]:
        """Take the folder away again where what happens within makes it, and fails before a file is in it."""
        existed = self.path.exists()
        try:
            yield
        except BaseException:
            if not existed:
                with suppress(OSError):  # it was not made, or holds something
                    self.path.rmdir()
            raise

    def write_metrics(self, lines: Iterable[str]) -> None:
        """Replace `metrics.jsonl` by these lines, whole or not at all.

        Raises:
            TlvError: `no-space` or `output-not-writable`.
        """
        with atomic_file(self.metrics_path, force=True) as stream:
            stream.write("".join(f"{line}\n" for line in lines).encode())

    def describe_files(self) -> tuple[OutputInfo, ...]:
        """Return the report's entries for best and last checkpoint and the metrics.

        Raises:
            TlvError: `resume-invalid` where a file that an earlier part of the run wrote is gone.
        """
        roles = {self.best_path: "checkpoint", self.last_path: "checkpoint", self.metrics_path: "metrics"}
        gone = [path for path in roles if not path.is_file()]
        if gone:
            raise TlvError(
                "resume-invalid",
                f"{gone[0]}, which the run wrote, is not there any more",
                "bring it back and resume again, or begin anew with --force",
            )
        return tuple(OutputInfo(role=role, path=str(path), sha256=hash_file(path)) for path, role in roles.items())


def _not_writable(path: Path, error: OSError) -> TlvError:
    return TlvError(
        "output-not-writable",
        f"cannot write {path}: {error.strerror or error}",
        "choose a folder you may write to, with space left",
    )
