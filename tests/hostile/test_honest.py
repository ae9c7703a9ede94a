"""What lies near the limits and is honest: it is read, and right."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import pytest
import torch

from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Architecture, MadeBy, Preprocessing, Provenance
from tlvcli.io.checkpoint import open_checkpoint
from tlvcli.io.config_files import read_settings
from tlvcli.io.strict_json import MAX_VALUES, JsonFaultError, parse_object

BOTH_FORMATS = pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])


@BOTH_FORMATS
def test_odd_but_honest_values_pass(tmp_path: Path, legacy: bool) -> None:
    content = {
        "state_dict": {"w": torch.arange(4.0).reshape(2, 2), "x" * 900: torch.ones(1)},
        "bytearray": bytearray(b"\x00\xff" * 200),
        "bytes": b"\xed\xa0\x80" * 1000,
        "text": "\u00e9\U0001f642" * 5000,
        "history": [0.1 * step for step in range(20_000)],
        "groups": [{"lr": 0.1, "betas": (0.9, 0.999)}] * 500,
        (1, ("a", 2)): "a key that is no text",
        2**100: "a large number",
        "expanded": torch.ones(1).expand(100_000),
        "set": {1, (2, 3)},
        "dtype": torch.bfloat16,
    }
    torch.save(content, tmp_path / "model.pt", _use_new_zipfile_serialization=not legacy)
    opened = open_checkpoint(tmp_path / "model.pt")
    assert opened.read("w").tolist() == [[0.0, 1.0], [2.0, 3.0]]
    held = {entry.name: (entry.num_tensors, entry.num_bytes) for entry in opened.left_out}
    assert held["expanded"] == (1, 400_000)
    assert len(held) == len(content) - 1


@BOTH_FORMATS
def test_one_entry_under_several_names_weighs_in_each(tmp_path: Path, legacy: bool) -> None:
    moments = [torch.zeros(3, dtype=torch.float64), {"again": torch.zeros(2)}]
    content = {"model": {"w": torch.ones(2)}, "a": moments, "b": (moments, moments)}
    torch.save(content, tmp_path / "model.pt", _use_new_zipfile_serialization=not legacy)
    opened = open_checkpoint(tmp_path / "model.pt")
    assert [(entry.name, entry.num_tensors, entry.num_bytes) for entry in opened.left_out] == [
        ("a", 2, 32),
        ("b", 2, 32),
    ]


def test_windows_over_each_other_are_told_as_shared(tmp_path: Path) -> None:
    base = torch.arange(10.0)
    windows = base.unfold(0, 4, 1)  # [7, 4] over the same ten numbers
    torch.save({"windows": windows, "slice": base[2:5]}, tmp_path / "model.pt")
    opened = open_checkpoint(tmp_path / "model.pt")
    assert torch.equal(opened.read("windows"), windows)
    elements = [set(range(10)), {2, 3, 4}]
    extra = 7 * 4 + 3 - len(set.union(*elements))
    assert [(group.names, group.extra_bytes) for group in opened.shared] == [(("windows", "slice"), 4 * extra)]


def test_a_header_at_the_limit_of_values_is_parsed() -> None:
    values = MAX_VALUES - 2
    assert len(parse_object(b'{"a":[' + b"0," * values + b"0]}")["a"]) == values + 1
    with pytest.raises(JsonFaultError, match="more than 500000 values"):
        parse_object(b'{"a":[' + b"0," * (values + 1) + b"0]}")


def test_whole_characters_may_be_escaped() -> None:
    assert parse_object(b'{"\\ud83d\\ude42": "\\u00e9"}') == {"\U0001f642": "\u00e9"}


def test_settings_come_through_a_pipe(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"learning-rate: 0.1\n")
    os.close(writer)
    assert read_settings(Path(f"/dev/fd/{reader}")) == {"learning_rate": 0.1}
    os.close(reader)


def test_provenance_with_a_number_that_is_none_is_not_ours(tmp_path: Path) -> None:
    ours = Provenance(
        architecture=Architecture(name="resnet18", num_classes=2),
        made_by=MadeBy(command="train", method="x", tlv_version="0"),
        preprocessing=Preprocessing(image_size=32, resize_size=32, mean=(0.5,), std=(0.25,)),
    ).model_dump_json()
    for text, is_ours in ((ours, True), (ours.replace("0.25", "NaN"), False), (ours.replace("0.25", "1e999"), False)):
        entry = {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}
        header = json.dumps({"__metadata__": {"tlv": text}, "a": entry}).encode()
        (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\1")
        assert (open_checkpoint(tmp_path / "a.safetensors").provenance is not None) == is_ours


def test_a_mapping_in_too_many_places_is_refused_by_its_size(tmp_path: Path) -> None:
    inner = {f"k{number}": 0 for number in range(1000)}
    torch.save({"w": torch.ones(2), **{f"n{number}": inner for number in range(90)}}, tmp_path / "model.pt")
    assert open_checkpoint(tmp_path / "model.pt").key is None
    torch.save({"w": torch.ones(2), **{f"n{number}": inner for number in range(110)}}, tmp_path / "model.pt")
    with pytest.raises(TlvError, match="more than 100000 entries"):
        open_checkpoint(tmp_path / "model.pt")
