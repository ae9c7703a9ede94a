"""`python -m tlvcli`, the same program as `tlv`."""

import os
import sys


def main() -> None:
    """Run the command line and exit with its code."""
    from tlvcli.cli.main import run

    code = run(sys.argv[1:])
    if os.environ.get("WORLD_SIZE", "1") != "1":
        # Threads that talk to the other processes may outlive their group; one that needs Python while it is being
        # taken down would abort the process, and torchrun the whole run.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
