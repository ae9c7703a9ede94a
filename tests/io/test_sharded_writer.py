"""Sets of shards as the Hugging Face libraries lay them out, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from tlvcli.core.errors import TlvError
from tlvcli.core.report import OutputInfo
from tlvcli.core.tensors import TensorsInMemory
from tlvcli.io import atomic, sharded_writer
from tlvcli.io.checkpoint import open_checkpoint
from tlvcli.io.sharded_writer import ShardPlan, plan_shards, refuse_existing_files, write_sharded

SIZES = (6, 9, 2, 6, 2, 2, 30, 1, 7)


def make_tensors() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {f"layer{number}.weight": torch.randn(size, generator=generator) for number, size in enumerate(SIZES)}


def write(
    folder: Path, tensors: dict[str, Tensor], shard_bytes: int | None, *, force: bool = False, backwards: bool = False
) -> tuple[OutputInfo, ...]:
    plan = plan_shards(folder / "m.safetensors", TensorsInMemory(tensors).specs, shard_bytes)
    arrivals = reversed(list(tensors.items())) if backwards else tensors.items()
    return write_sharded(plan, arrivals, metadata={"format": "pt", "note": "x"}, force=force)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("shard_bytes", [1, 8, 36, 40, 60, 119, 120, 121, 200, 260, 1000])
def test_files_and_index_are_those_of_hugging_face(tmp_path: Path, shard_bytes: int) -> None:
    hub = pytest.importorskip("huggingface_hub")
    tensors = make_tensors()
    theirs = hub.split_torch_state_dict_into_shards(
        tensors, filename_pattern="m{suffix}.safetensors", max_shard_size=shard_bytes
    )
    outputs = write(tmp_path, tensors, shard_bytes)
    assert {path.name for path in tmp_path.glob("*.safetensors")} == set(theirs.filename_to_tensors)
    for name, members in theirs.filename_to_tensors.items():
        loaded = load_file(tmp_path / name)
        assert loaded.keys() == set(members)
        assert all(torch.equal(loaded[member], tensors[member]) for member in members)
    if not theirs.is_sharded:
        assert [output.path for output in outputs] == [str(tmp_path / "m.safetensors")]
        return
    index = json.loads((tmp_path / "m.safetensors.index.json").read_text())
    assert index == {"metadata": theirs.metadata, "weight_map": theirs.tensor_to_filename}
    assert index["metadata"]["total_size"] == 4 * sum(SIZES)


def test_outputs_metadata_and_reading_back(tmp_path: Path) -> None:
    tensors = make_tensors()
    outputs = write(tmp_path, tensors, 40)
    assert [output.role for output in outputs] == ["checkpoint", *["shard"] * (len(outputs) - 1)]
    assert {Path(output.path).name for output in outputs} == content(tmp_path).keys()
    for output in outputs:
        assert output.sha256 == hashlib.sha256(Path(output.path).read_bytes()).hexdigest()
    for output in outputs[1:]:
        with safe_open(output.path, "pt") as file:
            assert file.metadata() == {"format": "pt", "note": "x"}
    opened = open_checkpoint(Path(outputs[0].path))
    assert [spec.name for spec in opened.specs] == list(tensors)
    assert all(torch.equal(opened.read(name), tensor) for name, tensor in tensors.items())


def test_order_of_arrival_does_not_change_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    write(tmp_path / "a", make_tensors(), 40)
    write(tmp_path / "b", make_tensors(), 40, backwards=True)
    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_a_failure_between_shards_leaves_what_was_there(tmp_path: Path) -> None:
    tensors = make_tensors()
    plan = plan_shards(tmp_path / "m.safetensors", TensorsInMemory(tensors).specs, 40)

    def broken() -> Iterator[tuple[str, Tensor]]:
        yield from list(tensors.items())[:5]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_sharded(plan, broken(), metadata={}, force=False)
    assert content(tmp_path) == {}
    write(tmp_path, tensors, 40)
    before = content(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        write_sharded(plan, broken(), metadata={}, force=True)
    assert content(tmp_path) == before


@pytest.mark.parametrize("force", [False, True])
def test_a_failure_while_renaming_leaves_no_part_of_a_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, force: bool
) -> None:
    put, calls = atomic._put_in_place, []

    def put_twice(temporary: Path, path: Path, *, force: bool) -> None:
        calls.append(path)
        if len(calls) == 3:
            raise PermissionError(13, "Permission denied")
        put(temporary, path, force=force)

    monkeypatch.setattr(atomic, "_put_in_place", put_twice)
    with pytest.raises(TlvError) as caught:
        write(tmp_path, make_tensors(), 40, force=force)
    assert caught.value.error_id == "output-not-writable"
    assert content(tmp_path) == {}


def test_existing_files_are_in_the_way(tmp_path: Path) -> None:
    tensors = make_tensors()
    plan = plan_shards(tmp_path / "m.safetensors", TensorsInMemory(tensors).specs, 40)
    for path in (plan.path, plan.index_path, plan.files[1]):
        path.write_bytes(b"precious")
        for attempt in (lambda: refuse_existing_files(plan, force=False), lambda: write(tmp_path, tensors, 40)):
            with pytest.raises(TlvError) as caught:
                attempt()
            assert caught.value.error_id == "output-exists"
            assert path.name in caught.value.message
        assert content(tmp_path) == {path.name: b"precious"}
        path.unlink()


def test_force_replaces_a_larger_set_and_the_single_file(tmp_path: Path) -> None:
    tensors = make_tensors()
    write(tmp_path, tensors, 40)
    (tmp_path / "m.safetensors").write_bytes(b"old")
    (tmp_path / "m-00001-of-00099.safetensors").write_bytes(b"of another set")
    outputs = write(tmp_path, tensors, 160, force=True)
    left = {Path(output.path).name for output in outputs} | {"m-00001-of-00099.safetensors"}
    assert content(tmp_path).keys() == left
    assert len(outputs) == 3


def test_an_old_index_cannot_have_other_files_removed(tmp_path: Path) -> None:
    (tmp_path / "family.jpg").write_bytes(b"precious")
    (tmp_path / "m.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "family.jpg"}}))
    write(tmp_path, make_tensors(), 40, force=True)
    assert (tmp_path / "family.jpg").read_bytes() == b"precious"


def test_too_many_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharded_writer, "MAX_SHARDS", 4)
    specs = TensorsInMemory(make_tensors()).specs
    with pytest.raises(TlvError) as caught:
        plan_shards(Path("m.safetensors"), specs, 8)
    assert caught.value.error_id == "too-many-shards"
    assert plan_shards(Path("m.safetensors"), specs, None) == ShardPlan(Path("m.safetensors"), (specs,))
