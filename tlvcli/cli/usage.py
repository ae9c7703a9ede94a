"""What is wrong with a command line before any command has seen it, and how one is written."""

from __future__ import annotations

import re
from typing import Any

_EXTRA = re.compile(r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)")


def explain(error: Any) -> tuple[str, str]:
    """Return the message and the hint of a usage error of typer's or click's."""
    context = getattr(error, "ctx", None)
    where = getattr(context, "command_path", "tlv")
    hint = f"{where} --help lists the arguments and flags"
    message = " ".join(error.format_message().split()).rstrip(".")
    if extra := _EXTRA.fullmatch(message):
        return f"too many arguments ({extra.group(1)}): {where} takes {_arguments(context)}", hint
    return message or "no command is named", hint


def _arguments(context: Any) -> str:
    names = [parameter.metavar for parameter in context.command.params if parameter.param_type_name == "argument"]
    return f"{' '.join(names)}, all else by flags" if names else "flags only"


def find_example(command: Any) -> str | None:
    """Return the command line that the help of a command opens with, if it has one."""
    found = re.search(r"^\s*Example: (.*)$", command.help or "", re.MULTILINE)
    return found.group(1) if found else None
