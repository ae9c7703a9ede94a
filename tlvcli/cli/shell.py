"""The answer to a shell that completes: what typer prints, put right where bash takes words apart."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from typing import Any

VARIABLE = "_TLV_COMPLETE"
# Of bash's COMP_WORDBREAKS those that our words contain: cifar10:./data, digits@train, mapping.keep=random.
_BREAKS = (":", "@", "=")


def answer(command: Callable[..., Any]) -> int:
    """Print what may stand behind the words in the environment; return the exit code, by which fish asks for files."""
    typed = ""
    if os.environ[VARIABLE] == "complete_bash":
        whole, typed = rejoin(os.environ)
        os.environ.update(whole)
    printed = io.StringIO()
    code: Any = 0
    with redirect_stdout(printed):
        try:
            command(args=[], prog_name="tlv")
        except SystemExit as done:
            code = done.code
    for line in printed.getvalue().splitlines():
        sys.stdout.write(line.removeprefix(typed) + "\n")
    sys.stdout.flush()
    return int(code or 0)


def rejoin(environment: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """Return bash's variables with words put together that it took apart, and what its own last word leaves out.

    Of `--data digits @ tr`, where the last word is the one to complete, that is `--data digits@tr`, and bash wants to
    hear `train`: `digits@` stands there already.
    """
    words = environment["COMP_WORDS"].split("\n")
    current = int(environment["COMP_CWORD"])
    whole: list[str] = []
    position = 0
    for number, word in enumerate(words):
        if whole and word and (word[0] in _BREAKS or whole[-1].endswith(_BREAKS)):
            whole[-1] += word
        else:
            whole.append(word)
        if number == current:
            position = len(whole) - 1
    last = re.match(f".*[{''.join(_BREAKS)}]", whole[position]) if position < len(whole) else None
    return {"COMP_WORDS": "\n".join(whole), "COMP_CWORD": str(position)}, last.group() if last else ""
