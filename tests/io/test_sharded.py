"""A set of shards is read as one file would be, and a hostile or damaged one is refused by name."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import MadeBy, Provenance
from tlvcli.io import sharded
from tlvcli.io.checkpoint import hash_checkpoint, open_checkpoint

FIRST = {"conv10.weight": torch.arange(12.0).reshape(3, 4), "conv9.weight": torch.ones(2, dtype=torch.bfloat16)}
SECOND = {"conv9.steps": torch.tensor(3), "fc.weight": torch.full((5, 3), 2.5)}
TENSORS = {**FIRST, **SECOND}
NAMES = ("m-00001-of-00002.safetensors", "m-00002-of-00002.safetensors")


def write_index(folder: Path, places: dict[str, Any], name: str = "m.safetensors.index.json") -> Path:
    path = folder / name
    path.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": places}))
    return path


def write_set(folder: Path, **metadata: str) -> Path:
    save_file(FIRST, folder / NAMES[0], metadata={"format": "pt", **metadata})
    save_file(SECOND, folder / NAMES[1], metadata={"format": "pt"})
    return write_index(folder, {**dict.fromkeys(FIRST, NAMES[0]), **dict.fromkeys(SECOND, NAMES[1])})


def refused(path: Path, error_id: str) -> TlvError:
    with pytest.raises(TlvError) as caught:
        open_checkpoint(path)
    assert caught.value.error_id == error_id
    assert "\n" not in caught.value.message
    assert caught.value.hint
    return caught.value


def test_read_as_one_file(tmp_path: Path) -> None:
    path = write_set(tmp_path)
    opened = open_checkpoint(path)
    assert (opened.format, opened.order, opened.key) == ("sharded", "natural sort of the names", None)
    assert opened.files == (path, tmp_path / NAMES[0], tmp_path / NAMES[1])
    assert opened.num_bytes == sum(file.stat().st_size for file in opened.files)
    save_file(TENSORS, tmp_path / "one.safetensors", metadata={"format": "pt"})
    single = open_checkpoint(tmp_path / "one.safetensors")
    assert (opened.specs, opened.metadata) == (single.specs, single.metadata)
    for name, tensor in TENSORS.items():
        assert opened.read(name).dtype == tensor.dtype
        assert torch.equal(opened.read(name), tensor)
        assert opened.read_bytes(name) == single.read_bytes(name)


def test_order_and_history_from_the_first_shard(tmp_path: Path) -> None:
    ours = Provenance(made_by=MadeBy(command="convert", method="x", tlv_version="0"), tensor_order=tuple(TENSORS))
    opened = open_checkpoint(write_set(tmp_path, tlv=ours.model_dump_json()))
    assert (opened.provenance, opened.order) == (ours, "metadata")
    assert [spec.name for spec in opened.specs] == list(TENSORS)


def test_prefixes_go_from_all_shards(tmp_path: Path) -> None:
    save_file({"module.a": torch.ones(2), "n_averaged": torch.tensor(4)}, tmp_path / NAMES[0])
    save_file({"module.b": torch.zeros(3)}, tmp_path / NAMES[1])
    opened = open_checkpoint(
        write_index(tmp_path, {"module.a": NAMES[0], "n_averaged": NAMES[0], "module.b": NAMES[1]})
    )
    assert ([spec.name for spec in opened.specs], opened.prefix) == (["a", "b"], "module.")
    assert [(entry.name, entry.num_tensors, entry.num_bytes) for entry in opened.left_out] == [("n_averaged", 1, 8)]
    assert torch.equal(opened.read("b"), torch.zeros(3))


@pytest.mark.parametrize("legacy", [False, True])
def test_shards_may_be_pickles(tmp_path: Path, legacy: bool) -> None:
    tied = torch.arange(6.0).reshape(2, 3)
    shards: dict[str, dict[str, Any]] = {
        "p-00001-of-00002.bin": {"b.weight": tied, "a.weight": tied, "version": 2},
        "p-00002-of-00002.bin": dict(SECOND),
    }
    for name, content in shards.items():
        torch.save(content, tmp_path / name, _use_new_zipfile_serialization=not legacy)
    places = {tensor: name for name, content in shards.items() for tensor in content if tensor != "version"}
    opened = open_checkpoint(write_index(tmp_path, places, "pytorch_model.bin.index.json"))
    assert [spec.name for spec in opened.specs] == ["a.weight", "b.weight", *sorted(SECOND)]
    assert torch.equal(opened.read("a.weight"), tied)
    assert bytes(opened.read_bytes("fc.weight")) == SECOND["fc.weight"].numpy().tobytes()
    assert [(group.names, group.extra_bytes) for group in opened.shared] == [(("b.weight", "a.weight"), 24)]
    assert opened.ignored == ("version",)


def test_opening_imports_no_torch(tmp_path: Path) -> None:
    path = write_set(tmp_path)
    code = (
        "import sys; from pathlib import Path; from tlvcli.io.checkpoint import open_checkpoint; "
        f"opened = open_checkpoint(Path({str(path)!r})); assert len(opened.read_bytes('fc.weight')) == 60; "
        "assert not {'torch', 'numpy', 'safetensors'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_hash_is_what_a_shell_computes(tmp_path: Path) -> None:
    path = write_set(tmp_path)
    lines = [f"{hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()}  {name}\n" for name in (*NAMES, path.name)]
    expected = hashlib.sha256("".join(lines).encode()).hexdigest()
    assert hash_checkpoint(open_checkpoint(path)) == expected
    command = "LC_ALL=C; sha256sum m.safetensors.index.json m-*.safetensors | sort -k 2 | sha256sum"
    shown = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert shown.stdout.split()[0] == expected
    single = open_checkpoint(tmp_path / NAMES[0])
    assert hash_checkpoint(single) == hashlib.sha256((tmp_path / NAMES[0]).read_bytes()).hexdigest()


def test_a_set_has_no_nests(tmp_path: Path) -> None:
    path = write_set(tmp_path)
    for settings, error_id in (({"key": "model"}, "key-unknown"), ({"ema": True}, "no-average")):
        with pytest.raises(TlvError) as caught:
            open_checkpoint(path, **settings)
        assert caught.value.error_id == error_id


@pytest.mark.parametrize(
    "name", ["../m.safetensors", "/etc/passwd", "..", ".", "", "sub/m.safetensors", "a\\b", "c:m", "a\nb", "n" * 256]
)
def test_names_that_lead_elsewhere(tmp_path: Path, name: str) -> None:
    refused(write_index(tmp_path, {"a": name}), "checkpoint-unsafe")


def test_links_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    path = write_set(tmp_path / "set")
    (tmp_path / "set" / NAMES[0]).rename(tmp_path / "elsewhere.safetensors")
    (tmp_path / "set" / NAMES[0]).symlink_to(tmp_path / "elsewhere.safetensors")
    assert NAMES[0] in refused(path, "checkpoint-unsafe").message
    (tmp_path / "set" / NAMES[0]).unlink()
    (tmp_path / "set" / NAMES[0]).symlink_to(NAMES[0])
    refused(path, "checkpoint-shard-missing")


def test_a_cache_that_links_all_files_to_one_folder(tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "main"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    write_set(blobs)
    for number, file in enumerate(list(blobs.iterdir())):
        (snapshot / file.name).symlink_to(os.path.relpath(file.rename(blobs / f"{number}"), snapshot))
    opened = open_checkpoint(snapshot / "m.safetensors.index.json")
    assert torch.equal(opened.read("fc.weight"), SECOND["fc.weight"])


def test_index_and_shards_that_disagree(tmp_path: Path) -> None:
    write_set(tmp_path)
    all_places = {**dict.fromkeys(FIRST, NAMES[0]), **dict.fromkeys(SECOND, NAMES[1])}
    absent = write_index(tmp_path, {**all_places, "more": NAMES[1]})
    assert f"more in {NAMES[1]}" in refused(absent, "checkpoint-corrupt").message
    unlisted = write_index(tmp_path, {name: place for name, place in all_places.items() if name != "fc.weight"})
    assert "does not place fc.weight" in refused(unlisted, "checkpoint-corrupt").message
    swapped = write_index(tmp_path, {**all_places, "fc.weight": NAMES[0]})
    assert f"fc.weight in {NAMES[0]}" in refused(swapped, "checkpoint-corrupt").message
    missing = write_index(tmp_path, {**all_places, "more": "m-00003-of-00003.safetensors"})
    assert "m-00003-of-00003.safetensors" in refused(missing, "checkpoint-shard-missing").message


def test_damaged_shards_say_which(tmp_path: Path) -> None:
    path = write_set(tmp_path)
    (tmp_path / NAMES[1]).write_bytes((tmp_path / NAMES[1]).read_bytes()[:-4])
    assert NAMES[1] in refused(path, "checkpoint-truncated").message
    (tmp_path / NAMES[1]).write_text(json.dumps({"weight_map": {"a": NAMES[0]}}))
    assert "an index itself" in refused(path, "checkpoint-corrupt").message
    refused(write_index(tmp_path, {"a": "m.safetensors.index.json"}), "checkpoint-corrupt")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"weight_map": ', "not JSON"),
        ('{"weight_map":' + "[" * 200_000, "not JSON"),
        ('{"weight_map": {"a": "x", "a": "y"}}', "names a twice"),
        ('{"weight_map": {"a": 3}}', "no weight_map"),
        ('{"weight_map": ["a"]}', "no weight_map"),
        ('{"weight_map": null}', "no weight_map"),
        ('{"metadata": {}}', "no weight_map"),
        ('{"\udcff": 1}', "not JSON"),
    ],
)
def test_indexes_that_are_none(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "m.safetensors.index.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    assert message in refused(path, "checkpoint-corrupt").message


def test_an_index_too_large_to_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharded, "MAX_INDEX_BYTES", 50)
    assert "more than 50 bytes" in refused(write_set(tmp_path), "checkpoint-corrupt").message


def test_a_shard_that_is_replaced_meanwhile(tmp_path: Path) -> None:
    opened = open_checkpoint(write_set(tmp_path))
    other: dict[str, Tensor] = load_file(tmp_path / NAMES[1])
    (tmp_path / NAMES[1]).unlink()
    save_file({**other, "late": torch.ones(3)}, tmp_path / NAMES[1])
    with pytest.raises(TlvError) as caught:
        opened.read("fc.weight")
    assert caught.value.error_id == "checkpoint-changed"
    assert torch.equal(opened.read("conv10.weight"), FIRST["conv10.weight"])
