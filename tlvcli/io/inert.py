"""Stand-ins for what honest training checkpoints carry beside tensors: accepted, and nothing but data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any


class Inert:
    """Takes the place of a foreign object: swallows its arguments, keeps its attributes as data, does nothing."""

    state: Mapping[str, object] = MappingProxyType({})

    def __new__(cls, *_arguments: object, **_settings: object) -> Inert:
        """Return an object that forgets what it was made of."""
        return super().__new__(cls)

    def __init__(self, *_arguments: object, **_settings: object) -> None: ...

    def __setstate__(self, state: object) -> None:
        """Keep what an `argparse.Namespace` holds; any other state is forgotten."""
        if isinstance(state, dict) and all(isinstance(key, str) for key in state):
            self.state = state


# None of the real classes is used, so no bug of theirs can be reached from a file, and it does not matter
# which versions of numpy and Python wrote it.
_OBJECTS = (
    "argparse.Namespace",
    "types.SimpleNamespace",
    "datetime.date",
    "datetime.datetime",
    "datetime.time",
    "datetime.timedelta",
    "datetime.timezone",
    "decimal.Decimal",
    "fractions.Fraction",
    "uuid.UUID",
    *(
        f"{module}.{name}"
        for module in ("pathlib", "pathlib._local")
        for name in ("Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath")
    ),
    "numpy.dtype",
    "numpy.ndarray",
    *(
        f"{module}.{name}"
        for module in ("numpy.core.multiarray", "numpy._core.multiarray")
        for name in ("scalar", "_reconstruct")
    ),
    *(f"numpy.{module}._frombuffer" for module in ("core.numeric", "_core.numeric")),
    *(f"builtins.{name}" for name in ("int", "float", "str", "bool", "list", "dict", "tuple", "slice", "range")),
)


def _empty_dict(*_arguments: object) -> dict[Any, Any]:
    return {}


def _empty_list(*_arguments: object) -> list[Any]:
    return []


# Containers may hold what is looked for, so they become the plain ones that weights-only loading fills.
_CONTAINERS: dict[str, Callable[..., Any]] = {
    "collections.defaultdict": _empty_dict,
    "collections.deque": _empty_list,
    "builtins.frozenset": _empty_list,
}


INERT_NAMES = frozenset((*_OBJECTS, *_CONTAINERS))


def inert_globals() -> list[tuple[Callable[..., Any], str]]:
    """Return every stand-in with the full name that it stands for, for `torch.serialization.safe_globals`."""
    return [*((Inert, name) for name in _OBJECTS), *((make, name) for name, make in _CONTAINERS.items())]
