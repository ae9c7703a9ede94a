"""What `torch.save` wrote, loaded weights-only: nothing in it runs, and a global that would is named."""

from __future__ import annotations

import mmap
import pickle
import re
import struct
import warnings
import zipfile
import zlib

# What pickles of protocol 2 call the modules of Python 3; torch translates them by the same tables.
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Sequence
from pathlib import Path

from tlvcli.core.errors import TlvError
from tlvcli.io.formats import CheckpointFormat
from tlvcli.io.inert import INERT_NAMES, inert_globals
from tlvcli.io.pickle_globals import globals_in
from tlvcli.io.pickle_scan import MAX_PICKLE_BYTES, PickleFaultError, UnknownGlobalError, refuse_costly
from tlvcli.io.zip_archive import read_member, read_members, refuse_bomb

# What every honest file asks for; all of it is known to weights-only loading, which lets more than this through.
_HARMLESS = re.compile(
    r"torch\.((cuda\.)?\w+Storage|Size|device|Tensor|bool|(b|c|q|u)?(float|complex|int|uint)\d+\w*|per_\w+)"
    r"|torch\._utils\._rebuild_(tensor\w*|parameter\w*|qtensor|sparse_tensor|meta_tensor_no_storage)"
    r"|torch\._tensor\._rebuild_from_type_v2|torch\.serialization\._get_layout"
    r"|torch\.storage\.(Typed|Untyped)Storage|torch\.nn\.parameter\.Parameter"
    r"|collections\.(OrderedDict|Counter)|_codecs\.encode|builtins\.(set|complex|bytearray)"
)
_REFUSED = re.compile(r"GLOBAL (\S+) (?:was not an allowed|whose module)")
_KNOWN_PROTOCOL = 2
_MODULE_PREFIXES = ("torch.nn.modules.", "torch.nn.parallel.", "torchvision.models.", "timm.models.")


def load_torch_file(path: Path, format: CheckpointFormat) -> object:
    """Return the object in the file, tensors on the CPU; those of an uncompressed zip mapped from it.

    Raises:
        TlvError: `checkpoint-unsafe`, `checkpoint-truncated`, `checkpoint-unsupported`,
            `checkpoint-not-recognised` or `checkpoint-corrupt`.
    """
    members = read_members(path) if format == "pytorch-zip" else ()
    _refuse_before_torch(path, members)
    import torch

    # Where torch maps, it takes the bytes as they lie, so an archive that was packed again would give noise; a path
    # that ends in .safetensors it takes for that format, whatever the content, and one that is not UTF-8 it refuses.
    is_stored = bool(members) and all(member.compress_type == zipfile.ZIP_STORED for member in members)
    mapped = is_stored and path.suffix != ".safetensors" and str(path).isprintable()
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals([*inert_globals()]):
            # About the pickle protocol and its own typed storages: nothing that a user can act on.
            warnings.simplefilter("ignore")
            if mapped:
                return torch.load(path, map_location="cpu", mmap=True, weights_only=True)
            with path.open("rb") as stream:
                return torch.load(stream, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refusal(path, members, str(error)) from error
    except Exception as error:  # the bytes of a damaged file can make torch raise almost anything
        raise _damage(path, error) from error


def _refuse_before_torch(path: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    """Raise for what the file would call, and for what torch would do without end; torch is not imported for it."""
    try:
        if members:
            refuse_bomb(path, members)
            refuse_costly(_read_pickle(path, members), is_legacy=False, is_allowed=_is_allowed)
            return
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            refuse_costly(data, is_legacy=True, is_allowed=_is_allowed)
    except UnknownGlobalError as error:
        raise _unsafe(path, str(error), globals_in(_pickle_of(path, members))) from error
    except PickleFaultError as error:
        hint = "torch.save writes no such file, so nothing was loaded; fetch it again"
        raise TlvError("checkpoint-corrupt", f"{path} {error}", hint) from error
    except (OSError, struct.error, zlib.error) as error:
        raise _damage(path, error) from error


def _read_pickle(path: Path, members: Sequence[zipfile.ZipInfo]) -> bytes:
    member, *others = (member for member in members if member.filename.partition("/")[2] == "data.pkl")
    if others:
        raise PickleFaultError("is a zip archive with several pickles")
    if member.file_size > MAX_PICKLE_BYTES:
        raise PickleFaultError(f"holds a pickle of {member.file_size} bytes; {MAX_PICKLE_BYTES} is the most")
    return read_member(path, member, most_bytes=member.file_size)


def _pickle_of(path: Path, members: Sequence[zipfile.ZipInfo]) -> bytes:
    if members:
        return _read_pickle(path, members)
    with path.open("rb") as stream:
        return stream.read(MAX_PICKLE_BYTES)


def _is_allowed(name: str) -> bool:
    module, _, last = name.rpartition(".")
    module, last = NAME_MAPPING.get((module, last), (IMPORT_MAPPING.get(module, module), last))
    name = f"{module}.{last}"
    return name in INERT_NAMES or _HARMLESS.fullmatch(name) is not None


def _refusal(path: Path, members: Sequence[zipfile.ZipInfo], message: str) -> TlvError:
    raw = _pickle_of(path, members)
    protocol = raw[1] if raw[:1] == pickle.PROTO else 0
    asked = globals_in(raw)
    refused = _REFUSED.search(message)
    if refused:
        # torch translates old module names; the user is told what stands in the file.
        last = refused[1].rpartition(".")[2]
        name = next((name for name in asked if name.rpartition(".")[2] == last), refused[1])
    else:
        name = next((name for name in asked if not _is_allowed(name)), "")
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
