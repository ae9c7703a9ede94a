"""What shells are told to complete: in the words that each of them sends, and without torch."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from tlvcli.cli.app import app
from tlvcli.cli.completers import complete_checkpoint, complete_data, going_on
from tlvcli.cli.shell import rejoin

# What is typed, and what must be among the answers.
QUESTIONS = {
    "tlv anal": ["analyze-stats"],
    "tlv train --strat": ["--strategy"],
    "tlv inspect --arch resnet1": ["resnet101", "resnet152", "resnet18"],
    "tlv transfer x vgg16": ["vgg16", "vgg16_bn"],
    "tlv convert x y --arch timm:resnet101_c": ["timm:resnet101_clip", "timm:resnet101_clip_gap"],
    "tlv inspect resnet18": ["resnet18@DEFAULT", "resnet18@random"],
    "tlv transfer x y --method dp": ["dpiat", "dpiat-reference"],
    "tlv compare --methods he,coh": ["he,coherent"],
    "tlv compare --strategies full,t": ["full,two-rate"],
    "tlv compare --keep n": ["none"],
    "tlv train --strategy l": ["linear-probe", "lp-ft", "layer-decay"],
    "tlv train --recipe t": ["tlv", "three-ways"],
    "tlv train --optimizer a": ["adamw", "adam"],
    "tlv train --schedule o": ["one-cycle"],
    "tlv train --precision b": ["bf16"],
    "tlv analyze-stats x --statistic logn": ["lognormal-kl"],
    "tlv analyze-stats x --score logme,le": ["logme,leep"],
    "tlv eval x --data dig": ["digits"],
    "tlv eval x --data cifar": ["cifar10:", "cifar100:"],
    "tlv train x --data digits@": ["digits@train", "digits@val", "digits@test", "digits@all"],
    "tlv analyze-stats x --source ph": ["photos"],
    "tlv transfer x y z --fit ph": ["photos"],
    "tlv eval mod": [],
    "tlv train x --data photos/": [],
}

ASK = """
import contextlib, io, json, os, sys
from tlvcli.cli.main import run
answers = {}
for typed in json.loads(sys.argv[1]):
    os.environ.update(_TLV_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS=typed)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert run([]) == 0
    answers[typed] = said.getvalue()
slow = sorted({"torch", "torchvision", "numpy", "scipy", "pydantic"} & set(sys.modules))
print(json.dumps({"answers": answers, "slow": slow}))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "photos" / "cats").mkdir(parents=True)
    (tmp_path / "model.safetensors").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _words(zsh: str) -> list[str]:
    """What zsh is offered, without help and escapes."""
    lines = zsh.replace("_arguments '*: :((", "").removesuffix("\n").removesuffix("))'").splitlines()
    return [line.split('"')[1].replace("\\\\:", ":") for line in lines if line.startswith('"')]


def test_every_question_is_answered_without_torch(folder: Path) -> None:
    asked = [sys.executable, "-c", ASK, json.dumps(list(QUESTIONS))]
    done = subprocess.run(asked, cwd=folder, check=True, capture_output=True, text=True)
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["slow"] == []
    for typed, expected in QUESTIONS.items():
        assert _words(told["answers"][typed]) == expected, typed
        assert expected or told["answers"][typed].strip() == "_files", typed


def test_every_flag_that_names_one_of_a_family_completes_it(folder: Path) -> None:
    group: Any = typer.main.get_command(app)
    silent = []
    for name, command in group.commands.items():
        for parameter in command.params:
            with command.make_context(name, [], resilient_parsing=True) as context:
                found = parameter.shell_complete(context, "")
            words = ("arch", "method", "strateg", "statistic", "score", "recipe", "optimizer", "schedule", "data")
            is_family = parameter.name.startswith(words) or parameter.name.endswith(("_arch", "_data"))
            if is_family and not found and parameter.name not in ("data_seed",):
                silent.append(f"{name} {parameter.name}")
    assert silent == []


@pytest.mark.parametrize(
    ("words", "current", "whole", "typed"),
    [
        ("tlv eval x --data cifar10 : ./d", 6, ("tlv eval x --data cifar10:./d", 4), "cifar10:"),
        ("tlv eval x --data digits @ tr", 6, ("tlv eval x --data digits@tr", 4), "digits@"),
        ("tlv eval x --data digits @", 5, ("tlv eval x --data digits@", 4), "digits@"),
        ("tlv eval resnet18 @ DEFAULT --da", 5, ("tlv eval resnet18@DEFAULT --da", 3), ""),
        ("tlv train --strategy = fu", 4, ("tlv train --strategy=fu", 2), "--strategy="),
        ("tlv inspect timm : res", 4, ("tlv inspect timm:res", 2), "timm:"),
        ("tlv tra", 1, ("tlv tra", 1), ""),
    ],
)
def test_words_that_bash_took_apart_are_put_together(
    words: str, current: int, whole: tuple[str, int], typed: str
) -> None:
    environment = {"COMP_WORDS": words.replace(" ", "\n"), "COMP_CWORD": str(current)}
    expected = {"COMP_WORDS": whole[0].replace(" ", "\n"), "COMP_CWORD": str(whole[1])}
    assert rejoin(environment) == (expected, typed)


def test_a_new_word_behind_a_colon_is_not_put_to_it() -> None:
    environment = {"COMP_WORDS": "tlv\neval\nx\n--data\ncifar10\n:\n", "COMP_CWORD": "6"}
    assert rejoin(environment) == ({"COMP_WORDS": "tlv\neval\nx\n--data\ncifar10:\n", "COMP_CWORD": "5"}, "")


def test_data_that_go_on_never_come_alone(folder: Path) -> None:
    assert complete_data("dt") == ["dtd:./", "dtd:/"]  # alone, a shell would put a space behind the colon
    assert complete_data("p") == ["photos"]
    assert "photos" in complete_data("") and "digits" in complete_data("")
    assert complete_data("photos@v") == ["photos@val"]
    assert complete_data("a@b/photos") == complete_data("cifar10:./da") == []


def test_files_go_before_architectures(folder: Path) -> None:
    assert complete_checkpoint("") == complete_checkpoint("mo") == complete_checkpoint("runs/resnet18") == []
    assert complete_checkpoint("mobilenet_v3") == ["mobilenet_v3_large@", "mobilenet_v3_small@"]
    assert complete_checkpoint("resnet18@r") == ["resnet18@random"]


def test_a_list_goes_on_with_what_it_lacks() -> None:
    assert going_on(("he", "tlv", "dpiat"), "he,") == ["he,tlv", "he,dpiat"]
    assert going_on(("he", "tlv", "dpiat"), "he,t") == ["he,tlv"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_bash_hears_only_what_is_missing(folder: Path) -> None:
    tlv = Path(sys.executable).with_name("tlv")
    script = subprocess.run(
        [tlv], env={**os.environ, "_TLV_COMPLETE": "source_bash"}, check=True, capture_output=True, text=True
    ).stdout
    ask = "COMP_WORDS=(tlv eval x --data digits @ t); COMP_CWORD=6; _tlv_completion tlv; echo ${COMPREPLY[*]}"
    path = f"{tlv.parent}:{os.environ['PATH']}"
    answer = subprocess.run(
        ["bash", "-c", f"{script}\n{ask}"], env={**os.environ, "PATH": path}, check=True, capture_output=True, text=True
    )
    assert answer.stdout.split() == ["train", "test"]


def test_fish_is_told_where_files_are_wanted(folder: Path) -> None:
    environment = {**os.environ, "_TLV_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "is-args"}
    for typed, code in (("tlv eval x --data dig", 0), ("tlv eval model.s", 1)):
        asked = [sys.executable, "-m", "tlvcli"]
        done = subprocess.run(asked, env={**environment, "_TYPER_COMPLETE_ARGS": typed}, check=False)
        assert done.returncode == code, typed
