"""The error boundary: exit codes, streams, and what a user sees when something is wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tlvcli import __version__
from tlvcli.cli.main import run


def tlv(*arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
    """Run the program in its own process."""
    command = [sys.executable, "-m", "tlvcli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **settings)  # type: ignore[call-overload]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "net.pt"
    torch.manual_seed(0)
    torch.save({"stem.weight": torch.randn(8, 3, 3, 3), "fc.weight": torch.randn(5, 8)}, path)
    return path


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"tlv {__version__}\n"
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert "inspect" in shown
    assert "transfer" in shown


@pytest.mark.parametrize("command", ["inspect", "transfer", "train", "eval"])
def test_every_help_has_an_example(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert run([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"Example: tlv {command}" in shown


def test_help_and_inspect_import_no_torch(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"a.weight": torch.zeros(4, 3)}, tmp_path / "a.safetensors")
    for arguments in (
        ["--help"],
        ["transfer", "--help"],
        ["inspect", str(tmp_path / "a.safetensors"), "--json"],
    ):
        program = (
            "import sys; from tlvcli.cli.main import run; code = run(sys.argv[1:]); "
            "print(code, [m for m in ('torch', 'torchvision', 'numpy') if m in sys.modules], file=sys.stderr)"
        )
        done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
        assert done.stderr.strip() == "0 []", arguments


@pytest.mark.parametrize(
    ("arguments", "error_id"),
    [
        (["inspekt"], "usage"),
        (["inspect", "--no-such-flag"], "usage"),
        (["inspect", "absent.pt"], "checkpoint-missing"),
        (["inspect"], "config-invalid"),
        (["inspect", "x.pt", "--set", "colour=red"], "config-invalid"),
        (["inspect", "x.pt", "--set", "colour"], "config-invalid"),
        (["inspect", "x.pt", "--config", "absent.yaml"], "config-unreadable"),
        (["transfer", "x.pt", "resnet18", "o.safetensors", "--num-classes", "0"], "config-invalid"),
        (["transfer", "x.pt", "resnet18", "o.safetensors", "--method", "tvl"], "method-unknown"),
        (
            ["transfer", "x.pt", "resnet18", "o.safetensors", "--set", "mapping.keeep=random"],
            "config-invalid",
        ),
        (["transfer", "x.pt", "resnet18", "o.safetensors", "--set", "keep=random"], "config-invalid"),
        (["eval", "x.pt", "--data", "digits", "--batch-size", "many"], "usage"),
    ],
)
def test_what_the_user_can_mend_exits_2_in_two_lines(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: list[str],
    error_id: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    lines = streams.err.splitlines()
    assert len(lines) == 2, streams.err
    assert lines[0].startswith(f"error[{error_id}]: ")
    assert lines[1].startswith("hint: ")
    assert list(tmp_path.iterdir()) == []


def test_hints_name_the_nearest_word(capsys: pytest.CaptureFixture[str]) -> None:
    hints = {
        ("inspekt",): "inspect",
        ("transfer", "x.pt", "resnet18", "o.safetensors", "--set", "keep=random"): "mapping.keep",
        ("transfer", "x.pt", "resnet18", "o.safetensors", "--method", "tlv", "--set", "mapping.shufle=off"): "shuffle",
        ("transfer", "x.pt", "resnet18", "o.safetensors", "--set", "mapping.noize=1"): "mapping.noise",
        ("transfer", "x.pt", "resnet18", "o.safetensors", "--set", "sede=1"): "seed",
    }
    for arguments, word in hints.items():
        assert run(list(arguments)) == 2
        assert word in capsys.readouterr().err


def test_an_error_is_one_json_object_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", "absent.pt", "--json"]) == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    error = json.loads(streams.err)["error"]
    assert error["id"] == "checkpoint-missing"
    assert error["message"]
    assert error["hint"]


def test_json_is_the_report_and_nothing_else(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.safetensors"
    done = tlv("transfer", str(checkpoint), "squeezenet1_1", str(out), "--json", "--num-classes", "4")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["schema"] == "tlv.transfer/1"
    assert report == json.loads((tmp_path / "o.report.json").read_text())
    assert len(report["result"]["rows"]) == report["result"]["num_tensors"] == 52


def test_flags_beat_the_file_and_set_beats_flags(
    capsys: pytest.CaptureFixture[str], checkpoint: Path, tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_text("num-classes: 4\nseed: 3\nmapping: {shuffle: off, keep: random}\n")
    words = [
        "transfer", str(checkpoint), "squeezenet1_1", str(tmp_path / "o.safetensors"), "--dry-run", "--json",
        "--config", str(tmp_path / "c.yaml"), "--method", "tlv", "--seed", "5",
        "--set", "mapping.keep=max-var", "--set", "num_classes=6",
    ]  # fmt: skip
    assert run(words) == 0
    config = json.loads(capsys.readouterr().out)["config"]
    assert (config["seed"], config["num_classes"]) == (5, 6)
    assert (config["mapping"]["keep"], config["mapping"]["shuffle"]) == ("max-var", "off")


def test_a_reports_config_is_a_config_file(
    capsys: pytest.CaptureFixture[str], checkpoint: Path, tmp_path: Path
) -> None:
    out = str(tmp_path / "o.safetensors")
    assert run(["transfer", str(checkpoint), "squeezenet1_1", out, "--json", "--seed", "2"]) == 0
    report = json.loads(capsys.readouterr().out)
    (tmp_path / "again.json").write_text(json.dumps(report["config"]))
    assert run(["transfer", "--config", str(tmp_path / "again.json"), "--force", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["outputs"] == report["outputs"]


def test_a_report_in_the_way_is_refused_before_the_work(
    capsys: pytest.CaptureFixture[str], checkpoint: Path, tmp_path: Path
) -> None:
    (tmp_path / "r.json").write_text("precious")
    assert run(["inspect", str(checkpoint), "--report", str(tmp_path / "r.json")]) == 2
    streams = capsys.readouterr()
    assert (streams.out, "output-exists" in streams.err) == ("", True)
    assert (tmp_path / "r.json").read_text() == "precious"
    assert run(["inspect", str(checkpoint), "--report", str(tmp_path / "r.json"), "--force", "--quiet"]) == 0
    assert json.loads((tmp_path / "r.json").read_text())["schema"] == "tlv.inspect/1"


def test_our_bug_is_one_line_and_70(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, checkpoint: Path
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError("a bug\nof ours")

    monkeypatch.setattr("tlvcli.pipelines.inspect.run", fail)
    assert run(["inspect", str(checkpoint)]) == 70
    assert capsys.readouterr().err.splitlines()[0] == "error[internal]: ZeroDivisionError: a bug"
    assert run(["inspect", str(checkpoint), "--debug"]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_a_reader_that_leaves_early_is_no_error(checkpoint: Path) -> None:
    program = f"{sys.executable} -m tlvcli inspect {checkpoint} --json; echo code $? >&2"
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(["sh", "-c", program], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert done.stderr == "code 0\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_while_writing_leaves_no_half_file(
    tmp_path: Path, checkpoint: Path, number: int, code: int
) -> None:
    command = [
        sys.executable,
        "-m",
        "tlvcli",
        "transfer",
        str(checkpoint),
        "alexnet",
        str(tmp_path / "o.safetensors"),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while not any(tmp_path.iterdir()) and process.poll() is None:
            time.sleep(0.001)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert "Traceback" not in errors
    assert errors.splitlines()[-2].startswith("error[")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("flag", ["--stats", "--json"])
def test_a_locale_without_our_characters(tmp_path: Path, flag: str) -> None:
    torch.save({"\u5c64.weight": torch.ones(2, 2)}, tmp_path / "a.pt")
    ascii_only = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = tlv("inspect", "a.pt", flag, cwd=tmp_path, env=ascii_only, encoding="utf-8")
    assert done.returncode == 0
    assert done.stderr == ""
    if flag == "--json":
        assert json.loads(done.stdout)["result"]["layers"][0]["name"] == "\u5c64"
    else:
        assert "constant     ?.weight\n" in done.stdout


def test_markdown_keeps_the_sections_that_were_asked_for(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(checkpoint), "--markdown", "--stats", "--against", str(checkpoint)]) == 0
    table, fence, sections = capsys.readouterr().out.partition("\n```text\n")
    assert table.startswith("| layer | weight |")
    assert fence
    assert sections.startswith("tensor ")
    assert sections.endswith("\nidentical: all tensors (2)\n```\n")


def test_one_layer_is_no_plural(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"a.weight": torch.ones(2, 2)}, tmp_path / "a.pt")
    assert run(["inspect", str(tmp_path / "a.pt")]) == 0
    assert "1 in 1 layer: 1 float32" in capsys.readouterr().out


@pytest.mark.parametrize("place", ["output", "architecture"])
def test_a_path_that_no_file_can_have(checkpoint: Path, capsys: pytest.CaptureFixture[str], place: str) -> None:
    name = "x" * 300
    target, output = ("resnet18", f"{name}.safetensors") if place == "output" else (f"{name}.py:make", "o.safetensors")
    assert run(["transfer", str(checkpoint), target, output]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error[path-invalid]: xxx")
    assert "File name too long" in message
