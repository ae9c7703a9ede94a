import gzip
import io
import json
import os
import pickle
import socket
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch

from tlvcli.core.errors import TlvError
from tlvcli.io.checkpoint import open_checkpoint

TENSORS = {"conv.weight": torch.arange(6.0).reshape(2, 3)}


def refused(path: Path, error_id: str) -> TlvError:
    with pytest.raises(TlvError) as caught:
        open_checkpoint(path)
    error = caught.value
    assert error.error_id == error_id
    assert path.name in error.message
    assert "\n" not in error.message + error.hint
    assert error.hint
    return error


def zip_of(path: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("name", ["a.safetensors", "a.pt", "a.pth.tar", "a"])
def test_content_decides_not_suffix(tmp_path: Path, name: str) -> None:
    from safetensors.torch import save_file

    path = tmp_path / name
    save_file(TENSORS, path)
    assert open_checkpoint(path).format == "safetensors"
    torch.save(TENSORS, path)
    assert open_checkpoint(path).format == "pytorch-zip"
    assert torch.equal(open_checkpoint(path).read("conv.weight"), TENSORS["conv.weight"])
    torch.save(TENSORS, path, _use_new_zipfile_serialization=False)
    assert open_checkpoint(path).format == "pytorch-legacy"
    assert torch.equal(open_checkpoint(path).read("conv.weight"), TENSORS["conv.weight"])


@pytest.mark.parametrize("magic", [b"PK\x00", b"\x1f\x8b\x00", b"BZh", b"\x80\x02\x00"])
def test_a_header_length_that_looks_like_another_format(tmp_path: Path, magic: bytes) -> None:
    length = int.from_bytes(magic, "little")
    header = b'{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'.ljust(length)
    (tmp_path / "a.safetensors").write_bytes(magic.ljust(8, b"\0") + header + b"\x07")
    assert open_checkpoint(tmp_path / "a.safetensors").read("w").tolist() == [7]


def test_a_header_length_that_lies(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"\xff" * 8 + b'{"w":{}}')
    assert "18446744073709551615" in refused(tmp_path / "a.safetensors", "checkpoint-corrupt").message


def test_missing_file_suggests_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "resnet18.pt").write_bytes(b"x")
    assert "did you mean" in refused(tmp_path / "resnet81.pt", "checkpoint-missing").hint
    refused(tmp_path / "no" / "such.pt", "checkpoint-missing")


def test_directory_suggests_a_file_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    assert refused(folder, "checkpoint-is-directory").hint == "name a checkpoint file"
    (folder / "best.safetensors").touch()
    assert "best.safetensors" in refused(folder, "checkpoint-is-directory").hint


def test_pipe_socket_and_device_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "checkpoint-not-a-file")
    refused(Path("/dev/null"), "checkpoint-not-a-file")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        refused(tmp_path / "socket", "checkpoint-not-a-file")


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.pt"
    torch.save(TENSORS, path)

    def deny(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    # The tests may run as root, whom no mode of a file keeps out.
    monkeypatch.setattr(Path, "open", deny)
    assert "Permission denied" in refused(path, "checkpoint-unreadable").message


def test_a_file_in_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused(tmp_path / "file" / "model.pt", "checkpoint-unreadable")


@pytest.mark.parametrize(
    ("content", "error_id"),
    [
        (b"", "checkpoint-empty"),
        (b"PK", "checkpoint-truncated"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n", "checkpoint-lfs-pointer"),
        (b"\n <!DOCTYPE html><html><body>404</body></html>", "checkpoint-is-web-page"),
        (b"<html><head><title>Sign in</title>", "checkpoint-is-web-page"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "checkpoint-is-web-page"),
        (gzip.compress(b"weights", mtime=0), "checkpoint-packed"),
        (b"7z\xbc\xaf\x27\x1c\x00\x04", "checkpoint-packed"),
        (b"\x89HDF\r\n\x1a\n" + bytes(64), "checkpoint-not-recognised"),
        (b"GGUF\x03\x00\x00\x00", "checkpoint-not-recognised"),
        (b"Dear reader, this is a text.\n", "checkpoint-not-recognised"),
        (b"N.B. None, then stop, is a pickle to pickletools", "checkpoint-not-recognised"),
        (b"c checkpoint list\nfirst second\n", "checkpoint-not-recognised"),
        (bytes(1000), "checkpoint-not-recognised"),
        (b'{"error": "not found"}', "checkpoint-not-recognised"),
        (pickle.dumps({"weights": [1.0, 2.0]}, protocol=2), "checkpoint-not-recognised"),
        (b"\x80\x02}q\x00X\x05", "checkpoint-truncated"),
    ],
)
def test_not_a_checkpoint(tmp_path: Path, content: bytes, error_id: str) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    refused(path, error_id)


def test_first_bytes_of_a_safetensors_file(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"\x10\x00\x00")
    refused(path, "checkpoint-truncated")


def test_index_of_a_sharded_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {}, "weight_map": {"a": "model-00001-of-00002.safetensors"}}))
    assert "model-00001-of-00002.safetensors" in refused(path, "checkpoint-shard-missing").message


@pytest.mark.parametrize("name", ["model.safetensors.index.json", "renamed.json"])
def test_an_index_is_known_by_its_name_or_its_map(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('        {"weight_map": {}}')
    refused(tmp_path / name, "no-tensors")
    (tmp_path / name).write_text('{"metadata": {}}')
    wrong = "checkpoint-corrupt" if "index" in name else "checkpoint-not-recognised"
    refused(tmp_path / name, wrong)


def test_other_zip_archives(tmp_path: Path) -> None:
    refused(zip_of(tmp_path / "a.docx", {"word/document.xml": b"<w/>"}), "checkpoint-not-recognised")
    packed = refused(zip_of(tmp_path / "b.zip", {"run/best.pth": b"..."}), "checkpoint-packed")
    assert "run/best.pth" in packed.message


def test_torchscript_archive(tmp_path: Path) -> None:
    zip_of(tmp_path / "a.pt", {"a/constants.pkl": b"\x80\x02).", "a/data.pkl": b"\x80\x02N.", "a/code/x.py": b""})
    assert "state_dict" in refused(tmp_path / "a.pt", "checkpoint-torchscript").hint


def test_tar_archives(tmp_path: Path) -> None:
    for name, members, error_id in (
        ("weights.tar", ["weights/best.pth"], "checkpoint-packed"),
        ("old.pth", ["sys_info", "pickle", "tensors", "storages"], "checkpoint-unsupported"),
    ):
        with tarfile.open(tmp_path / name, "w") as archive:
            for member in members:
                archive.addfile(tarfile.TarInfo(member), io.BytesIO())
        refused(tmp_path / name, error_id)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_truncated_torch_file(tmp_path: Path, legacy: bool, share: float) -> None:
    path = tmp_path / "model.pt"
    torch.save({"weight": torch.randn(64, 64)}, path, _use_new_zipfile_serialization=not legacy)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    refused(path, "checkpoint-truncated")


def test_opening_a_safetensors_file_imports_no_torch(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "model.safetensors"
    save_file(TENSORS, path)
    code = (
        "import sys; from pathlib import Path; from tlvcli.io.checkpoint import open_checkpoint; "
        f"open_checkpoint(Path({str(path)!r})); "
        "assert not {'torch', 'numpy', 'safetensors', 'typer'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
