"""What is generated is committed fresh, schemas are real schemas, and reports obey them."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import jsonschema
import pytest
import torch

from tlvcli.cli.main import run

ROOT = Path(__file__).resolve().parents[2]


def test_generated_files_are_fresh() -> None:
    generate = runpy.run_path(str(ROOT / "docs" / "generate.py"))
    texts = generate["generated_texts"]()
    assert len(texts) == len(generate["COMMANDS"]) + len(("commands", "configuration", "errors", "stub"))
    for name, text in texts.items():
        assert (ROOT / name).read_text(encoding="utf-8") == text, f"{name} is stale: make docs"


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every command has left its report."""
    folder = tmp_path_factory.mktemp("reports")
    source, start, trained = folder / "net.pt", folder / "start.safetensors", folder / "run"
    torch.save({"stem.weight": torch.randn(4, 3, 3, 3)}, source)
    commands = {
        "inspect": [source],
        "transfer": [source, "squeezenet1_1", start, "--num-classes", "10"],
        "train": [start, "--data", "digits@train:40", "--out", trained, "--epochs", "1"],
        "eval": [trained / "best.safetensors", "--data", "digits@val:20"],
    }
    for name, arguments in commands.items():
        report = ["--report", folder / f"{name}.json", "--quiet"]
        assert run([name, *map(str, [*arguments, *report])]) == 0, name
    return folder


@pytest.mark.parametrize("command", ["inspect", "transfer", "train", "eval"])
def test_reports_obey_their_schema(run_folder: Path, command: str) -> None:
    report = json.loads((run_folder / f"{command}.json").read_text())
    schema = json.loads((ROOT / "docs" / "schemas" / f"tlv.{command}.1.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(report, schema)
    assert report["schema"] == f"tlv.{command}/1"
    broken = {**report, "result": {**report["result"], "unexpected": 1}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, schema)
