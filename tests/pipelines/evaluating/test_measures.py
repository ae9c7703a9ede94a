"""What the report says, against scikit-learn on the predictions that were written beside it."""

from __future__ import annotations

import csv
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from tests.pipelines.evaluating.conftest import PREPROCESSING, Save, Write
from tlvcli.core.errors import TlvError
from tlvcli.core.report import Report
from tlvcli.pipelines.eval import EvalConfig, EvalResult, run

DIGITS = tuple("0123456789")


def _evaluate(checkpoint: str, data: str, **settings: Any) -> Report[EvalResult]:
    return run(EvalConfig(checkpoint=checkpoint, data=data, device="cpu", **settings))


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_report_is_what_the_predictions_say(save: Save, tmp_path: Path) -> None:
    table = tmp_path / "answers.csv"
    report = _evaluate(save("net", DIGITS), "digits@test:150", predictions=str(table), worst=7, bootstrap=50)
    rows, result = _rows(table), report.result
    assert [output.role for output in report.outputs] == ["predictions"]
    truth, predicted = ([row[key] for row in rows] for key in ("label", "prediction"))
    sure = np.array([float(row["probability"]) for row in rows])
    right = np.array(truth) == np.array(predicted)
    assert len(rows) == result.images == 150
    assert result.top1 == sk.accuracy_score(truth, predicted)
    assert result.top5 == np.mean([row["label"] in row["top5"].split("|") for row in rows])
    assert all(row["top5"].startswith(f"{row['prediction']}|") for row in rows)
    assert result.loss == pytest.approx(-np.log([float(row["label_probability"]) for row in rows]).mean(), abs=0.01)
    names = [row.name for row in result.classes]
    assert result.confusion == sk.confusion_matrix(truth, predicted, labels=names).tolist()
    macro = sk.precision_recall_fscore_support(truth, predicted, average="macro", zero_division=0.0)
    assert [result.macro.precision, result.macro.recall, result.macro.f1] == pytest.approx(list(macro[:3]))
    assert result.balanced_accuracy == pytest.approx(sk.balanced_accuracy_score(truth, predicted))
    bins = result.calibration.bins
    assert [one.images for one in bins] == np.histogram(sure, np.linspace(0, 1, 16))[0].tolist()
    assert sum(one.images * (one.accuracy or 0) for one in bins) == pytest.approx(right.sum())
    interval = stats.binomtest(int(right.sum()), 150).proportion_ci(method="wilson")
    assert (result.top1_interval.low, result.top1_interval.high) == pytest.approx((interval.low, interval.high))
    assert [one.probability for one in result.worst] == pytest.approx(sorted(sure[~right])[::-1][:7], abs=1e-6)
    assert all(rows[one.position]["path"] == one.path for one in result.worst)
    assert result.intervals["macro-f1"].low < result.macro.f1 < result.intervals["macro-f1"].high
    assert result.confused[0].images == max(
        count for true, row in enumerate(result.confusion or []) for other, count in enumerate(row) if other != true
    )


def test_only_classes_of_the_data_count_and_other_answers_are_kept(save: Save, photos: Write) -> None:
    checkpoint = save("net", ("ant", "bee", "fly", "wasp"))
    data = photos("photos", ("bee", "fly"), images=30)
    result = _evaluate(checkpoint, data).result
    present = [row for row in result.classes if row.images]
    assert [row.name for row in present] == ["bee", "fly"]
    foreign = [row for row in result.classes if not row.images]
    assert foreign
    assert all((row.recall, row.f1, row.precision) == (None, None, 0.0) for row in foreign)
    assert result.macro.recall == pytest.approx(sum(row.recall or 0 for row in present) / 2)
    assert sum(map(sum, result.confusion or [])) == result.images == 60


def test_a_class_without_images_is_told(save: Save, photos: Write, tmp_path: Path) -> None:
    data = photos("photos", ("ant", "bee", "fly"))
    for path in (tmp_path / "photos" / "fly").iterdir():
        path.unlink()
    report = _evaluate(save("net", ("ant", "bee", "fly")), data)
    assert any("1 of 3 classes have no image, and no part in the means: fly" in said for said in report.warnings)
    assert report.result.macro.recall == report.result.balanced_accuracy


def test_another_checkpoint_on_the_same_images(save: Save, tmp_path: Path) -> None:
    other_way = PREPROCESSING.model_copy(update={"image_size": 12, "resize_size": 14})
    first = save("first", DIGITS)
    others = [save("turned", DIGITS[::-1], seed=1), save("smaller", DIGITS, seed=2, preprocessing=other_way), first]
    data, table = "digits@test:120", tmp_path / "answers.csv"
    report = _evaluate(first, data, against=others)
    result = report.result
    assert [one.role for one in report.inputs] == ["checkpoint", "against", "against", "against", "data"]
    right = []
    for reference in (first, *others):
        alone = _evaluate(reference, data, predictions=str(table), force=True).result
        right.append(np.array([row["label"] == row["prediction"] for row in _rows(table)]))
        shown = result if reference is first else next(r for r in result.against if r.checkpoint == reference).measures
        assert (shown.top1, shown.preprocessing) == (alone.top1, alone.preprocessing)
        assert shown.loss == pytest.approx(alone.loss, rel=1e-6)
    for rival, other in zip(result.against, right[1:], strict=True):
        counts = int((right[0] & ~other).sum()), int((other & ~right[0]).sum())
        assert (rival.difference.only_first, rival.difference.only_other) == counts
        assert rival.difference.top1 == pytest.approx(other.mean() - right[0].mean())
        expected = stats.binomtest(counts[0], sum(counts)).pvalue if sum(counts) else 1.0
        assert rival.difference.p_value == pytest.approx(expected)
        assert rival.difference.interval.low <= rival.difference.top1 <= rival.difference.interval.high
    assert result.against[2].difference.p_value == 1.0


def test_images_that_cannot_be_read(save: Save, photos: Write, tmp_path: Path) -> None:
    checkpoint, data = save("net", ("ant", "bee")), photos("photos", ("ant", "bee"))
    broken = tmp_path / "photos" / "bee" / "2.png"
    broken.write_bytes(b"no picture")
    with pytest.raises(TlvError) as caught:
        _evaluate(checkpoint, data)
    assert caught.value.error_id == "image-unreadable"
    table = tmp_path / "answers.csv"
    report = _evaluate(checkpoint, data, skip_corrupt=True, predictions=str(table), batch_size=3)
    assert (report.result.images, report.result.skipped) == (7, [str(broken)])
    assert f"{data}: skipped 1 image, as {broken}" in report.warnings
    assert str(broken) not in [row["path"] for row in _rows(table)]
    for path in (tmp_path / "photos").rglob("*.png"):
        path.write_bytes(b"no picture")
    with pytest.raises(TlvError, match="of 8 images none can be read") as caught:
        _evaluate(checkpoint, data, skip_corrupt=True)
    assert caught.value.error_id == "data-no-images"


def test_grey_images_through_a_network_of_one_channel(save: Save, photos: Write) -> None:
    grey = PREPROCESSING.model_copy(update={"channels": 1, "mean": (0.5,), "std": (0.3,)})
    checkpoint = save("net", ("ant", "bee"), preprocessing=grey)
    data = photos("photos", ("ant", "bee"), grey=True)
    result = _evaluate(checkpoint, data).result
    assert (result.images, result.preprocessing.channels) == (8, 1)
    with pytest.raises(TlvError, match="mean has 3 numbers, the network reads 1 channels"):
        _evaluate(checkpoint, data, mean=[0.1, 0.2, 0.3])


def test_the_preparation_can_be_told(save: Save) -> None:
    checkpoint = save("net", DIGITS)
    told = {"image_size": 24, "resize": 28, "mean": "0.1,0.2,0.3", "std": [0.5, 0.6, 0.7], "interpolation": "bicubic"}
    prepared = _evaluate(checkpoint, "digits@test:20", **told).result.preprocessing
    assert (prepared.image_size, prepared.resize_size, prepared.interpolation) == (24, 28, "bicubic")
    assert (prepared.mean, prepared.std) == ((0.1, 0.2, 0.3), (0.5, 0.6, 0.7))
    with pytest.raises(TlvError, match="images of 12 px have no crop of 16 px") as caught:
        _evaluate(checkpoint, "digits@test:20", resize=12)
    assert caught.value.error_id == "preprocessing-invalid"


def test_outputs_are_refused_before_the_work(save: Save, tmp_path: Path) -> None:
    checkpoint = save("net", DIGITS)
    taken = tmp_path / "taken.csv"
    taken.write_text("")
    for settings, error_id in (
        ({"predictions": str(taken)}, "output-exists"),
        ({"predictions": checkpoint, "force": True}, "output-is-input"),
        ({"predictions": str(tmp_path / "a"), "html": str(tmp_path / "a")}, "output-twice"),
    ):
        with pytest.raises(TlvError) as caught:
            _evaluate(checkpoint, "nowhere", **settings)
        assert caught.value.error_id == error_id
    with pytest.raises(TlvError) as caught:
        _evaluate("missing.pt", "nowhere", gate=["topp1>=0.5"])
    assert caught.value.error_id == "gate-unknown"


@pytest.mark.data
def test_an_imagenet_head_on_ants_and_bees(shared_data: Path, tmp_path: Path) -> None:
    with tarfile.open(shared_data / "hymenoptera.tar") as archive:
        archive.extractall(tmp_path, filter="data")
    checkpoint = str(shared_data / "checkpoints" / "squeezenet1_1-imagenet.pth")
    data, folders = f"{tmp_path}/hymenoptera@val:24", tmp_path / "hymenoptera" / "val"
    (tmp_path / "map.csv").write_text("ants,310\nbees,bee\n")
    mapped = _evaluate(checkpoint, data, class_map=str(tmp_path / "map.csv")).result
    assert 0.3 < mapped.top1 < 0.9
    assert mapped.top1 < (mapped.top5 or 0)
    assert [row.name for row in mapped.classes if row.images] == ["bee", "ant"]
    for old, new in (("ants", "310"), ("bees", "309")):
        (folders / old).rename(folders / new)
    # Another sample of 24, for it is drawn class by class.
    named = _evaluate(checkpoint, data).result
    assert named.classes_matched_by == "index"
    assert 0.3 < named.top1 < 0.9
