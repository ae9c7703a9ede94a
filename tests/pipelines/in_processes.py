"""Run by torchrun: several commands one after the other, in the processes that it started; so that torch loads once.

The argument is a JSON file of commands: a list of words, or the settings of a training which a signal interrupts after
so many batches of the process of one rank. Exit codes go beside it, a file for each process.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from tests.pipelines.training.conftest import Trigger
from tlvcli.cli.main import run
from tlvcli.core.errors import TlvError
from tlvcli.pipelines import train
from tlvcli.pipelines.training.config import TrainConfig


def _interrupt(settings: dict[str, Any], after: int, rank: int) -> int:
    ours = rank == int(os.environ["RANK"])
    progress = Trigger(after if ours else -1, lambda: signal.raise_signal(signal.SIGTERM))
    try:
        train.run(TrainConfig(**settings), progress=progress)
    except TlvError as error:
        return error.exit_code
    return 0


def main() -> None:
    commands = Path(sys.argv[1])
    codes = [
        _interrupt(**command) if isinstance(command, dict) else run(command)
        for command in json.loads(commands.read_text())
    ]
    commands.with_suffix(f".{os.environ['RANK']}").write_text(json.dumps(codes))


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # as tlvcli does
