"""Gates: which are read, which hold, and what is said of those that do not."""

from __future__ import annotations

from typing import Any

import pytest

from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Architecture, Preprocessing
from tlvcli.pipelines.evaluating.config import EvalConfig
from tlvcli.pipelines.evaluating.gates import METRICS, judge, read_conditions, refuse_undefined
from tlvcli.pipelines.evaluating.result import Average, Calibration, ClassMeasures, EvalResult, Interval


def _config(*gates: str, **settings: Any) -> EvalConfig:
    return EvalConfig(checkpoint="net.pt", data="photos", gate=list(gates), **settings)


def _row(name: str, found: int, images: int = 10) -> ClassMeasures:
    share = found / images if images else None
    return ClassMeasures(
        name=name, index=0, images=images, predicted=0, found=found, precision=None, recall=share, f1=share
    )


def _result(*rows: ClassMeasures) -> EvalResult:
    interval = Interval(low=0.8, high=0.95, method="wilson")
    return EvalResult(
        images=30,
        top1=0.9,
        top1_interval=interval,
        top5=None,
        top5_interval=None,
        loss=0.25,
        brier=0.15,
        balanced_accuracy=0.85,
        macro=Average(precision=0.86, recall=0.85, f1=0.84),
        calibration=Calibration(ece=0.04, mce=0.2, bins=[]),
        intervals={},
        images_per_second=120.0,
        num_classes=3,
        classes_matched_by="name",
        classes=list(rows),
        confusion=None,
        confused=[],
        worst=[],
        architecture=Architecture(name="net", num_classes=3),
        preprocessing=Preprocessing(image_size=8, resize_size=8, mean=(0.5,) * 3, std=(0.5,) * 3),
        precision="fp32",
        split="test",
        skipped=[],
        peak_memory_bytes=2_000_000,
        against=[],
    )


@pytest.mark.parametrize(
    ("gate", "met"),
    [
        ("top1>=0.9", True),
        ("top1>0.9", False),
        ("Top-1 <= 0.9", True),
        ("accuracy<0.9", False),
        ("nll<0.3", True),
        ("macro_f1>=0.85", False),
        ("balanced-accuracy>=.85", True),
        ("ece<=5e-2", True),
        ("mce<0.2", False),
        ("images-per-second>100", True),
        ("peak-memory-mb<=2", True),
        ("top1>=90%", True),
        ("ece < 3.9%", False),
    ],
)
def test_a_figure_meets_its_limit_or_not(gate: str, met: bool) -> None:
    (judged,) = judge(read_conditions(_config(gate)), _result())
    assert (judged.flag, judged.met) == (f"--gate {gate}", met)


def test_every_figure_can_be_a_gate() -> None:
    conditions = read_conditions(_config(*(f"{name}>=0" for name in METRICS if name != "top5")))
    assert all(gate.met for gate in judge(conditions, _result(_row("ant", 5))))


def test_min_accuracy_comes_first() -> None:
    conditions = read_conditions(_config("loss<1", min_accuracy=0.95))
    first, second = judge(conditions, _result())
    assert (first.flag, first.met, first.message) == ("--min-accuracy 0.95", False, "top1 is 0.9 (90.00%)")
    assert second.met


def test_a_limit_in_per_cent_is_answered_in_per_cent() -> None:
    rows = [_row("ant", 2), _row("bee", 4, 9)]
    conditions = read_conditions(_config("top1>=93.39%", "per-class-recall>50%", "top1>=0.9339"))
    judged = judge(conditions, _result(*rows).model_copy(update={"top1": 9339 / 10_000}))
    assert [gate.met for gate in judged] == [True, False, True]
    assert [gate.message for gate in judged[:2]] == ["top1 is 93.39%", "not for 2 of 2 classes: ant 20%, bee 44.44%"]


def test_classes_below_their_limit_are_named_the_worst_first() -> None:
    rows = [_row(name, found) for name, found in (("ant", 9), ("bee", 2), ("fly", 4))]
    (gate,) = judge(read_conditions(_config("per-class-recall>=0.5")), _result(*rows, _row("wasp", 0, images=0)))
    assert (gate.met, gate.message) == (False, "not for 2 of 3 classes: bee 0.2, fly 0.4")
    (gate,) = judge(read_conditions(_config("per-class-recall>=0.2")), _result(*rows))
    assert (gate.met, gate.message) == (True, "it holds for all 3 classes")
    (gate,) = judge(read_conditions(_config("per-class-recall<0.3")), _result(*rows))
    assert gate.message == "not for 2 of 3 classes: ant 0.9, fly 0.4"


def test_a_class_that_is_never_predicted_fails_a_gate_of_precision() -> None:
    (gate,) = judge(read_conditions(_config("per-class-precision>0.1")), _result(_row("ant", 0)))
    assert gate.message == "not for 1 of 1 classes: ant 0"


@pytest.mark.parametrize(
    ("gate", "hint"),
    [
        ("top1>=90", "for per cent write --gate 'top1>=90%'"),
        ("macro-F1 > 80", "for per cent write --gate 'macro-F1>80%'"),
        ("loss<50%", "leave out the per cent sign"),
    ],
)
def test_a_share_and_per_cent_are_not_taken_for_one_another(gate: str, hint: str) -> None:
    with pytest.raises(TlvError) as caught:
        read_conditions(_config(gate))
    assert (caught.value.error_id, caught.value.hint) == ("gate-invalid", hint)


@pytest.mark.parametrize("gate", ["top1>=%", "top1", "top1>=", "top1>=much", "top1>=nan", "top1==0.5", ">=0.5", ""])
def test_what_is_no_condition_is_refused(gate: str) -> None:
    with pytest.raises(TlvError) as caught:
        read_conditions(_config(gate))
    assert caught.value.error_id == "gate-invalid"
    assert "in quotes" in caught.value.hint


def test_a_metric_that_does_not_exist_suggests_one() -> None:
    with pytest.raises(TlvError, match="no figure is called per-class-recal") as caught:
        read_conditions(_config("per-class-recal>=0.5"))
    assert (caught.value.error_id, caught.value.hint) == ("gate-unknown", "did you mean per-class-recall?")


def test_top5_needs_six_classes() -> None:
    conditions = read_conditions(_config("top5>=0.5"))
    refuse_undefined(conditions, 6)
    with pytest.raises(TlvError) as caught:
        refuse_undefined(conditions, 5)
    assert caught.value.error_id == "gate-undefined"
