"""`python -m tlvcli`, the same program as `tlv`."""

import atexit
import os
import sys
import threading
from contextlib import suppress


def main() -> None:
    """Run the command line and exit with its code."""
    from tlvcli.cli.main import run

    _leave(run(sys.argv[1:]))


def _leave(code: int) -> None:
    """End the process as Python does, threads, exit handlers, streams, but for taking its modules down one by one.

    With torch that takes a tenth of a short command. And under torchrun, threads of torch's that talk to the other
    processes may outlive their group; one that needs Python meanwhile would abort the process, and torchrun the whole
    run. Of what is Python's nothing is lost: threads that a user's file has started are waited for. A C library that
    prints by itself has to flush by itself.
    """
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    finally:
        # The work is done: neither an interrupt that comes now nor a reader that has left changes what it came to.
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
