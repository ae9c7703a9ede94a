"""Errors a user can mend, each with a stable id, and the suggestion that goes with a misspelt word."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from difflib import get_close_matches


class TlvError(Exception):
    """Something the user can mend: drawn as `error[id]: message` and `hint: ...`, without a traceback.

    Args:
        error_id: stable kebab-case name of the kind of error; scripts may match on it.
        message: what is wrong and where, on one line.
        hint: what to do about it, on one line.
        exit_code: 2 unless the run was interrupted.
    """

    def __init__(self, error_id: str, message: str, hint: str, *, exit_code: int = 2) -> None:
        super().__init__(message)
        self.error_id = error_id
        self.message = message
        self.hint = hint
        self.exit_code = exit_code
        if sys.version_info >= (3, 11):  # what a notebook or a script shows below its traceback
            self.add_note(f"hint: {hint}  [{error_id}, see docs/errors.md]")

    def as_dict(self) -> dict[str, dict[str, str]]:
        """Return the object that `--json` prints on stderr."""
        return {"error": {"id": self.error_id, "message": self.message, "hint": self.hint}}


def did_you_mean(word: str, known: Iterable[str], *, listed_by: str = "--help") -> str:
    """Return "did you mean X?", or the known words, or what lists them where they are many."""
    words = sorted(known)
    # The last part of a dotted key is what people remember: `keep` is near `mapping.keep`.
    near = get_close_matches(word, words, n=1, cutoff=0.6) or [
        known_word for known_word in words if known_word.rpartition(".")[2] == word
    ]
    if near:
        return f"did you mean {near[0]}?"
    return f"choose from {', '.join(words)}" if len(words) <= 24 else f"{listed_by} lists the names"


def printable(text: str) -> str:
    """Return `text` on one line without control characters: names in a hostile file may hold escape codes."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
