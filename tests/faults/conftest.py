from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.kills import NETWORKS, warm_up


@dataclass(frozen=True)
class Place:
    """A folder with `net.py`, a network that was trained for an epoch, and a file for what commands say."""

    path: Path

    @property
    def network(self) -> str:
        """The architecture."""
        return f"{self.path}/net.py:make"

    @property
    def wider(self) -> str:
        """Another one."""
        return f"{self.path}/net.py:wider"

    @property
    def trained(self) -> str:
        """The checkpoint."""
        return str(self.path / "run" / "best.safetensors")

    @property
    def log(self) -> Path:
        """What a command says."""
        return self.path / "log"

    @property
    def said(self) -> list[str]:
        """Its lines on stderr and stdout."""
        return self.log.read_text(errors="surrogateescape").splitlines()


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Everything is imported once, in this process, and trained once."""
    folder = tmp_path_factory.mktemp("faults")
    (folder / "net.py").write_text(NETWORKS)
    warm_up(folder)
    return Place(folder)
