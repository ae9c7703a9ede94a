"""Names of architectures, told right from wrong without importing the libraries that build them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from tlvcli.core.errors import TlvError, did_you_mean

TIMM = "timm:"


def user_file(name: str) -> Path | None:
    """Return the Python file that building architecture `name` runs, None for a published one."""
    return Path(name.rpartition(":")[0]) if ".py:" in name and not name.startswith(TIMM) else None


def is_classifier(name: str) -> bool:
    """Return whether the shipped index has a torchvision classifier of this name."""
    from tlvcli.models.recognition.index import known_names

    return name in known_names("torchvision")


def refuse_unknown(name: str) -> None:
    """Raise where no architecture can be called `name`, which takes torch seconds to say.

    What is in the shipped index passes, and so does a word that the installed library's sources define or quote: it
    may be newer than the index. Whether it is a builder is then the library's to say.

    Raises:
        TlvError: `architecture-unknown`, or `extra-missing` for timm.
    """
    from tlvcli.models.recognition.index import known_names

    file = user_file(name)
    if file is not None:
        if not file.is_file():
            raise no_file(file)
    elif name.startswith(TIMM):
        model = name.removeprefix(TIMM)
        if find_spec("timm") is None:
            raise timm_missing(model)
        known = [word.removeprefix(TIMM) for word in known_names("timm")]
        architecture = model.partition(".")[0]  # a tag behind it names weights
        if architecture not in known and not _is_mentioned(architecture, "timm"):
            raise unknown_in_timm(model, known)
    elif not is_classifier(name) and not _is_mentioned(name, "torchvision"):
        raise unknown_in_torchvision(name, known_names("torchvision"))


def unknown_in_torchvision(name: str, known: Iterable[str]) -> TlvError:
    """Return the error that says so, with the nearest of the `known` names."""
    hint = did_you_mean(name, known, listed_by="torchvision.models.list_models()")
    if Path(name).is_file():
        hint = f"{name} is a file, such as CHECKPOINT, which comes first; an architecture is a name, as in resnet18"
    return TlvError("architecture-unknown", f"no torchvision classifier is called {name}", hint)


def unknown_in_timm(model: str, known: Iterable[str]) -> TlvError:
    """Return the error that says so, with the nearest of the `known` names."""
    hint = did_you_mean(model, known, listed_by="timm.list_models()")
    return TlvError("architecture-unknown", f"timm has no model {model}", hint)


def timm_missing(model: str) -> TlvError:
    """Return the error that says how to install timm."""
    return TlvError("extra-missing", f"timm:{model} needs the package timm", "pip install 'tlvcli[timm]'")


def no_file(path: Path) -> TlvError:
    """Return the error that says that a user's file is not there."""
    return TlvError("architecture-unknown", f"no file {path}", "write path/to/file.py:callable")


def _is_mentioned(name: str, library: str) -> bool:
    """Return whether the sources of a library's models define a function of this name, or quote it as text."""
    spec = find_spec(library)
    assert spec is not None, "it is installed"
    assert spec.origin is not None
    word = re.escape(name)
    pattern = re.compile(rf"^def {word}\(|\"{word}\"|'{word}'".encode(), re.MULTILINE)
    files = Path(spec.origin).parent.joinpath("models").glob("*.py")
    return any(pattern.search(file.read_bytes()) for file in files)
