"""The error boundary: every way a run can end, as an exit code and at most two lines on stderr."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from tlvcli.cli.shortage import OUT_OF_MEMORY, find_shortage
from tlvcli.core.errors import TlvError, printable
from tlvcli.core.processes import ENDED_WITH_ANOTHER, ToldForAllError

EXIT_OUR_BUG = 70
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143
_WRONG_PATH = (errno.ENAMETOOLONG, errno.EACCES, errno.ELOOP)
_STDOUT, _STDERR = 1, 2
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class _Terminated(BaseException):
    """SIGTERM arrived; not an Exception, so that nothing on the way swallows it."""


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; nothing but a bug of ours shows a traceback."""
    as_json, debug = "--json" in arguments, "--debug" in arguments
    signal.signal(signal.SIGTERM, _raise_terminated)
    _open_closed_streams()
    _let_print_anything(as_json=as_json)
    try:
        return _dispatch(arguments)
    except TlvError as error:
        _draw(find_shortage(error) or error, as_json=as_json)
        _show_cause(error, debug=debug)
        return error.exit_code
    except (BrokenPipeError, SystemExit):
        # The reader (`| head`) has what it wanted, and typer or rich may already have turned that into an exit.
        _drop_results()
        return 0
    except KeyboardInterrupt:
        return _interrupted(EXIT_INTERRUPTED, "interrupted", as_json=as_json)
    except _Terminated:
        return _interrupted(EXIT_TERMINATED, "terminated", as_json=as_json)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _WRONG_PATH and error.filename is not None:
            return _refuse_path(error, as_json=as_json, debug=debug)
        # Outputs name their file, so this is stdout: a full disk that it was sent to.
        if isinstance(error, OSError) and error.errno in _FULL and error.filename is None:
            _drop_results()
            return _refuse_stdout(error, as_json=as_json, debug=debug)
        if shortage := find_shortage(error):
            _draw(shortage, as_json=as_json)
            _show_cause(error, debug=debug)
            return shortage.exit_code
        name = f"{type(error).__name__}: {error}".splitlines()[0]
        _draw(TlvError("internal", name, "this is a bug of tlv; --debug shows where"), as_json=as_json)
        _show_cause(error, debug=debug)
        return EXIT_OUR_BUG


def _open_closed_streams() -> None:
    """Point at nothing what the user closed, as with `>&-`: else the next file that is opened takes its place."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(number, True)
    os.close(number)
    for name, number in (("stdout", _STDOUT), ("stderr", _STDERR)):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w", encoding="utf-8", closefd=False))  # noqa: SIM115


def _drop_results() -> None:
    """Point stdout at nothing, so that closing it, when Python ends, stays silent."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _let_print_anything(*, as_json: bool) -> None:
    """Replace what the locale's encoding lacks, such as bars and foreign names in ASCII; JSON is UTF-8 everywhere."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8" if as_json else None, errors="replace")


def _dispatch(arguments: Sequence[str]) -> int:
    # Looking for pydantic plugins among all that is installed takes longer than our own imports.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    import typer

    from tlvcli.cli.app import app
    from tlvcli.cli.shell import VARIABLE, answer

    command = typer.main.get_command(app)
    if VARIABLE in os.environ:
        return answer(command.main)
    try:
        code = command.main(args=list(arguments), prog_name="tlv", standalone_mode=False)
    except typer.Abort:
        raise KeyboardInterrupt from None
    except Exception as error:
        # Usage errors, of typer's own classes or, before 0.29, click's: told by what they can do.
        if not hasattr(error, "format_message"):
            raise
        from tlvcli.cli.usage import explain

        raise TlvError("usage", *explain(error)) from error
    if code == EXIT_INTERRUPTED:  # typer turns the keyboard's interrupt into this
        raise KeyboardInterrupt
    return int(code or 0)


def _draw(error: TlvError, *, as_json: bool) -> None:
    if _is_told_elsewhere(error):
        return
    with suppress(OSError):
        if as_json:
            print(json.dumps(error.as_dict()), file=sys.stderr)  # noqa: T201
        else:
            colours = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
            red, cyan, plain = ("\x1b[1;31m", "\x1b[36m", "\x1b[0m") if colours else ("", "", "")
            for colour, word, text in ((red, f"error[{error.error_id}]:", error.message), (cyan, "hint:", error.hint)):
                said = _fit_to_terminal(f"{word} {printable(text)}")
                print(f"{colour}{word}{plain}{said.removeprefix(word)}", file=sys.stderr)  # noqa: T201


def _fit_to_terminal(line: str) -> str:
    """Break a line between its words where the terminal would in them; what is no terminal gets one line."""
    if not sys.stderr.isatty():
        return line
    import shutil
    import textwrap

    width = shutil.get_terminal_size().columns
    if len(line) <= width:
        return line
    return textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)


def _is_told_elsewhere(error: TlvError) -> bool:
    """Return whether, of the processes that torchrun started, another one tells this error."""
    of_one_alone = error.error_id in ("internal", OUT_OF_MEMORY)
    if os.environ.get("WORLD_SIZE", "1") == "1" or isinstance(error, ToldForAllError) or of_one_alone:
        return False
    # What goes wrong before processes meet, as a misspelt flag, goes wrong in all of them.
    return error.error_id == ENDED_WITH_ANOTHER or os.environ.get("LOCAL_RANK", "0") != "0"


def _show_cause(error: BaseException, *, debug: bool) -> None:
    if debug:
        traceback.print_exception(error, file=sys.stderr)


def _refuse_path(error: OSError, *, as_json: bool, debug: bool) -> int:
    """Draw that the system cannot follow a path, which a mere look at it may show: a name too long, a closed folder."""
    refused = TlvError("path-invalid", f"{error.filename}: {error.strerror}", "check the path and its folders")
    _draw(refused, as_json=as_json)
    _show_cause(error, debug=debug)
    return refused.exit_code


def _refuse_stdout(error: OSError, *, as_json: bool, debug: bool) -> int:
    """Draw that the results cannot be printed; what the command wrote to files is there."""
    hint = "files that the command was to write are written; send stdout elsewhere, or free some space"
    refused = TlvError("output-not-writable", f"cannot write to stdout: {error.strerror}", hint)
    _draw(refused, as_json=as_json)
    _show_cause(error, debug=debug)
    return refused.exit_code


def _interrupted(code: int, word: str, *, as_json: bool) -> int:
    hint = "what was complete is on disk; nothing is half written"
    _draw(TlvError(word, f"{word} before the command was done", hint), as_json=as_json)
    return code


def _raise_terminated(number: int, frame: FrameType | None) -> NoReturn:
    raise _Terminated
