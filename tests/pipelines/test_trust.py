"""A checkpoint's word alone runs no Python file; what the user named once runs, until it is changed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tlvcli.cli.main import run
from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Architecture, MadeBy, Preprocessing
from tlvcli.models.builders import build
from tlvcli.pipelines.checkpoints import load_module, open_reference
from tlvcli.pipelines.saving import save_module
from tlvcli.pipelines.training.cache_folder import cache_folder
from tlvcli.pipelines.trust import VARIABLE, is_trusted, note_named

# It tells that it ran by making a file.
NET = """
from pathlib import Path
from torch import nn

Path(__file__).with_name("ran").touch()


def make(num_classes, in_chans=3):
    return nn.Sequential(nn.Conv2d(in_chans, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(8, num_classes))
"""
DATA = ["--data", "digits@train:40", "--device", "cpu", "--image-size", "8", "--quiet"]


@pytest.fixture
def name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An architecture in a file that nobody has named, on a machine that knows none."""
    monkeypatch.setenv("TLV_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(VARIABLE)
    (tmp_path / "net.py").write_text(NET)
    return f"{tmp_path}/net.py:make"


@pytest.fixture
def stranger(tmp_path: Path, name: str) -> str:
    """A checkpoint that says it is that architecture."""
    architecture = Architecture(name=name, num_classes=10, in_chans=1)
    made_by = MadeBy(command="train", method="full", tlv_version="0")
    save_module(
        build(architecture, seed=0),
        tmp_path / "model.safetensors",
        architecture=architecture,
        made_by=made_by,
        class_names=tuple("0123456789"),
        preprocessing=Preprocessing(image_size=8, resize_size=8, mean=(0.5,), std=(0.5,), channels=1),
        force=False,
    )
    (tmp_path / "ran").unlink()
    return str(tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    "arguments",
    [
        ["eval", "FILE", *DATA],
        ["predict", "FILE", "--features", "FOLDER/x.safetensors", "FOLDER/image.png", "--quiet"],
        ["train", "FILE", "--out", "FOLDER/run", *DATA],
        ["train", "squeezenet1_1@random", "--crossover", "FILE", "--out", "FOLDER/run", *DATA, "--image-size", "32"],
        ["analyze-stats", "FILE", "--against", "FILE", *DATA],
        ["compare", "--source", "FILE", "--out", "FOLDER/compare", *DATA],
        ["inspect", "FILE", "--summary"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_file_that_only_a_checkpoint_names_does_not_run(
    stranger: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    from PIL import Image

    Image.new("L", (8, 8)).save(tmp_path / "image.png")
    words = [word.replace("FILE", stranger).replace("FOLDER", str(tmp_path)) for word in arguments]
    assert run(words) == 2
    error, hint = capsys.readouterr().err.splitlines()[-2:]
    said = f"{stranger} says it is {name}, a file that you have not named before as it is now"
    assert error == f"error[architecture-untrusted]: {said}"
    assert f"--arch {name}" in hint
    assert not (tmp_path / "ran").exists()


def test_looking_converting_and_transferring_do_without_running_it(
    stranger: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["inspect", stranger, "--stats", "--verify", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["result"]["architecture"]["name"] == name
    assert run(["convert", stranger, str(tmp_path / "again.safetensors"), "--quiet"]) == 0
    capsys.readouterr()
    assert run(["transfer", stranger, "squeezenet1_1", str(tmp_path / "out.safetensors"), "--json"]) == 0
    warning = json.loads(capsys.readouterr().out)["warnings"][0]
    assert warning.startswith(f"{name} cannot be built ({stranger} says it is {name}, a file that you have not named")
    assert warning.endswith(": read from names and shapes")
    assert not (tmp_path / "ran").exists()


def test_what_was_named_once_runs_under_any_name_until_it_is_changed(
    stranger: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["eval", stranger, "--arch", name, *DATA]) == 0
    assert (tmp_path / "ran").exists()
    assert run(["eval", stranger, *DATA]) == 0
    with (tmp_path / "net.py").open("a") as stream:
        stream.write("# another line\n")
    assert run(["eval", stranger, *DATA]) == 2
    assert "architecture-untrusted" in capsys.readouterr().err
    (noted,) = (tmp_path / "cache" / "architectures").iterdir()
    assert noted.read_text() == f"{tmp_path}/net.py\n"


def test_a_random_start_and_a_target_are_named_too(name: str, tmp_path: Path) -> None:
    assert not is_trusted(name)
    open_reference(f"{name}@random", role="source", key=None, arch=None, offline=True, seed=0)
    assert is_trusted(name)
    other = tmp_path / "other.py"
    other.write_text(NET + "\n")
    out = str(tmp_path / "out.safetensors")
    assert run(["transfer", f"{name}@random", f"{other}:make", out, "--quiet"]) == 0
    assert is_trusted(f"{other}:make")


def test_a_strangers_run_that_is_resumed_does_not_name_it(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_folder = str(tmp_path / "run")
    train = ["train", f"{name}@random", *DATA, "--epochs", "1", "--schedule", "constant"]
    assert run([*train, "--out", run_folder]) == 0
    (tmp_path / "ran").unlink()
    monkeypatch.setenv("TLV_CACHE", str(tmp_path / "another machine"))
    assert run(["train", "--resume", run_folder, "--epochs", "2", "--quiet"]) == 2
    assert f"{name}@random says it is {name}" in capsys.readouterr().err
    assert not (tmp_path / "ran").exists()


def test_where_no_cache_can_be_written_it_holds_for_this_process_and_its_children(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    monkeypatch.setenv(VARIABLE, "")  # so that what is set is taken back
    note_named(name)
    assert is_trusted(name)
    assert len(os.environ[VARIABLE]) == 64
    monkeypatch.setenv(VARIABLE, "0" * 64)
    assert not is_trusted(name)
    monkeypatch.setenv(VARIABLE, "1")
    assert is_trusted(name)


def _no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_no_home_is_no_reason_to_run_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TLV_CACHE")
    monkeypatch.setattr(
        Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("Could not determine home directory."))
    )
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv(VARIABLE, "")
    assert not is_trusted(name)
    note_named(name)
    assert is_trusted(name)


def test_published_architectures_and_missing_files_have_nothing_to_run(tmp_path: Path) -> None:
    assert all(map(is_trusted, ("resnet18", "timm:resnet18", "timm:x.py:make", f"{tmp_path}/absent.py:make")))


@pytest.mark.parametrize("sizes", [{"num_classes": 10**12}, {"in_chans": 10**9}, {"num_classes": 20_000}])
def test_what_a_file_says_of_itself_costs_no_memory(
    tmp_path: Path, sizes: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    architecture = {"name": "squeezenet1_1", "num_classes": 10, **sizes}
    said = {"architecture": architecture, "made_by": {"command": "train", "method": "full", "tlv_version": "0"}}
    path = tmp_path / "model.safetensors"
    save_file({"classifier.1.weight": torch.ones(10, 4)}, path, metadata={"tlv": json.dumps(said)})
    monkeypatch.setattr("tlvcli.models.builders.build", lambda *_, **__: pytest.fail("it was built"))
    with pytest.raises(TlvError) as caught:
        opened = open_reference(str(path), role="source", key=None, arch=None, offline=True, seed=0)
        load_module(opened, num_classes=None, seed=0)
    assert caught.value.error_id == "checkpoint-mismatch"


def test_deleting_a_note_takes_the_permission_back(name: str) -> None:
    note_named(name)
    (note,) = cache_folder("architectures").iterdir()
    note.unlink()
    assert not is_trusted(name)
