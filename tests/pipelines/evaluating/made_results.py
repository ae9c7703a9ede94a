"""Results of `tlv eval` made from answers at hand, in plain numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlvcli.core.provenance import Architecture, Preprocessing
from tlvcli.core.report import RunInfo
from tlvcli.pipelines.evaluating.result import (
    Average,
    Calibration,
    CalibrationBin,
    ClassMeasures,
    ConfusedPair,
    Difference,
    EvalResult,
    Interval,
    Measures,
    Mistake,
    Rival,
)

Ints = NDArray[np.int64]
PREPROCESSING = Preprocessing(image_size=16, resize_size=16, mean=(0.5,) * 3, std=(0.25,) * 3)
RAN = RunInfo(
    started_at="2026-01-02T03:04:05Z", seconds=1.0, host="here", device="cpu", versions={"tlv": "1", "torch": "2"}
)
NUM_BINS = 15


def make_result(
    labels: Ints, predictions: Ints, probabilities: NDArray[np.float64], names: tuple[str, ...], **changes: Any
) -> EvalResult:
    """Return what these answers are worth; of intervals there are those of the bootstrap, 0.01 to either side."""
    parts = _measures(labels, predictions, probabilities, names)
    found = {"split": "test", "skipped": [], "peak_memory_bytes": 2**20, "against": []}
    return EvalResult(**{**parts, **found, **changes})


def make_rival(
    checkpoint: str, labels: Ints, first: Ints, other: Ints, names: tuple[str, ...], p_value: float
) -> Rival:
    """Return another checkpoint that answers `other` where the first one answers `first`."""
    right, other_right = first == labels, other == labels
    difference = float(other_right.mean() - right.mean())
    return Rival(
        checkpoint=checkpoint,
        measures=Measures(**_measures(labels, other, np.full(len(labels), 0.9), names)),
        difference=Difference(
            top1=difference,
            interval=Interval(low=difference - 0.02, high=difference + 0.02, method="newcombe"),
            only_first=int((right & ~other_right).sum()),
            only_other=int((other_right & ~right).sum()),
            p_value=p_value,
        ),
    )


def _measures(
    labels: Ints, predictions: Ints, probabilities: NDArray[np.float64], names: tuple[str, ...]
) -> dict[str, Any]:
    present = np.union1d(labels, predictions)
    places = {int(index): place for place, index in enumerate(present)}
    confusion = np.zeros((len(present), len(present)), dtype=int)
    for label, prediction in zip(labels.tolist(), predictions.tolist(), strict=True):
        confusion[places[label], places[prediction]] += 1
    classes = [_class(names[index], int(index), confusion, place) for place, index in enumerate(present)]
    averaged = [each for each in classes if each.images]
    recall = float(np.mean([each.recall for each in averaged]))
    pairs = [
        ConfusedPair(true=a.name, predicted=b.name, images=count, share=count / a.images)
        for i, a in enumerate(classes)
        for j, b in enumerate(classes)
        if i != j and (count := int(confusion[i, j]))
    ]
    wrong = np.flatnonzero(labels != predictions)
    worst = wrong[np.argsort(-probabilities[wrong], kind="stable")]
    top1 = float((labels == predictions).mean())
    return {
        "images": len(labels),
        "top1": top1,
        "top1_interval": Interval(low=max(0, top1 - 0.02), high=min(1, top1 + 0.02), method="wilson"),
        "top5": 0.99 if len(names) > 5 else None,
        "top5_interval": Interval(low=0.98, high=0.995, method="wilson") if len(names) > 5 else None,
        "loss": 0.3,
        "brier": 0.12,
        "balanced_accuracy": recall,
        "macro": Average(
            precision=float(np.mean([each.precision or 0 for each in averaged])),
            recall=recall,
            f1=float(np.mean([each.f1 for each in averaged])),
        ),
        "calibration": _calibration(labels == predictions, probabilities),
        "intervals": {"macro-f1": Interval(low=0.5, high=0.75, method="bootstrap")},
        "images_per_second": 1234.5,
        "num_classes": len(names),
        "classes_matched_by": "name",
        "classes": classes,
        "confusion": confusion.tolist(),
        "confused": sorted(pairs, key=lambda pair: -pair.images)[:20],
        "worst": [
            Mistake(
                path=f"folder/{names[labels[position]]}/{position}.png",
                position=int(position),
                label=names[labels[position]],
                prediction=names[predictions[position]],
                probability=float(probabilities[position]),
                label_probability=float(1 - probabilities[position]) / 2,
            )
            for position in worst[:32].tolist()
        ],
        "architecture": Architecture(name="resnet18", num_classes=len(names)),
        "preprocessing": PREPROCESSING,
        "precision": "fp32",
    }


def _class(name: str, index: int, confusion: Ints, place: int) -> ClassMeasures:
    images, predicted = int(confusion[place].sum()), int(confusion[:, place].sum())
    found = int(confusion[place, place])
    return ClassMeasures(
        name=name,
        index=index,
        images=images,
        predicted=predicted,
        found=found,
        precision=found / predicted if predicted else None,
        recall=found / images if images else None,
        f1=2 * found / (images + predicted) if images else None,
    )


def _calibration(right: NDArray[np.bool_], probabilities: NDArray[np.float64]) -> Calibration:
    bins, gaps = [], []
    for number in range(NUM_BINS):
        low, high = number / NUM_BINS, (number + 1) / NUM_BINS
        chosen = (probabilities > low) & (probabilities <= high)
        images = int(chosen.sum())
        confidence = float(probabilities[chosen].mean()) if images else None
        accuracy = float(right[chosen].mean()) if images else None
        bins.append(CalibrationBin(low=low, high=high, images=images, confidence=confidence, accuracy=accuracy))
        if confidence is not None and accuracy is not None:
            gaps.append((images, abs(confidence - accuracy)))
    ece = sum(images * gap for images, gap in gaps) / len(right)
    return Calibration(ece=ece, mce=max(gap for _, gap in gaps), bins=bins)
