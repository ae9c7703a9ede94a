import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tlvcli.core.provenance import Ancestor, MadeBy, Provenance
from tlvcli.io.checkpoint import hash_checkpoint, open_checkpoint
from tlvcli.pipelines.inspection.verification import VerificationSection, verify


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in, and a hub cache below it; `tmp_path / "files"` holds the checkpoints."""
    for name in ("files", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub-home"))
    return tmp_path / "here"


def write(path: Path, number: float, *parents: Ancestor) -> Ancestor:
    """Write a checkpoint that says it was made from `parents`, and return it as an ancestor of others."""
    made_by = MadeBy(command="train", method="full", tlv_version="0", made_from=parents)
    metadata = {"tlv": Provenance(made_by=made_by).model_dump_json()} if number else None
    save_file({"w": torch.tensor([number])}, path, metadata=metadata)
    return Ancestor(name=path.name, sha256=sha256(path), made_by=made_by if number else None)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check(path: Path) -> VerificationSection:
    return verify(open_checkpoint(path))


def statuses(section: VerificationSection) -> list[tuple[str, int, str]]:
    return [(one.name, one.generation, one.status) for one in section.ancestors]


def test_a_chain_holds(tmp_path: Path) -> None:
    files = tmp_path / "files"
    first = write(files / "first.safetensors", 0)
    second = write(files / "second.safetensors", 2, first)
    other = write(files / "other.safetensors", 3)
    write(files / "third.safetensors", 4, second, other)
    section = check(files / "third.safetensors")
    assert statuses(section) == [
        ("second.safetensors", 1, "holds"),
        ("first.safetensors", 2, "holds"),
        ("other.safetensors", 1, "holds"),
    ]
    assert section.ancestors[1].path == str(files / "first.safetensors")
    assert (section.holds, section.made_by) == (True, "tlv train (full)")
    assert section.sha256 == sha256(files / "third.safetensors")


def test_a_grandparent_was_changed_and_a_parent_is_gone(tmp_path: Path) -> None:
    files = tmp_path / "files"
    second = write(files / "second.safetensors", 2, write(files / "first.safetensors", 1))
    write(files / "third.safetensors", 3, second)
    (files / "second.safetensors").unlink()
    write(files / "first.safetensors", 5)
    section = check(files / "third.safetensors")
    assert statuses(section) == [("second.safetensors", 1, "missing"), ("first.safetensors", 2, "changed")]
    assert section.ancestors[1].found_sha256 == sha256(files / "first.safetensors")
    assert not section.holds
    (files / "first.safetensors").unlink()
    assert check(files / "third.safetensors").holds


def test_what_is_no_checkpoint_any_more_has_changed(tmp_path: Path) -> None:
    files = tmp_path / "files"
    write(files / "second.safetensors", 2, write(files / "first.safetensors", 1))
    (files / "first.safetensors").write_text("half of it")
    section = check(files / "second.safetensors")
    assert (statuses(section), section.holds) == ([("first.safetensors", 1, "changed")], False)
    assert section.ancestors[0].found_sha256 == sha256(files / "first.safetensors")


def test_looks_here_and_in_the_hub_cache_too(tmp_path: Path, elsewhere: Path) -> None:
    hub = tmp_path / "hub-home" / "hub" / "checkpoints"
    hub.mkdir(parents=True)
    parents = write(elsewhere / "a.safetensors", 1), write(hub / "b.safetensors", 2)
    write(tmp_path / "files" / "c.safetensors", 3, *parents)
    section = check(tmp_path / "files" / "c.safetensors")
    assert [one.status for one in section.ancestors] == ["holds", "holds"]
    write(tmp_path / "files" / "a.safetensors", 9)  # another of this name does not hide the one that fits
    assert check(tmp_path / "files" / "c.safetensors").ancestors[0].status == "holds"


def test_runs_whose_files_have_the_same_names(tmp_path: Path) -> None:
    (tmp_path / "files" / "first").mkdir()
    run = tmp_path / "files" / "second"
    run.mkdir()
    parent = write(tmp_path / "files" / "first" / "best.safetensors", 1)
    write(run / "best.safetensors", 2, parent)
    write(run / "last.safetensors", 3, parent)
    for name in ("best.safetensors", "last.safetensors"):
        assert statuses(check(run / name)) == [("best.safetensors", 1, "missing")]


@pytest.mark.parametrize(
    "name", ["../a.safetensors", "/etc/hosts", "..", "", "a\\b", "C:b", "a\x1b[2J", "a/", "ä" * 200]
)
def test_names_that_lead_elsewhere_are_not_followed(tmp_path: Path, name: str) -> None:
    write(tmp_path / "a.safetensors", 1)
    path = tmp_path / "files" / "b.safetensors"
    write(path, 2, Ancestor(name=name, sha256=sha256(tmp_path / "a.safetensors")))
    (entry,) = check(path).ancestors
    assert (entry.status, entry.path, entry.found_sha256) == ("unsafe name", None, None)


def test_written_by_another_tool(tmp_path: Path) -> None:
    save_file({"w": torch.ones(1)}, tmp_path / "a.safetensors")
    section = check(tmp_path / "a.safetensors")
    assert (section.made_by, section.ancestors, section.reports, section.holds) == (None, [], [], True)
    assert section.sha256 == sha256(tmp_path / "a.safetensors")


def test_reports_beside_the_file(tmp_path: Path) -> None:
    path = tmp_path / "files" / "a.safetensors"
    write(path, 1)
    mine = {"schema": "tlv.transfer/1", "outputs": [{"role": "checkpoint", "path": "x/a.safetensors"}]}
    mine["outputs"][0]["sha256"] = sha256(path)  # type: ignore[index]
    path.with_suffix(".report.json").write_text(json.dumps(mine))
    other = {"schema": "tlv.train/1", "outputs": [{"path": "best.safetensors", "sha256": "0"}, 3]}
    (path.parent / "report.json").write_text(json.dumps(other))
    section = check(path)
    assert [(one.path, one.status) for one in section.reports] == [(str(path.with_suffix(".report.json")), "holds")]
    write(path, 2)
    section = check(path)
    assert ([one.status for one in section.reports], section.holds) == (["changed"], False)


@pytest.mark.parametrize("text", ["no JSON", "[]", '{"schema": "other/1", "outputs": [1]}', '{"schema": "tlv.x/1"}'])
def test_other_files_called_report(tmp_path: Path, text: str) -> None:
    write(tmp_path / "files" / "a.safetensors", 1)
    (tmp_path / "files" / "report.json").write_text(text)
    assert check(tmp_path / "files" / "a.safetensors").reports == []


def test_an_index_is_hashed_with_its_shards(tmp_path: Path) -> None:
    files = tmp_path / "files"
    save_file({"a.w": torch.ones(2)}, files / "m-00001-of-00002.safetensors")
    save_file({"b.w": torch.ones(3)}, files / "m-00002-of-00002.safetensors")
    shards = {"a.w": "m-00001-of-00002.safetensors", "b.w": "m-00002-of-00002.safetensors"}
    index = files / "m.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 20}, "weight_map": shards}))
    parent = Ancestor(name=index.name, sha256=hash_checkpoint(open_checkpoint(index)))
    write(files / "child.safetensors", 2, parent)
    assert statuses(check(files / "child.safetensors")) == [(index.name, 1, "holds")]
    save_file({"b.w": torch.zeros(3)}, files / "m-00002-of-00002.safetensors")
    assert statuses(check(files / "child.safetensors")) == [(index.name, 1, "changed")]
    (files / "m-00002-of-00002.safetensors").unlink()
    assert statuses(check(files / "child.safetensors")) == [(index.name, 1, "changed")]
