"""From the rows of the images to what the report says of a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tlvcli.core.runtime import make_generator
from tlvcli.data.image_dataset import ImageDataset
from tlvcli.methods.metrics.classification import (
    NUM_BINS,
    Sums,
    averages,
    f1_by_class,
    occurring_classes,
    precision_by_class,
    recall_by_class,
    sum_once,
)
from tlvcli.methods.metrics.image_scores import TOP, ImageScores
from tlvcli.methods.metrics.intervals import bootstrap_intervals, wilson_interval
from tlvcli.methods.metrics.paired import PairedAnswers, mcnemar_p_value, paired_interval
from tlvcli.pipelines.evaluating.config import EvalConfig
from tlvcli.pipelines.evaluating.contenders import Contender
from tlvcli.pipelines.evaluating.result import (
    MOST_CONFUSION_CLASSES,
    Average,
    Calibration,
    CalibrationBin,
    ClassMeasures,
    ConfusedPair,
    Difference,
    Interval,
    Measures,
    Mistake,
)

if TYPE_CHECKING:
    from torch import Tensor

_CONFUSED_PAIRS = 20


def measure(
    config: EvalConfig,
    contender: Contender,
    scores: ImageScores,
    dataset: ImageDataset,
    *,
    seconds: float,
    precision: str,
) -> Measures:
    """Return what one checkpoint is worth; its rows are finite and at least one."""
    names, images = contender.classes.names, len(scores)
    sums = sum_once(scores)
    found = {name: float(value[0]) for name, value in averages(sums).items()}
    hits, hits5 = int(scores.correct.sum()), int(scores.top5_correct.sum())
    has_top5 = contender.architecture.num_classes > TOP
    resampled = (
        bootstrap_intervals(scores, config.bootstrap, make_generator(config.seed, "bootstrap"))
        if config.bootstrap
        else {}
    )
    return Measures(
        images=images,
        top1=hits / images,
        top1_interval=_wilson(hits, images),
        top5=hits5 / images if has_top5 else None,
        top5_interval=_wilson(hits5, images) if has_top5 else None,
        loss=found["loss"],
        brier=found["brier"],
        balanced_accuracy=found["balanced-accuracy"],
        macro=Average(precision=found["macro-precision"], recall=found["balanced-accuracy"], f1=found["macro-f1"]),
        calibration=_calibration(sums, ece=found["ece"], mce=found["mce"]),
        intervals={name: Interval(low=low, high=high, method="bootstrap") for name, (low, high) in resampled.items()},
        images_per_second=images / seconds,
        num_classes=contender.architecture.num_classes,
        classes_matched_by=contender.classes.matched_by,
        classes=_classes(scores, sums, names),
        confusion=_confusion(scores),
        confused=_confused(scores, names),
        worst=_worst(scores, names, dataset, config.num_worst),
        architecture=contender.architecture,
        preprocessing=contender.preprocessing,
        precision=precision,
    )


def compare(first: ImageScores, other: ImageScores) -> Difference:
    """Return how the top-1 of two checkpoints on the same images differs."""
    assert first.positions.equal(other.positions)
    right, also = first.correct, other.correct
    answers = PairedAnswers(
        both=int((right & also).sum()),
        only_first=int((right & ~also).sum()),
        only_other=int((also & ~right).sum()),
        neither=int((~right & ~also).sum()),
    )
    low, high = paired_interval(answers)
    return Difference(
        top1=answers.difference,
        interval=Interval(low=low, high=high, method="newcombe"),
        only_first=answers.only_first,
        only_other=answers.only_other,
        p_value=mcnemar_p_value(answers),
    )


def _wilson(hits: int, images: int) -> Interval:
    low, high = wilson_interval(hits, images)
    return Interval(low=low, high=high, method="wilson")


def _calibration(sums: Sums, *, ece: float, mce: float) -> Calibration:
    images = sums.bin_images[:, 0]
    divisor = images.clamp(min=1)
    confidence, accuracy = sums.bin_confidence[:, 0] / divisor, sums.bin_correct[:, 0] / divisor
    rows = zip(images.tolist(), confidence.tolist(), accuracy.tolist(), strict=True)
    bins = [
        CalibrationBin(
            low=number / NUM_BINS,
            high=(number + 1) / NUM_BINS,
            images=int(count),
            confidence=mean if count else None,
            accuracy=share if count else None,
        )
        for number, (count, mean, share) in enumerate(rows)
    ]
    return Calibration(ece=ece, mce=mce, bins=bins)


def _classes(scores: ImageScores, sums: Sums, names: Sequence[str]) -> list[ClassMeasures]:
    outputs, _, _ = occurring_classes(scores)
    figures = [precision_by_class(sums), recall_by_class(sums), f1_by_class(sums)]
    columns = [sums.labelled, sums.predicted, sums.found, *figures]
    rows = zip(outputs.tolist(), *(column[:, 0].tolist() for column in columns), strict=True)
    return [
        ClassMeasures(
            name=names[output],
            index=output,
            images=int(labelled),
            predicted=int(predicted),
            found=int(found),
            precision=precision if predicted else None,
            recall=recall if labelled else None,
            f1=f1 if labelled else None,
        )
        for output, labelled, predicted, found, precision, recall, f1 in rows
    ]


def _confusion(scores: ImageScores) -> list[list[int]] | None:
    import torch

    outputs, true, predicted = occurring_classes(scores)
    size = len(outputs)
    if size > MOST_CONFUSION_CLASSES:
        return None
    counts = torch.bincount(true * size + predicted, minlength=size * size)
    rows: list[list[int]] = counts.reshape(size, size).tolist()
    return rows


def _confused(scores: ImageScores, names: Sequence[str]) -> list[ConfusedPair]:
    import torch

    outputs, true, predicted = occurring_classes(scores)
    wrong = ~scores.correct
    pairs, counts = torch.unique(true[wrong] * len(outputs) + predicted[wrong], return_counts=True)
    most = counts.argsort(descending=True, stable=True)[:_CONFUSED_PAIRS]
    labelled = torch.bincount(true, minlength=len(outputs))
    first, second = pairs[most] // len(outputs), pairs[most] % len(outputs)
    share = counts[most].double() / labelled[first]
    columns: list[Tensor] = [outputs[first], outputs[second], counts[most], share]
    return [
        ConfusedPair(true=names[int(one)], predicted=names[int(other)], images=int(count), share=part)
        for one, other, count, part in zip(*(column.tolist() for column in columns), strict=True)
    ]


def _worst(scores: ImageScores, names: Sequence[str], dataset: ImageDataset, most: int) -> list[Mistake]:
    wrong = (~scores.correct).nonzero()[:, 0]
    rows = wrong[scores.probability[wrong].argsort(descending=True, stable=True)][:most]
    columns = (scores.positions, scores.labels, scores.predictions, scores.probability, scores.label_probability)
    return [
        Mistake(
            path=dataset.where(position),
            position=position,
            label=names[label],
            prediction=names[prediction],
            probability=probability,
            label_probability=label_probability,
        )
        for position, label, prediction, probability, label_probability in zip(
            *(column[rows].tolist() for column in columns), strict=True
        )
    ]
