"""Pages with commands and what they print: `python docs/console.py PAGE...` runs them and writes what they print now.

A block is fenced as `console`; a line that begins with `$ ` is a command, one that ends with a backslash goes on.
Progress and messages, which go to stderr, are not part of a page.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)

Run = Callable[[list[str]], str]


@dataclass(frozen=True)
class Step:
    """One command as it is typed, and what it prints."""

    typed: str
    printed: str

    @property
    def arguments(self) -> list[str]:
        """The words of the command, without `tlv`."""
        program, *arguments = shlex.split(self.typed.replace("\\\n", " "))
        assert program == "tlv", self.typed
        return arguments


def steps(page: str) -> Iterator[Step]:
    """Yield the commands of a page in their order."""
    for block in _BLOCK.finditer(page):
        for part in re.split(r"^\$ ", block.group(1), flags=re.MULTILINE)[1:]:
            typed, printed = _split(part)
            yield Step(typed, printed)


def shape(printed: str) -> list[str]:
    """Return how the lines begin, with # for a number, and once what several begin with: no luck is in that."""
    firsts = [line.split()[0] for line in printed.splitlines() if line.strip()]
    return [key for key, _ in groupby("#" if first[0].isdigit() else first for first in firsts)]


def refreshed(page: str, run: Run) -> str:
    """Return the page with what its commands print now."""

    def renew(block: re.Match[str]) -> str:
        parts = re.split(r"^\$ ", block.group(1), flags=re.MULTILINE)[1:]
        renewed = (f"$ {typed}\n{run(Step(typed, '').arguments)}" for typed, _ in map(_split, parts))
        return f"```console\n{''.join(renewed)}```"

    return _BLOCK.sub(renew, page)


def _split(part: str) -> tuple[str, str]:
    lines = part.splitlines(keepends=True)
    last = next(number for number, line in enumerate(lines) if not line.rstrip("\n").endswith("\\"))
    return "".join(lines[: last + 1]).rstrip("\n"), "".join(lines[last + 1 :])


def run_in(folder: Path) -> Run:
    """Return what runs a command of `tlv` in a folder and returns its stdout."""

    def run(arguments: list[str]) -> str:
        command = [sys.executable, "-m", "tlvcli", *arguments]
        printed = subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout
        return "".join(f"{line.rstrip()}\n" for line in printed.strip("\n").splitlines())

    return run


def main(pages: list[str]) -> None:
    """Renew the pages, each in a folder of its own."""
    for name in pages:
        with tempfile.TemporaryDirectory() as folder:
            page = Path(name)
            page.write_text(refreshed(page.read_text(encoding="utf-8"), run_in(Path(folder))), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
