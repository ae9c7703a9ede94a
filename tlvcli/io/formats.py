"""What kind of file a checkpoint is, told from its content; everything else is refused by name."""

from __future__ import annotations

import os
import pickle
import pickletools
import stat
import struct
import zipfile
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from tlvcli.core.errors import TlvError
from tlvcli.io.safetensors_header import MAX_HEADER_BYTES
from tlvcli.io.zip_archive import read_members

CheckpointFormat = Literal["safetensors", "pytorch-zip", "pytorch-legacy", "sharded"]

HEAD_BYTES = 4096
INDEX_SUFFIX = ".index.json"
CHECKPOINT_SUFFIXES = (INDEX_SUFFIX, ".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".th", ".tar")

# The first PyTorch versions wrote sys_info, pickle, tensors and storages, each with an extended header at most.
_TAR_MEMBERS = 8
_TAR_BLOCK = 512

_DOWNLOAD_AGAIN = "the download failed or stopped; fetch the file again"
_UNPACK = "unpack it and name the file inside"

_PACKED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstandard",
    b"7z\xbc\xaf\x27\x1c": "7-zip",
}
_FOREIGN = {
    b"\x89HDF\r\n\x1a\n": "an HDF5 file, as Keras writes it",
    b"GGUF": "a GGUF file",
    b"\x93NUMPY": "a NumPy array",
}
_WEB_PAGES = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<error")


def recognise_format(path: Path) -> CheckpointFormat:
    """Return the format that the content of `path` shows; its suffix does not count.

    Raises:
        TlvError: one id for each way in which the file is no checkpoint.
    """
    head = _read_head(path)
    # First, because the length of a header may look like any other magic number: 19280 is "PK".
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= MAX_HEADER_BYTES:
        return "safetensors"
    _refuse_failed_download(path, head)
    if head.startswith(b"PK"):
        _refuse_foreign_zip(path)
        return "pytorch-zip"
    _refuse_archive(path, head)
    # Binary pickles begin with their protocol; the first ones began with any opcode and need a closer look.
    if head[:1] == pickle.PROTO or _looks_like_text_pickle(head):
        return "pytorch-legacy"
    if _looks_like_index(path, head):
        return "sharded"
    if head[8:9] == b"{":  # with a length that lies, which the reader of the header says
        return "safetensors"
    if path.suffix == ".safetensors" and len(head) <= 8:
        raise TlvError("checkpoint-truncated", f"{path} ends within its first 9 bytes", _DOWNLOAD_AGAIN)
    raise _not_recognised(path, "is neither safetensors nor a PyTorch file")


def _read_head(path: Path) -> bytes:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise TlvError("checkpoint-is-directory", f"{path} is a directory", _suggest_inside(path))
        if not stat.S_ISREG(status.st_mode):  # opening a FIFO would wait for its writer
            raise TlvError(
                "checkpoint-not-a-file",
                f"{path} is a pipe, socket or device, not a file",
                "write it to a file first: its content is read from several places",
            )
        if status.st_size == 0:
            raise TlvError("checkpoint-empty", f"{path} is empty (0 bytes)", _DOWNLOAD_AGAIN)
        with path.open("rb") as stream:
            return stream.read(HEAD_BYTES)
    except FileNotFoundError as error:
        raise TlvError("checkpoint-missing", f"{path} does not exist", _suggest_beside(path)) from error
    except OSError as error:
        raise TlvError(
            "checkpoint-unreadable",
            f"cannot read {path}: {error.strerror}",
            "check the path and the permissions of the file and its folders",
        ) from error


def _suggest_inside(folder: Path) -> str:
    found = sorted(item.name for item in _list(folder) if item.name.endswith(CHECKPOINT_SUFFIXES))
    found.sort(key=lambda name: not name.endswith(INDEX_SUFFIX))  # before the shards that it lists
    return f"name a file in it, such as {folder / found[0]}" if found else "name a checkpoint file"


def _suggest_beside(path: Path) -> str:
    near = get_close_matches(path.name, [item.name for item in _list(path.parent)], n=1, cutoff=0.6)
    return f"did you mean {path.parent / near[0]}?" if near else "check the path"


def _list(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:  # a suggestion is not worth a second error
        return []


def _refuse_failed_download(path: Path, head: bytes) -> None:
    if head.startswith(b"version https://git-lfs.github.com/spec/"):
        raise TlvError(
            "checkpoint-lfs-pointer",
            f"{path} is a Git LFS pointer, not the file it stands for",
            "run `git lfs install && git lfs pull` in the repository that holds it",
        )
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_WEB_PAGES):
        raise TlvError(
            "checkpoint-is-web-page",
            f"{path} is a web page (HTML or XML)",
            "a login or error page came instead of the file; open its address in a browser to see why",
        )


def _refuse_foreign_zip(path: Path) -> None:
    try:
        names = [member.filename for member in read_members(path)]
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error) as error:
        raise TlvError(
            "checkpoint-truncated",
            f"{path} begins as a zip archive, but its table of contents is cut off or damaged",
            _DOWNLOAD_AGAIN,
        ) from error
    # PyTorch puts everything into one folder, named after the file it was saved to.
    inside = {name.partition("/")[2] for name in names}
    if "constants.pkl" in inside:
        raise TlvError(
            "checkpoint-torchscript",
            f"{path} is a TorchScript archive: a program with its weights",
            "save the weights alone: torch.save(torch.jit.load(FILE).state_dict(), NEW_FILE)",
        )
    if "data.pkl" not in inside:
        packed = next((name for name in names if name.endswith(CHECKPOINT_SUFFIXES)), None)
        if packed is not None:
            raise TlvError("checkpoint-packed", f"{path} is a zip archive that holds {packed}", f"unzip {path}")
        raise _not_recognised(path, "is a zip archive, but not one that torch.save wrote")


def _refuse_archive(path: Path, head: bytes) -> None:
    for magic, name in _PACKED.items():
        if head.startswith(magic):
            raise TlvError("checkpoint-packed", f"{path} is packed with {name}", _UNPACK)
    for magic, name in _FOREIGN.items():
        if head.startswith(magic):
            raise _not_recognised(path, f"is {name}")
    if head[257:262] == b"ustar":
        _refuse_tar(path)


def _refuse_tar(path: Path) -> None:
    if {"storages", "tensors", "pickle"} <= _first_names_in_tar(path):
        raise TlvError(
            "checkpoint-unsupported",
            f"{path} is in the tar format of the first PyTorch versions, which has no weights-only reading",
            "where you trust it: torch.save(torch.load(FILE, weights_only=False), NEW_FILE)",
        )
    raise TlvError("checkpoint-packed", f"{path} is a tar archive", _UNPACK)


def _first_names_in_tar(path: Path) -> set[str]:
    # Not the tarfile module, which reads whatever an extended header says it has, and every header there is.
    names: set[str] = set()
    with path.open("rb") as stream:
        for _ in range(_TAR_MEMBERS):
            header = stream.read(_TAR_BLOCK)
            names.add(header[:100].rstrip(b"\0").decode(errors="replace"))
            try:
                num_bytes = int(header[124:136].strip(b" \0"), 8)
            except ValueError:
                break
            stream.seek(-(-num_bytes // _TAR_BLOCK) * _TAR_BLOCK, os.SEEK_CUR)
    return names


def _looks_like_index(path: Path, head: bytes) -> bool:
    # Where much metadata comes first, the map of the tensors begins beyond the head and the name must do.
    return head.lstrip().startswith(b"{") and (path.name.endswith(INDEX_SUFFIX) or b'"weight_map"' in head)


def _looks_like_text_pickle(head: bytes) -> bool:
    try:
        opcodes = {opcode.name for opcode, _, _ in pickletools.genops(head)}
    except Exception:  # pickletools raises whatever foreign bytes make it raise
        return False
    # Without a global, plain text such as "N.B." would pass for a pickle.
    return not opcodes.isdisjoint({"GLOBAL", "INST"})


def _not_recognised(path: Path, what: str) -> TlvError:
    return TlvError(
        "checkpoint-not-recognised",
        f"{path} {what}",
        "tlv reads safetensors files and what torch.save writes, under any name",
    )
