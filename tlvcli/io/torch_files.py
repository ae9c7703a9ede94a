"""What `torch.save` wrote, loaded weights-only: nothing in it runs, and a global that would is named."""

from __future__ import annotations

import pickle
import re
import struct
import warnings
import zipfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO

from tlvcli.core.errors import TlvError
from tlvcli.io.formats import CheckpointFormat
from tlvcli.io.inert import inert_globals
from tlvcli.io.pickle_globals import globals_in

# What every honest file asks for; all of it is known to weights-only loading.
_HARMLESS = re.compile(
    r"torch\.(\w+Storage|Size|device|[a-z]+\d+\w*|bool)|torch\._utils\._rebuild_\w+|torch\._tensor\._rebuild\w+"
    r"|torch\.storage\.\w+|torch\.nn\.parameter\.Parameter|collections\.(OrderedDict|Counter)|_codecs\.encode"
)
_REFUSED = re.compile(r"GLOBAL (\S+) (?:was not an allowed|whose module)")
_KNOWN_PROTOCOL = 2
_PROTO = pickle.PROTO[0]
_MODULE_PREFIXES = ("torch.nn.modules.", "torch.nn.parallel.", "torchvision.models.", "timm.models.")


def load_torch_file(path: Path, format: CheckpointFormat) -> object:
    """Return the object in the file, tensors on the CPU; those of an uncompressed zip mapped from it.

    Raises:
        TlvError: `checkpoint-unsafe`, `checkpoint-truncated`, `checkpoint-unsupported`,
            `checkpoint-not-recognised` or `checkpoint-corrupt`.
    """
    import torch

    mapped = format == "pytorch-zip" and _can_be_mapped(path)
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals([*inert_globals()]):
            # About the pickle protocol and its own typed storages: nothing that a user can act on.
            warnings.simplefilter("ignore")
            if mapped:
                return torch.load(path, map_location="cpu", mmap=True, weights_only=True)
            with path.open("rb") as stream:
                return torch.load(stream, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refusal(path, format, str(error)) from error
    except Exception as error:  # the bytes of a damaged file can make torch raise almost anything
        raise _damage(path, error) from error


def _can_be_mapped(path: Path) -> bool:
    # Where torch maps, it takes the bytes as they lie, so an archive that was packed again would give noise;
    # and a path that ends in .safetensors it takes for that format, whatever the content.
    with zipfile.ZipFile(path) as archive:
        stored = all(item.compress_type == zipfile.ZIP_STORED for item in archive.infolist())
    return stored and path.suffix != ".safetensors"


def _refusal(path: Path, format: CheckpointFormat, message: str) -> TlvError:
    protocol, asked = _look_into(path, format)
    refused = _REFUSED.search(message)
    if refused:
        # torch translates old module names; the user is told what stands in the file.
        last = refused[1].rpartition(".")[2]
        name = next((name for name in asked if name.rpartition(".")[2] == last), refused[1])
    else:
        let_through = {full_name for _, full_name in inert_globals()}
        name = next((name for name in asked if name not in let_through and not _HARMLESS.fullmatch(name)), "")
    if name:
        return _unsafe(path, name, asked)
    if protocol > _KNOWN_PROTOCOL:
        return TlvError(
            "checkpoint-unsupported",
            f"{path} is pickled with protocol {protocol}, which weights-only loading cannot read",
            "where you trust it, save it with the usual one: "
            "torch.save(torch.load(FILE, weights_only=False), NEW_FILE)",
        )
    return TlvError(
        "checkpoint-corrupt",
        f"{path} holds a pickle that does not build tensors and plain data",
        "fetch the file again, or save the state_dict alone",
    )


def _unsafe(path: Path, name: str, asked: tuple[str, ...]) -> TlvError:
    if any(other.startswith(_MODULE_PREFIXES) for other in asked):
        hint = "a whole module; where you trust it, save torch.load(FILE, weights_only=False).state_dict()"
    else:
        hint = "loading could run code, so nothing was run; ask for a file with the state_dict alone"
    return TlvError("checkpoint-unsafe", f"{path} needs the global {name}", hint)


def _look_into(path: Path, format: CheckpointFormat) -> tuple[int, tuple[str, ...]]:
    """Return the pickle's protocol, and the globals it asks for as they stand in the file."""
    with ExitStack() as stack:
        stack.enter_context(suppress(Exception))  # in a damaged archive there may be nothing to see
        if format == "pytorch-zip":
            archive = stack.enter_context(zipfile.ZipFile(path))
            name = next(name for name in archive.namelist() if name.partition("/")[2] == "data.pkl")
            stream: IO[bytes] = stack.enter_context(archive.open(name))
        else:
            stream = stack.enter_context(path.open("rb"))
        opcode, protocol = stream.read(2)
        stream.seek(0)
        return protocol if opcode == _PROTO else 0, globals_in(stream)
    return 0, ()


def _damage(path: Path, error: Exception) -> TlvError:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    if "magic number" in reason:
        return TlvError(
            "checkpoint-not-recognised",
            f"{path} is a pickle, but not one that torch.save wrote",
            "load it where you trust it, and save its tensors with torch.save",
        )
    if isinstance(error, (EOFError, struct.error)) or "unexpected EOF" in reason:
        return TlvError("checkpoint-truncated", f"{path} ends too early", "fetch the file again")
    return TlvError("checkpoint-corrupt", f"{path} is damaged: {reason}", "fetch the file again")
