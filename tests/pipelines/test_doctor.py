"""`doctor` on installations that are broken in known ways: packages are small fakes on the path, nothing is mocked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from tlvcli.pipelines.doctor import DoctorConfig, run
from tlvcli.pipelines.health.devices import find_devices
from tlvcli.pipelines.health.explanations import explain
from tlvcli.pipelines.health.folders import find_folders
from tlvcli.pipelines.health.network import find_network
from tlvcli.pipelines.health.packages import find_extras, find_packages
from tlvcli.pipelines.health.probing import Probed, probe
from tlvcli.pipelines.health.requirements import Needed, read_requirements
from tlvcli.pipelines.health.result import Finding

TORCH = """
__version__ = "2.6.0"


class cuda:
    is_available = staticmethod(lambda: False)
    device_count = staticmethod(lambda: 0)


class version:
    cuda = hip = None


class _Zeros:
    def numpy(self):
        return None


zeros = lambda *shape: _Zeros()
get_num_threads = lambda: 1
"""
TORCHVISION = """
__version__ = "0.21.0"


class ops:
    nms = staticmethod(lambda *arguments: None)
"""


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder at the head of the path, with a torch and a torchvision that import in no time."""
    folder = tmp_path / "packages"
    _write(folder, "torch", TORCH, "2.6.0")
    _write(folder, "torchvision", TORCHVISION, "0.21.0", "torch==2.6.0")
    _write(folder, "numpy", "__version__ = '2.0.0'", "2.0.0")
    monkeypatch.syspath_prepend(str(folder))
    return folder


def _write(folder: Path, name: str, code: str, version: str, requires: str | None = None) -> None:
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / "__init__.py").write_text(code)
    described = folder / f"{name}-{version}.dist-info"
    described.mkdir(exist_ok=True)
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")


def _needs(name: str, specifier: str, installed: str | None, extra: str | None = None) -> Needed:
    return Needed(name, SpecifierSet(specifier), extra, installed)


NEEDED = (_needs("torch", ">=2.6", "2.6.0"), _needs("torchvision", ">=0.21", "0.21.0"))


def _look(needed: tuple[Needed, ...] = NEEDED, timeout: float = 60) -> dict[str, Finding]:
    return {finding.name: finding for finding in find_packages(needed, probe(needed, timeout=timeout))}


@pytest.mark.usefixtures("packages")
def test_a_pair_that_fits() -> None:
    found = _look()
    assert {name: finding.status for name, finding in found.items()} == {
        "torch": "ok",
        "torchvision": "ok",
        "numpy": "ok",
        "torchvision operators": "ok",
        "torch with numpy": "ok",
    }
    assert found["torch"].found == "2.6.0"


def test_a_torchvision_for_another_torch(packages: Path) -> None:
    error = 'raise RuntimeError("operator torchvision::nms does not exist")'
    _write(packages, "torchvision", error, "0.21.0", "torch==2.7.0")
    found = _look()
    assert found["torch"].status == "ok"
    assert found["torchvision"].status == "error"
    assert "RuntimeError: operator torchvision::nms does not exist" in found["torchvision"].found
    assert "built for another torch" in (found["torchvision"].hint or "")
    assert found["torchvision"].detail == str(packages / "torchvision" / "__init__.py")
    assert found["torch for torchvision"].found == "torchvision 0.21.0 asks for torch==2.7.0, here is 2.6.0"


def test_operators_that_fail_where_the_import_does_not(packages: Path) -> None:
    code = TORCHVISION.replace("None", '(_ for _ in ()).throw(RuntimeError("Couldn\'t load custom C++ ops."))')
    _write(packages, "torchvision", code, "0.21.0")
    found = _look()
    assert found["torchvision"].status == "ok"
    assert found["torchvision operators"].status == "error"
    assert "built for another torch" in (found["torchvision operators"].hint or "")


def test_what_is_built_on_a_broken_torch_is_not_blamed(packages: Path) -> None:
    _write(packages, "torch", "raise ImportError('libcudart.so.12: cannot open shared object file')", "2.6.0")
    found = _look()
    assert found["torch"].status == "error"
    assert "library of CUDA is missing" in (found["torch"].hint or "")
    assert (found["torchvision"].status, found["torchvision"].found) == ("info", "0.21.0, not tried without torch")


def test_an_import_that_kills_the_process(packages: Path) -> None:
    _write(packages, "torchvision", "import os\nos.kill(os.getpid(), 11)", "0.21.0")
    found = _look((*NEEDED, _needs("timm", ">=1.0", None)))
    assert found["torch"].status == "ok"
    assert found["torchvision"].found == "cannot be imported: it ended by SIGSEGV"
    assert found["timm"].found == "there, not tried without torchvision"


def test_an_import_that_does_not_end(packages: Path) -> None:
    _write(packages, "torchvision", "import time\ntime.sleep(60)", "0.21.0")
    assert _look(timeout=2)["torchvision"].found == "cannot be imported: it took more than 2 s"


def test_what_is_missing_and_what_is_old(packages: Path) -> None:
    _write(packages, "torch", TORCH.replace("2.6.0", "2.4.1+cpu"), "2.4.1")
    gone = _needs("no_such_package", ">=1", None)
    found = _look((_needs("torch", ">=2.6", "2.4.1"), NEEDED[1], gone))
    assert (found["torch"].status, found["torch"].found) == ("error", "2.4.1+cpu, tlv needs >=2.6")
    assert found["torch"].hint == "pip install --upgrade 'torch>=2.6'"
    assert (found["no_such_package"].status, found["no_such_package"].found) == ("error", "not installed")


def test_a_copy_in_the_way(packages: Path) -> None:
    found = _look((_needs("torch", ">=2.6", "2.9.0"), NEEDED[1]))
    assert (found["torch"].status, found["torch"].found) == ("warning", "2.6.0 is imported, 2.9.0 is installed")
    assert str(packages / "torch") in (found["torch"].hint or "")


def test_extras_are_no_errors(packages: Path) -> None:
    _write(packages, "timm", "raise RuntimeError('broken')", "1.0.0")
    needed = (*NEEDED, _needs("timm", ">=1.0", "1.0.0", "timm"), _needs("tensorboard", ">=2", None, "tensorboard"))
    timm, tensorboard = find_extras(needed, probe(needed, timeout=60))
    assert (timm.area, timm.name, timm.status) == ("extras", "timm", "warning")
    assert "RuntimeError: broken" in timm.found
    assert (tensorboard.status, tensorboard.found) == ("info", "not installed")
    assert tensorboard.hint == "pip install 'tlvcli[tensorboard]', if you want tlv train --tensorboard"


def test_requirements_come_from_the_installation(packages: Path) -> None:
    described = packages / "sample-1.0.dist-info"
    described.mkdir()
    lines = ["torch>=2.6", "timm>=1.0; extra == 'timm'", "tomli>=1; python_version < '3'", "none-such (>=1.5)"]
    text = "".join(f"Requires-Dist: {line}\n" for line in lines)
    (described / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: sample\nVersion: 1.0\nProvides-Extra: timm\n{text}"
    )
    found = read_requirements("sample")
    assert [(needed.words, needed.extra) for needed in found] == [
        ("torch>=2.6", None),
        ("none-such>=1.5", None),
        ("timm>=1.0", "timm"),
    ]
    assert [needed.installed for needed in found[:2]] == ["2.6.0", None]
    assert [needed.fits for needed in found[:2]] == [True, False]
    assert read_requirements("no-such-distribution") == ()
    assert {needed.name for needed in read_requirements()} >= {"torch", "torchvision", "pydantic"}


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("ImportError: numpy.core.multiarray failed to import", "another numpy"),
        ("OSError: x.so: undefined symbol: _ZN3c10", "another release"),
        ("OSError: torchvision/_C.so: undefined symbol: _ZN3c10", "another torch"),
        ("ImportError: /lib/libm.so.6: version `GLIBC_2.29' not found (required by x.so)", "newer system"),
        ("ValueError: odd", "pip install --force-reinstall --no-cache-dir torch"),
    ],
)
def test_errors_are_explained(error: str, words: str) -> None:
    assert words in explain("torch", error)


def _cuda(**seen: object) -> Probed:
    usual = {"cuda": "12.4", "hip": None, "available": True, "threads": 1, "devices": [], "warnings": []}
    return Probed(devices={**usual, **seen})


def test_devices(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    card = {"name": "Card", "total": 16 * 2**30, "free": 12 * 2**30, "right": True}
    full, wrong = {**card, "free": 2**20}, {**card, "right": False}
    failed = {"name": "Card", "total": 1, "failed": "no kernel image is available\nfor this"}
    found = list(find_devices(_cuda(devices=[card, full, wrong, failed])))
    assert [finding.status for finding in found[:5]] == ["ok", "ok", "warning", "error", "warning"]
    assert found[1].found == "Card, 12.0 of 16.0 GiB free"
    assert found[4].found == "Card fails: no kernel image is available"
    assert [finding.status for finding in find_devices(_cuda(threads=10**6))][-1] == "warning"
    assert list(find_devices(Probed())) == []
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    driver = tmp_path / "version"
    monkeypatch.setattr("tlvcli.pipelines.health.devices._DRIVER", driver)
    assert next(find_devices(_cuda(available=False))).status == "info"
    driver.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  470.82.01  Wed\n")
    old = next(find_devices(_cuda(available=False, warnings=["driver too old"])))
    assert (old.status, old.detail) == ("warning", "driver too old")
    assert "CUDA 12.4 and cannot use the GPU with driver 470.82.01" in old.found
    assert "built for the CPU alone" in next(find_devices(_cuda(available=False, cuda=None))).found
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "hidden" in next(find_devices(_cuda(available=False))).found


def test_a_cache_that_takes_no_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    (tmp_path / "hub" / "checkpoints" / "weights.pth").write_bytes(b"\0" * 20_000_000)
    monkeypatch.setenv("TLV_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    found = {finding.name: finding for finding in find_folders()}
    assert found["features"].status == "warning"
    assert "takes no files" in found["features"].found
    assert found["features"].hint == "TLV_CACHE=FOLDER moves it"
    assert found["hub weights"].status == "ok"
    assert found["hub weights"].found.startswith(f"{tmp_path / 'hub'}, 0.02 GB in 1 file, ")


def test_the_network_is_left_alone_unless_asked() -> None:
    (asleep,) = find_network(online=False)
    assert asleep.status == "info"
    (refused,) = find_network(online=True, url="http://127.0.0.1:9/")
    assert refused.status == "warning"
    assert "does not answer" in refused.found


@pytest.mark.usefixtures("packages")
def test_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlvcli.pipelines.doctor.read_requirements", lambda: NEEDED)
    result = run(DoctorConfig()).result
    areas = list(dict.fromkeys(finding.area for finding in result.findings))
    assert areas == ["program", "packages", "devices", "machine", "folders", "terminal", "network"]
    assert result.errors == sum(finding.status == "error" for finding in result.findings) == 0
    assert all(finding.hint for finding in result.findings if finding.status in ("warning", "error"))


def test_the_command_with_a_torchvision_that_is_broken(tmp_path: Path) -> None:
    fake = tmp_path / "torchvision"
    fake.mkdir()
    (fake / "__init__.py").write_text('raise RuntimeError("operator torchvision::nms does not exist")')
    # What takes long to import has no part in this.
    for name in ("matplotlib", "scipy", "sklearn", "timm"):
        (tmp_path / f"{name}.py").touch()
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(TORCH.replace("2.6.0", "99.0"))
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", "tlvcli", "doctor", "--quiet"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "cannot be imported: RuntimeError: operator torchvision::nms does not exist" in done.stdout
    assert "built for another torch" in done.stdout
    assert "Traceback" not in done.stderr
