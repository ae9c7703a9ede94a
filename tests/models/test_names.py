"""Names of architectures without the libraries: what is there passes, what nobody has does not."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tlvcli.core.errors import TlvError
from tlvcli.models import names
from tlvcli.models.builders import classifier_names
from tlvcli.models.recognition import index


def test_every_classifier_passes_by_the_index_and_by_the_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in classifier_names():
        names.refuse_unknown(name)
    monkeypatch.setattr(index, "known_names", lambda library: iter(()))
    for name in classifier_names():
        assert not names.is_classifier(name)
        names.refuse_unknown(name)


def test_timms_models_pass_by_the_sources_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    timm = pytest.importorskip("timm")
    monkeypatch.setattr(index, "known_names", lambda library: iter(()))
    every_family = {timm.models.model_entrypoint(name).__module__: name for name in timm.list_models()}
    for name in list(every_family.values())[::8]:
        names.refuse_unknown(f"timm:{name}")
    names.refuse_unknown("timm:resnet50.a1_in1k")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("resnet81", "did you mean resnet18?"),
        ("resnet", "did you mean resnet"),  # the word is in many files, but makes nothing
        ("timm:resnet81", "did you mean resnet"),
        ("absent.py:make", "write path/to/file.py:callable"),
    ],
)
def test_what_nobody_has_is_refused_with_the_nearest_name(name: str, hint: str) -> None:
    with pytest.raises(TlvError) as caught:
        names.refuse_unknown(name)
    assert caught.value.error_id == "architecture-unknown"
    assert caught.value.hint.startswith(hint)


def test_without_timm_its_names_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "find_spec", lambda name: None if name == "timm" else importlib.util.find_spec(name))
    with pytest.raises(TlvError, match="timm:resnet18 needs the package timm") as caught:
        names.refuse_unknown("timm:resnet18")
    assert caught.value.error_id == "extra-missing"


def test_a_users_file_runs_only_when_it_is_there(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text("raise AssertionError('a look runs nothing')")
    names.refuse_unknown(f"{file}:make")
