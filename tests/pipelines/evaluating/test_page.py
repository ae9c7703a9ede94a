"""The page of an evaluation: what it says against the report, and what is in the file."""

from __future__ import annotations

import base64
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.pages.page_parts import PageParts
from tests.pipelines.evaluating.made_results import RAN, make_result, make_rival
from tlvcli.core.errors import TlvError
from tlvcli.core.report import Gate
from tlvcli.data.datasets import open_dataset
from tlvcli.data.reference import parse_data_reference
from tlvcli.methods.metrics.intervals import wilson_interval
from tlvcli.pipelines.evaluating.config import EvalConfig
from tlvcli.pipelines.evaluating.page import write_evaluation_page
from tlvcli.pipelines.evaluating.page_classes import show_classes, show_confusion, show_foreign, show_pairs
from tlvcli.pipelines.evaluating.page_numbers import say_calibration, say_verdict, show_numbers
from tlvcli.pipelines.evaluating.page_rivals import name_apart, show_rival_classes, show_rivals
from tlvcli.pipelines.evaluating.result import EvalResult

NAMES = ("cat", "dog", "cow")
LABELS = np.array([0] * 10 + [1] * 5)
# 7 of 10 cats, of which 2 are taken for dogs and 1 for a cow, and all dogs.
PREDICTIONS = np.array([0] * 7 + [1, 1, 2] + [1] * 5)
PROBABILITIES = np.linspace(0.5, 0.99, 15)


def _result(**changes: Any) -> EvalResult:
    return make_result(LABELS, PREDICTIONS, PROBABILITIES, NAMES, **changes)


def test_classes_come_with_the_one_found_least_first() -> None:
    cat, dog = show_classes(_result())
    assert (cat.name, cat.images, cat.mostly) == ("cat", 10, "dog, 20.0%")
    assert (cat.shares.recall, cat.shares.precision) == (0.7, 1.0)
    assert cat.shares.interval == wilson_interval(7, 10)
    assert (dog.name, dog.shares.recall, dog.mostly) == ("dog", 1.0, "")
    assert dog.shares.precision == pytest.approx(5 / 7)


def test_classes_without_images_are_columns_only() -> None:
    confusion = show_confusion(_result())
    assert confusion is not None
    assert (confusion.rows, confusion.columns) == (["cat", "dog"], ["cat", "dog", "cow"])
    assert confusion.counts == [[7, 2, 1], [0, 5, 0]]
    assert show_foreign(_result()) == "1 image is taken for a class that the data do not have: cow (1)."


def test_many_classes_without_images_share_a_column() -> None:
    names = tuple(f"class {number}" for number in range(40))
    labels = np.zeros(60, dtype=int)
    predictions = np.array([0] * 10 + list(range(40)) + [39] * 10)
    confusion = show_confusion(make_result(labels, predictions, np.full(60, 0.8), names))
    assert confusion is not None
    assert confusion.columns[:3] == ["class 0", "class 39", "class 1"]
    assert confusion.columns[-1] == "20 others"
    (row,) = confusion.counts
    assert row[:3] == [11, 11, 1]
    assert row[-1] == 20
    assert sum(row) == 60


def test_pairs_say_how_often_it_is_the_other_way_round() -> None:
    labels, predictions = np.array([0, 0, 0, 1, 1, 1]), np.array([1, 1, 0, 0, 1, 1])
    result = make_result(labels, predictions, np.full(6, 0.9), NAMES)
    pairs = [(pair.true, pair.predicted, pair.images, pair.back) for pair in show_pairs(result)]
    assert pairs == [("cat", "dog", 2, 1), ("dog", "cat", 1, 2)]
    assert [pair.back for pair in show_pairs(_result())] == [0, None]  # of cows there are none
    without = show_pairs(result.model_copy(update={"confusion": None}))
    assert [pair.back for pair in without] == [None, None]


def test_numbers_have_the_intervals_that_the_report_has() -> None:
    numbers = {number.name: (number.text, number.interval) for number in show_numbers(_result())}
    assert numbers["top-1"] == ("80.00%", "78.00% to 82.00%")
    assert numbers["macro F1"][1] == "50.00% to 75.00%"
    assert numbers["balanced accuracy"] == ("85.00%", None)
    assert numbers["loss (NLL)"] == ("0.3000", None)
    assert "top-5" not in numbers


def test_the_verdict_names_the_weakest_class_and_the_most_frequent_confusion() -> None:
    first, second = say_verdict(_result())
    assert first.startswith("12 of 15 images named right: top-1 is 80.00%, and with 95% confidence lies between 78.00%")
    assert second == "Of class cat it finds 70.0%, of class dog 100.0%. Most often it takes cat for dog: 2 images."
    assert len(say_verdict(make_result(LABELS, LABELS, PROBABILITIES, NAMES))) == 1


@pytest.mark.parametrize(("probability", "judgement"), [(0.9, "surer"), (0.805, "about as sure"), (0.6, "less sure")])
def test_calibration_is_judged_by_the_mean(probability: float, judgement: str) -> None:
    result = make_result(LABELS, PREDICTIONS, np.full(15, probability), NAMES)
    first, second, _ = say_calibration(result)
    assert f"{probability:.1%} sure of its answer and 80.0% right: {judgement}" in first
    assert f"(ECE) is {abs(probability - 0.8):.2%}" in second


def test_rivals_are_held_against_the_first_class_by_class() -> None:
    other = np.array([0] * 10 + [1] * 4 + [0])
    rival = make_rival("b.pt", LABELS, PREDICTIONS, other, NAMES, 1e-12)
    result = _result(against=[rival])
    first, second = show_rivals(result, ["a.pt", "b.pt"])
    assert (first.name, first.top1, first.difference) == ("a.pt", "80.00%", None)
    assert (second.top1, second.difference, second.p_value) == ("93.33%", "+13.33", "< 1e-09")
    assert (second.only_first, second.only_this) == (1, 3)
    (classes,) = show_rival_classes(result, ["a.pt", "b.pt"])
    assert [(each.name, round(each.change, 9)) for each in classes.classes] == [("dog", -0.2), ("cat", 0.3)]
    assert classes.num_classes == 2
    assert show_rivals(_result(), ["a.pt"]) == []


@pytest.mark.parametrize(
    ("references", "names"),
    [
        (["runs/a/best.pt"], ["best.pt"]),
        (["runs/a/best.pt", "runs/b/best.pt"], ["a/best.pt", "b/best.pt"]),
        (["x/runs/best.pt", "y/runs/best.pt"], ["x/runs/best.pt", "y/runs/best.pt"]),
        (["resnet18@DEFAULT", "a/b.pt"], ["resnet18@DEFAULT", "b.pt"]),
        (["a/b.pt", "a/b.pt"], ["a/b.pt", "a/b.pt"]),
    ],
)
def test_checkpoints_have_the_shortest_names_that_tell_them_apart(references: list[str], names: list[str]) -> None:
    assert name_apart(references) == names


def _write(path: Path, **changes: Any) -> PageParts:
    dataset = open_dataset(parse_data_reference("digits"), "test")
    labels = np.array(dataset.labels)
    predictions = np.where(np.arange(len(labels)) % 9 == 0, (labels + 1) % 10, labels)
    probabilities = np.linspace(0.4, 1.0, len(labels))
    result = make_result(labels, predictions, probabilities, dataset.class_names, **changes)
    config = EvalConfig(
        checkpoint="runs/<a>/best.pt",
        data="digits",
        html=str(path),
        force=True,
        gate=["ece<0.1"],
        mean=[0.5, 0.25, 0.1],
    )
    gates = [Gate(flag="--gate ece<0.1", met=False, message="ece is 0.2"), Gate(flag="--x", met=True, message="yes")]
    output = write_evaluation_page(config, result, dataset, gates=gates, inputs=[], warnings=["be <warned>"], ran=RAN)
    assert output.path == str(path)
    return PageParts(path.read_text())


def test_the_page_needs_nothing_else_and_says_what_the_report_says(tmp_path: Path) -> None:
    page = _write(tmp_path / "page.html")
    assert all(address.startswith("data:image/") for address in page.addresses)
    assert not {"script", "link", "iframe"} & set(page.tags)
    text = " ".join(" ".join(page.texts).split())
    assert "319 of 359 images named right" in text
    assert "✗ not met --gate ece<0.1 ece is 0.2" in text
    assert "✓ held --x yes" in text
    assert "be <warned>" in text
    assert "resnet18 (best.pt) on digits test" in text
    assert "tlv eval 'runs/<a>/best.pt' --data digits --gate 'ece<0.1'" in text
    assert "--mean 0.5,0.25,0.1" in text
    assert "2026-01-02T03:04:05Z" in text


def test_the_worst_images_are_those_of_the_data_as_the_network_gets_them(tmp_path: Path) -> None:
    page = _write(tmp_path / "page.html")
    assert len(page.addresses) == 32
    dataset = open_dataset(parse_data_reference("digits"), "test")
    last = max(position for position in range(len(dataset)) if position % 9 == 0)
    wanted = dataset.read(last, channels=3).resize((16, 16), Image.Resampling.BILINEAR)
    shown = Image.open(BytesIO(base64.b64decode(page.addresses[0].partition(",")[2])))
    np.testing.assert_allclose(np.asarray(shown).astype(int), np.asarray(wanted).astype(int), atol=1)


def test_a_page_without_mistakes_or_matrix_says_so(tmp_path: Path) -> None:
    page = _write(tmp_path / "page.html", confusion=None, confused=[], worst=[])
    text = " ".join(" ".join(page.texts).split())
    assert "No image is taken for another class." in text
    assert "The most confident mistakes" not in text
    assert not page.addresses


def test_an_existing_page_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("mine")
    dataset = open_dataset(parse_data_reference("digits"), "test")
    config = EvalConfig(checkpoint="a.pt", data="digits", html=str(path))
    with pytest.raises(TlvError) as raised:
        write_evaluation_page(config, _result(worst=[]), dataset, gates=[], inputs=[], warnings=[], ran=RAN)
    assert raised.value.error_id == "output-exists"
    assert path.read_text() == "mine"
