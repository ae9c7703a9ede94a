"""Measures of a classifier from sums over images, so that one formula serves the images and their resamples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tlvcli.methods.metrics.image_scores import ImageScores

if TYPE_CHECKING:
    from torch import Tensor

# Equal bins of confidence, as in Guo et al. 2017, arXiv 1706.04599.
NUM_BINS = 15


@dataclass(frozen=True)
class Sums:
    """Sums over images, in float64; the last dimension of each, [r], are as many weightings of the images.

    By class, of those that occur among labels or predictions: `labelled`, `predicted`, `found` [c, r]. By bin of
    confidence: `bin_images`, `bin_correct`, `bin_confidence` [15, r].
    """

    images: Tensor
    loss: Tensor
    brier: Tensor
    labelled: Tensor
    predicted: Tensor
    found: Tensor
    bin_images: Tensor
    bin_correct: Tensor
    bin_confidence: Tensor


def occurring_classes(scores: ImageScores) -> tuple[Tensor, Tensor, Tensor]:
    """Return the outputs [c] that are a label or a prediction, rising, and every image's place [n] of both in them."""
    import torch

    both = torch.cat([scores.labels, scores.predictions])
    classes, places = torch.unique(both, return_inverse=True)
    return classes, places[: len(scores)], places[len(scores) :]


def sum_up(scores: ImageScores, weights: Tensor) -> Sums:
    """Return the sums under weights [n, r] float64, of which 1 counts an image once.

    Bins are those of Guo et al.: above their lower edge and not above the upper one.
    """
    classes, true, predicted = occurring_classes(scores)
    bins = (scores.probability * NUM_BINS).ceil().long().sub(1).clamp(0, NUM_BINS - 1)
    correct = weights * scores.correct[:, None]

    def added(values: Tensor, places: Tensor, groups: int) -> Tensor:
        return values.new_zeros(groups, values.shape[1]).index_add_(0, places, values)

    return Sums(
        images=weights.sum(dim=0),
        loss=scores.loss @ weights,
        brier=scores.brier @ weights,
        labelled=added(weights, true, len(classes)),
        predicted=added(weights, predicted, len(classes)),
        found=added(correct, true, len(classes)),
        bin_images=added(weights, bins, NUM_BINS),
        bin_correct=added(correct, bins, NUM_BINS),
        bin_confidence=added(weights * scores.probability[:, None], bins, NUM_BINS),
    )


def sum_once(scores: ImageScores) -> Sums:
    """Return the sums in which every image counts once; r is 1."""
    return sum_up(scores, scores.loss.new_ones(len(scores), 1))


def precision_by_class(sums: Sums) -> Tensor:
    """Return found of predicted [c, r]; 0 where nothing was taken for the class."""
    return sums.found / sums.predicted.clamp(min=1)


def recall_by_class(sums: Sums) -> Tensor:
    """Return found of labelled [c, r]; 0 where there is no image of the class."""
    return sums.found / sums.labelled.clamp(min=1)


def f1_by_class(sums: Sums) -> Tensor:
    """Return the harmonic mean of precision and recall [c, r]."""
    return 2 * sums.found / (sums.labelled + sums.predicted).clamp(min=1)


def mean_of_present(by_class: Tensor, sums: Sums) -> Tensor:
    """Return the mean [r] over the classes that have images."""
    present = sums.labelled > 0
    return (by_class * present).sum(dim=0) / present.sum(dim=0)


def averages(sums: Sums) -> dict[str, Tensor]:
    """Return by name the measures [r] that are one number; what balanced accuracy is, is macro recall too."""
    gaps = (sums.bin_confidence - sums.bin_correct).abs()
    return {
        "loss": sums.loss / sums.images,
        "brier": sums.brier / sums.images,
        "balanced-accuracy": mean_of_present(recall_by_class(sums), sums),
        "macro-precision": mean_of_present(precision_by_class(sums), sums),
        "macro-f1": mean_of_present(f1_by_class(sums), sums),
        "ece": gaps.sum(dim=0) / sums.images,
        "mce": (gaps / sums.bin_images.clamp(min=1)).amax(dim=0),
    }
