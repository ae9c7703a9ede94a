"""Look at every hostile file in a process of its own and say what that took: `python -m tests.hostile.driver FOLDER`.

Imports are paid once, before the processes fork; torch is imported after the files that must be refused without it.
Each line of stdout is one file as JSON.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.hostile.case import Case
from tests.hostile.corpus import all_cases
from tests.hostile.executions import MARK_NAME
from tlvcli.core.errors import TlvError
from tlvcli.pipelines.inspect import InspectConfig
from tlvcli.pipelines.inspect import run as inspect

HONEST = "an honest file"
_MOST_SECONDS = 20
_MOST_BYTES = 8 << 30  # of addresses, so that what slips through does not take the machine with it


@dataclass(frozen=True)
class Refusal:
    """What came of one file: `megabytes` and `seconds` of the processor are what the command took by itself."""

    name: str
    exit_code: int
    error_id: str
    seconds: float
    megabytes: float
    imported_torch: bool
    ran: bool


def examine(name: str, path: Path, folder: Path) -> Refusal:
    """Inspect the file in a child process, as `tlv inspect` does after its flags are read."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        signal.alarm(_MOST_SECONDS)
        resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
        with os.fdopen(writer, "w") as stream:
            json.dump(asdict(_look(name, path, folder)), stream)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        said = stream.read()
    _, status = os.waitpid(child, 0)
    if not said:  # killed by the alarm or the system
        return Refusal(name, -os.waitstatus_to_exitcode(status), "killed", _MOST_SECONDS, 0.0, False, False)
    return Refusal(**json.loads(said))


def _look(name: str, path: Path, folder: Path) -> Refusal:
    before = _peak_bytes(reset=True)
    started = time.process_time()
    try:
        inspect(InspectConfig(checkpoint=str(path)))
        code, error_id = 0, ""
    except TlvError as error:
        code, error_id = error.exit_code, error.error_id
    except Exception as error:  # the command would call it a bug of ours
        code, error_id = 70, repr(error)
    seconds = time.process_time() - started
    return Refusal(
        name=name,
        exit_code=code,
        error_id=error_id,
        seconds=round(seconds, 3),
        megabytes=round((_peak_bytes() - before) / 1e6, 1),
        imported_torch="torch" in sys.modules,
        ran=(folder / MARK_NAME).exists(),
    )


def _peak_bytes(*, reset: bool = False) -> int:
    if reset:
        Path("/proc/self/clear_refs").write_text("5")  # the peak so far was the parent's
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def _examine_all(cases: dict[str, Case], root: Path) -> None:
    for number, (name, case) in enumerate(cases.items()):
        folder = root / f"{number}"
        folder.mkdir()
        print(json.dumps(asdict(examine(name, case.write(folder), folder))), flush=True)  # noqa: T201
        for file in folder.iterdir():
            file.unlink()


def main(root: Path) -> None:
    """Examine all files; those that need torch come after it was imported, beside an honest one."""
    cases = all_cases()
    without, with_torch = root / "without", root / "with"
    without.mkdir()
    with_torch.mkdir()
    _examine_all({name: case for name, case in cases.items() if not case.needs_torch}, without)

    import torch

    honest = root / "honest.pt"
    torch.save({"weight": torch.ones(2, 2)}, honest)
    inspect(InspectConfig(checkpoint=str(honest)))
    print(json.dumps(asdict(examine(HONEST, honest, root))), flush=True)  # noqa: T201
    _examine_all({name: case for name, case in cases.items() if case.needs_torch}, with_torch)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
