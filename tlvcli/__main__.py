"""`python -m tlvcli`, the same program as `tlv`."""

import atexit
import os
import sys
from contextlib import suppress


def main() -> None:
    """Run the command line and exit with its code."""
    from tlvcli.cli.main import run

    code = run(sys.argv[1:])
    if "torch" not in sys.modules:
        sys.exit(code)
    # Taking torch's modules down one by one takes a tenth of a short command. And under torchrun, threads that talk to
    # the other processes may outlive their group; one that needs Python meanwhile would abort the process, and torchrun
    # the whole run.
    atexit._run_exitfuncs()
    with suppress(BrokenPipeError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
