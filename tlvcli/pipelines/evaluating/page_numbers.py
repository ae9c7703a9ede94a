"""The measures of a checkpoint as the numbers and sentences of its page."""

from __future__ import annotations

from tlvcli.core.wording import counted
from tlvcli.pages.evaluation_values import NumberView
from tlvcli.pipelines.evaluating.result import EvalResult, Interval

# A network is called surer than right from a gap of this on, in shares of 1.
_NOTABLE_GAP = 0.01


def show_numbers(result: EvalResult) -> list[NumberView]:
    """Return the numbers at the head of the page, the most asked for first."""
    intervals = result.intervals
    numbers = [
        NumberView("top-1", f"{result.top1:.2%}", _percent(result.top1_interval), "images whose class comes first"),
    ]
    if result.top5 is not None:
        found = _percent(result.top5_interval)
        numbers.append(NumberView("top-5", f"{result.top5:.2%}", found, "images whose class is among the first five"))
    balanced = _percent(intervals.get("balanced-accuracy"))
    macro = _percent(intervals.get("macro-f1"))
    loss = intervals.get("loss")
    return [
        *numbers,
        NumberView("balanced accuracy", f"{result.balanced_accuracy:.2%}", balanced, "mean recall of the classes"),
        NumberView("macro F1", f"{result.macro.f1:.2%}", macro, "mean F1 of the classes"),
        NumberView(
            "loss (NLL)",
            f"{result.loss:.4f}",
            f"{loss.low:.4f} to {loss.high:.4f}" if loss else None,
            "mean cross-entropy in nats",
        ),
        NumberView(
            "calibration error",
            f"{result.calibration.ece:.2%}",
            _percent(intervals.get("ece")),
            "ECE: mean gap of how sure and how right",
        ),
    ]


def say_verdict(result: EvalResult) -> list[str]:
    """Return what a reader should know who reads no further."""
    right, interval = round(result.top1 * result.images), result.top1_interval
    sentences = [
        f"{right:,} of {counted(result.images, 'image')} named right: top-1 is {result.top1:.2%}, and with 95% "
        f"confidence lies between {interval.low:.2%} and {interval.high:.2%} on images of this kind."
    ]
    known = sorted((each.recall, each.name) for each in result.classes if each.recall is not None)
    if len(known) > 1 and known[0][0] < known[-1][0]:
        (least, worst), (most, best) = known[0], known[-1]
        weak = f"Of class {worst} it finds {least:.1%}, of class {best} {most:.1%}."
        if result.confused:
            pair = result.confused[0]
            weak += f" Most often it takes {pair.true} for {pair.predicted}: {counted(pair.images, 'image')}."
        sentences.append(weak)
    return sentences


def say_calibration(result: EvalResult) -> list[str]:
    """Return sentences on how sure the network is and how right, and the scores that sum it up."""
    calibration = result.calibration
    sure = sum(each.images * each.confidence for each in calibration.bins if each.confidence is not None)
    mean, right = sure / result.images, result.top1
    if mean > right + _NOTABLE_GAP:
        judgement = "surer than right"
    elif mean < right - _NOTABLE_GAP:
        judgement = "less sure than right"
    else:
        judgement = "about as sure as right"
    num_bins = len(calibration.bins)
    return [
        f"On average it is {mean:.1%} sure of its answer and {right:.1%} right: {judgement}.",
        f"The mean gap over {num_bins} bins (ECE) is {calibration.ece:.2%}, the largest (MCE) {calibration.mce:.2%}.",
        f"The loss is {result.loss:.4f} nats, the Brier score {result.brier:.4f}: both grow with mistakes and "
        "with misplaced confidence.",
    ]


def _percent(interval: Interval | None) -> str | None:
    return f"{interval.low:.2%} to {interval.high:.2%}" if interval else None
