"""The wheel by itself: built, installed into a fresh environment, and run where the repository is out of sight."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
import torch

import tlvcli

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def tlv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program as the wheel installs it; its dependencies are those of the environment that tests it."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(ROOT / "tlvcli", source / "tlvcli", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    _call([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", ".", str(source)], folder)
    (wheel,) = folder.glob("tlvcli-*.whl")
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    _call([str(python), "-m", "pip", "install", "--quiet", "--no-deps", str(wheel)], folder)
    (packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
    # After the environment's own packages, so that tlvcli is the wheel's; an editable install is not followed.
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return folder / "venv" / "bin" / "tlv"


def _call(command: list[str], folder: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_wheel_runs_outside_the_repository(tlv: Path, tmp_path: Path) -> None:
    python = tlv.with_name("python")
    place = _call([str(python), "-c", "import tlvcli; print(tlvcli.__file__)"], tmp_path)
    assert Path(place.strip()).is_relative_to(tlv.parents[1])
    assert tlvcli.__version__ in _call([str(tlv), "--version"], tmp_path)
    doctor = json.loads(_call([str(tlv), "doctor", "--json"], tmp_path))
    assert not [finding for finding in doctor["result"]["findings"] if finding["status"] == "error"]


@pytest.mark.slow
def test_what_is_not_python_is_in_it(tlv: Path, tmp_path: Path) -> None:
    """The index of architectures, recipes, and templates of pages."""
    from torchvision.models import squeezenet1_1

    torch.save(squeezenet1_1(num_classes=10).state_dict(), tmp_path / "model.pt")
    inspected = json.loads(_call([str(tlv), "inspect", "model.pt", "--json"], tmp_path))
    assert inspected["result"]["recognition"]["architecture"] == "squeezenet1_1"
    data = ["--data", "digits@test:40", "--device", "cpu", "--image-size", "32"]
    _call([str(tlv), "eval", "model.pt", *data, "--html", "page.html", "--quiet"], tmp_path)
    assert "</html>" in (tmp_path / "page.html").read_text()
    train = ["train", "model.pt", "--data", "digits@train:40", "--out", "run", "--recipe", "non-binary", "--dry-run"]
    assert json.loads(_call([str(tlv), *train, "--json"], tmp_path))["config"]["strategy"] == "non-binary"
