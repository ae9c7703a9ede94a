"""Damage files where it leads a reader to new places: `python -m tests.fuzz.guided --target plan --seconds 120`.

Needs atheris (`pip install atheris`), which has wheels for some versions of Python, on Linux alone. What it finds is
left as `crash-...` in the folder where it was started: the number of a seed in one byte, then what is put in its place.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import atheris
import torch  # noqa: F401  # before what is instrumented, which it is not


def _dictionary(tokens: Iterable[bytes]) -> str:
    """Return tokens as libFuzzer reads them, longer ones left out."""
    escaped = ("".join(f"\\x{byte:02x}" for byte in token) for token in tokens if 0 < len(token) <= 64)
    return "".join(f'"{token}"\n' for token in escaped)


def fuzz(target_name: str, seconds: int, seed: int, folder: Path) -> None:
    """Search until the time is over or something is let out; ends the process."""
    with atheris.instrument_imports(include=["tlvcli"]):
        from tests.fuzz.mutations import PICKLE_TOKENS, TEXT_TOKENS
        from tests.fuzz.targets import let_read, targets
    target = targets()[target_name]
    corpus, files = folder / "corpus", folder / "files"
    corpus.mkdir()
    files.mkdir()
    target.prepare(files)
    for number, start in enumerate(target.seeds):
        (corpus / f"{number}").write_bytes(bytes([number]) + start.data)
    tokens = PICKLE_TOKENS if any(start.is_pickle for start in target.seeds) else ()
    (folder / "tokens").write_text(_dictionary((*TEXT_TOKENS, *tokens)))

    def read(data: bytes) -> None:
        if data:
            start = target.seeds[data[0] % len(target.seeds)]
            let_read(target, target.file_name(start), start.wrap(data[1:]), files)

    limits = [f"-max_total_time={seconds}", f"-seed={seed + 1}", "-timeout=30", "-rss_limit_mb=12000"]
    said = ["-print_final_stats=1", f"-dict={folder / 'tokens'}"]
    atheris.Setup([sys.argv[0], *limits, *said, str(corpus)], read)
    atheris.Fuzz()


def main() -> int:
    """Search in a child, for libFuzzer ends its process, and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.guided")
    parser.add_argument("--target", required=True, choices=["checkpoint", "plan", "mask", "config", "report"])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        child = os.fork()
        if child == 0:
            fuzz(arguments.target, arguments.seconds, arguments.seed, Path(folder))
        _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
