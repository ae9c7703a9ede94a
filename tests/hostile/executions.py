"""Pickles that run something when they are loaded by anything but a weights-only reader."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.hostile.case import Case
from tests.hostile.pickles import (
    call,
    in_legacy,
    in_tar,
    in_zip,
    mapping,
    name_of,
    number,
    program,
    storage,
    tensor,
    text,
)

MARK_NAME = "it-ran"


def _touch(folder: Path) -> str:
    return f"touch {folder / MARK_NAME}"


def _open(folder: Path) -> str:
    return f"open({str(folder / MARK_NAME)!r}, 'w')"


# Each would make the file `it-ran` in the folder.
_PAYLOADS: dict[str, Callable[[Path], bytes]] = {
    "os.system": lambda folder: call(name_of("os", "system"), text(_touch(folder))),
    "posix.system": lambda folder: call(name_of("posix", "system"), text(_touch(folder))),
    "subprocess.getoutput": lambda folder: call(name_of("subprocess", "getoutput"), text(_touch(folder))),
    "builtins.eval": lambda folder: call(name_of("builtins", "eval"), text(_open(folder))),
    "__builtin__.eval": lambda folder: call(name_of("__builtin__", "eval"), text(_open(folder))),
    "builtins.exec": lambda folder: call(name_of("builtins", "exec"), text(_open(folder))),
    "builtins.open": lambda folder: call(name_of("builtins", "open"), text(str(folder / MARK_NAME)), text("w")),
    "builtins.getattr": lambda folder: call(name_of("builtins", "getattr"), name_of("os", "path"), text("os")),
    "pathlib.Path.touch": lambda folder: call(name_of("pathlib", "Path.touch"), text(str(folder / MARK_NAME))),
    "torch.load": lambda folder: call(name_of("torch", "load"), text(str(folder / "other.pt"))),
    "torch.hub.load": lambda folder: call(name_of("torch.hub", "load"), text(str(folder)), text("make")),
    "pickle.loads": lambda folder: call(
        name_of("pickle", "loads"),
        call(
            name_of("_codecs", "encode"),
            text(program(call(name_of("os", "system"), text(_touch(folder))))),
            text("latin1"),
        ),
    ),
    "torch.storage._load_from_bytes": lambda folder: call(name_of("torch.storage", "_load_from_bytes"), text("x")),
    "functools.partial": lambda folder: call(name_of("functools", "partial"), name_of("os", "system")),
    "a dotted way round": lambda folder: call(name_of("argparse", "Namespace._sys.modules"), text(_touch(folder))),
    "an instance": lambda folder: b"(" + text(_touch(folder)) + b"ios\nsystem\n",
    "a state to build from": lambda folder: name_of("os", "system") + b")\x81" + mapping(a=number(1)) + b"b",
}


class _Reduced:
    def __init__(self, function: Callable[..., Any], argument: str) -> None:
        self.function, self.argument = function, argument

    def __reduce__(self) -> tuple[Any, ...]:
        return self.function, (self.argument,)


def _write_plain(path: Path, body: bytes) -> Path:
    path.write_bytes(program(body))
    return path


def _with_weights(payload: bytes, *, is_legacy: bool) -> bytes:
    weight = tensor(storage("0", 4, is_legacy=is_legacy), (2, 2), (2, 1))
    return mapping(state_dict=mapping(weight=weight), extra=b"]" + mapping(deeper=payload) + b"a")


def _in_repacked_zip(path: Path, body: bytes) -> Path:
    return in_zip(path, body, compression=zipfile.ZIP_DEFLATED)


_CONTAINERS: dict[str, Callable[[Path, bytes], Path]] = {
    "zip": in_zip,
    "repacked zip": _in_repacked_zip,
    "legacy": in_legacy,
    "plain pickle": _write_plain,
}
_SUFFIXES = (".pth", ".bin", ".ckpt", ".safetensors", ".png", "")


def cases() -> Iterator[Case]:
    """Every payload in every container; suffixes take turns, nested ones lie beside honest weights."""
    unsafe = ("checkpoint-unsafe",)
    turn = 0
    for payload_name, payload in _PAYLOADS.items():
        for container_name, container in _CONTAINERS.items():
            # An instance instruction is none that torch knows, so torch refuses and the globals are listed afterwards.
            known = payload_name != "an instance"
            suffix = _SUFFIXES[turn % len(_SUFFIXES)]
            is_nested = turn % 2 == 0
            turn += 1

            def write(folder: Path, payload=payload, container=container, suffix=suffix, is_nested=is_nested) -> Path:
                body = payload(folder)
                return container(
                    folder / f"model{suffix}",
                    _with_weights(body, is_legacy=container is in_legacy) if is_nested else body,
                )

            name = f"{payload_name} in a {container_name}{suffix and f', as {suffix}'}{', nested' * is_nested}"
            yield Case(name, write, unsafe, needs_torch=not known)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):

        def write_reduced(folder: Path, protocol: int = protocol) -> Path:
            path = folder / "model.pt"
            path.write_bytes(pickle.dumps({"a": [_Reduced(os.system, _touch(folder))]}, protocol))
            return path

        yield Case(f"__reduce__ in protocol {protocol}", write_reduced, unsafe, needs_torch=protocol not in (1, 2, 3))
    yield Case(
        "os.system in the tar of the first versions",
        lambda folder: in_tar(folder / "model.pth", call(name_of("os", "system"), text(_touch(folder)))),
        ("checkpoint-unsupported",),
    )
