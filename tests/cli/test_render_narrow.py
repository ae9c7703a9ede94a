"""Tables of `tlv eval` and `tlv predict` on a terminal that has no room beside the names."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.pipelines.evaluating.made_results import PREPROCESSING, RAN, make_result, make_rival
from tlvcli.cli import render_eval, render_predict
from tlvcli.core.provenance import Architecture
from tlvcli.core.report import Report
from tlvcli.pipelines.evaluating.result import EvalResult
from tlvcli.pipelines.predicting.result import Candidate, Prediction, PredictResult

Shown = Callable[[Callable[[Any, bool], None], Report[Any], int | None], list[str]]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shown:
    """Return the lines that a terminal of so many columns gets, or a pipe for None."""

    def show(render: Callable[[Any, bool], None], report: Report[Any], columns: int | None) -> list[str]:
        if columns:
            for name, value in (("COLUMNS", str(columns)), ("FORCE_COLOR", "1"), ("NO_COLOR", "1")):
                monkeypatch.setenv(name, value)
        render(report, False)
        return re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()

    return show


def _report(result: Any, config: dict[str, Any]) -> Report[Any]:
    return Report[Any](
        schema_id="tlv.any/1",
        tlv_version="0",
        run=RAN,
        inputs=[],
        config=config,
        result=result,
        outputs=[],
        warnings=[],
    )


@pytest.fixture
def rivals() -> Report[EvalResult]:
    """Two checkpoints that only the middle of their names tells apart."""
    labels = np.arange(40) % 2
    first, other = labels.copy(), labels.copy()
    first[:4], other[:2] = 1 - first[:4], 1 - other[:2]
    rival = make_rival("runs/photos/tlv/best.safetensors", labels, first, other, ("ant", "bee"), 0.5)
    result = make_result(labels, first, np.full(40, 0.9), ("ant", "bee"), against=[rival])
    config = {"checkpoint": "runs/photos/he/best.safetensors", "data": "photos", "worst": 0}
    return _report(result, config)


def test_names_that_read_alike_once_cut_stand_above_their_figures(shown: Shown, rivals: Report[EvalResult]) -> None:
    lines = shown(render_eval.render, rivals, 80)
    place = lines.index("runs/photos/tlv/best.safetensors")
    assert lines[place - 2] == "runs/photos/he/best.safetensors"
    assert lines[place - 3].split() == ["top-1", "loss", "macro", "F1", "difference", "95", "%", "p"]
    assert lines[place + 1].split() == ["95.00%", "0.3000", "95.00%", "+5.00%", "+3.00%", "to", "+7.00%", "0.5000"]
    assert len(lines[place - 3]) == len(lines[place + 1]) <= 80


@pytest.mark.parametrize("columns", [None, 120])
def test_where_there_is_room_they_stand_beside_them(
    shown: Shown, rivals: Report[EvalResult], columns: int | None
) -> None:
    lines = shown(render_eval.render, rivals, columns)
    assert any(re.match(r"runs/photos/tlv/best.safetensors +95.00% ", line) for line in lines)


def _predictions() -> Report[PredictResult]:
    top = [Candidate(label=f"some class {index}", index=index, probability=0.5 - index / 10) for index in range(4)]
    read = Prediction(path="photos/of/many/ants.jpg", label=top[0].label, index=0, probability=0.5, top=top)
    result = PredictResult(
        images=2,
        unreadable=[],
        classes=[],
        predictions=[read, Prediction(path="photos/broken.jpg", error="it is missing")],
        features=None,
        images_per_second=2.25,
        num_classes=4,
        labels_from="checkpoint",
        architecture=Architecture(name="resnet18", num_classes=4),
        preprocessing=PREPROCESSING,
        precision="fp32",
    )
    return _report(result, {"jsonl": False, "top": 4})


def test_further_classes_stand_below_the_name_of_their_image(shown: Shown) -> None:
    lines = shown(render_predict.render, _predictions(), 60)
    assert lines[:6] == [
        "photos/of/many/ants.jpg",
        "    some class 0 50.0%, some class 1 40.0%, some class 2",
        "    30.0%, some class 3 20.0%",
        "photos/broken.jpg",
        "    not read",
        "",
    ]
    assert "2 images by resnet18, 2.2 images/s" in lines[6]


@pytest.mark.parametrize("columns", [None, 140])
def test_where_there_is_room_they_stand_beside_it(shown: Shown, columns: int | None) -> None:
    lines = shown(render_predict.render, _predictions(), columns)
    assert lines[0].split() == ["image", "label", "probability", "then"]
    assert lines[1].endswith("some class 1 40.0%, some class 2 30.0%, some class 3 20.0%")
