"""Conditions that `tlv eval` can be given: any figure of its report, and what it must not fall below or exceed."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tlvcli.core.errors import TlvError, did_you_mean
from tlvcli.core.report import Gate
from tlvcli.pipelines.evaluating.config import EvalConfig
from tlvcli.pipelines.evaluating.result import ClassMeasures, EvalResult
from tlvcli.pipelines.evaluating.shares import read_number

_SHOWN_CLASSES = 5
_FORM = re.compile(r"\s*([\w -]+?)\s*(>=|<=|>|<)\s*(\S+)\s*")
_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_FIGURES: Mapping[str, Callable[[EvalResult], float | None]] = {
    "top1": lambda result: result.top1,
    "top5": lambda result: result.top5,
    "loss": lambda result: result.loss,
    "brier": lambda result: result.brier,
    "balanced-accuracy": lambda result: result.balanced_accuracy,
    "macro-precision": lambda result: result.macro.precision,
    "macro-recall": lambda result: result.macro.recall,
    "macro-f1": lambda result: result.macro.f1,
    "ece": lambda result: result.calibration.ece,
    "mce": lambda result: result.calibration.mce,
    "images-per-second": lambda result: result.images_per_second,
    "peak-memory-mb": lambda result: result.peak_memory_bytes / 1e6,
}
# A class that nothing was taken for has no precision; for a gate it is 0, as it is in the mean.
_BY_CLASS: Mapping[str, Callable[[ClassMeasures], float]] = {
    "per-class-precision": lambda row: row.precision or 0.0,
    "per-class-recall": lambda row: row.recall or 0.0,
    "per-class-f1": lambda row: row.f1 or 0.0,
}
_OTHER_NAMES = {"accuracy": "top1", "top-1": "top1", "top-5": "top5", "nll": "loss"}
METRICS = (*_FIGURES, *_BY_CLASS)
# The rest are no shares of 1, and have no per cent.
_SHARES = {*METRICS} - {"loss", "brier", "images-per-second", "peak-memory-mb"}


@dataclass(frozen=True)
class Condition:
    """A figure, how it is compared, and with what; `flag` is what the user wrote, in per cent or as a share of 1."""

    flag: str
    metric: str
    sign: str
    limit: float
    in_percent: bool = False

    def holds(self, value: float) -> bool:
        """Return whether a value meets it."""
        return _OPERATORS[self.sign](value, self.limit)

    def write(self, value: float, digits: int) -> str:
        """Return a value as the limit is written."""
        return f"{100 * value:.{digits}g}%" if self.in_percent else f"{value:.{digits}g}"


def read_conditions(config: EvalConfig) -> tuple[Condition, ...]:
    """Return --min-accuracy and all --gate, in the order given.

    Raises:
        TlvError: `gate-invalid` or `gate-unknown`.
    """
    gates = tuple(_read(text) for text in config.gate)
    if config.min_accuracy is None:
        return gates
    return (Condition(f"--min-accuracy {config.min_accuracy:g}", "top1", ">=", config.min_accuracy), *gates)


def _read(text: str) -> Condition:
    form = _FORM.fullmatch(text)
    limit = read_number(form[3]) if form else None
    if form is None or limit is None:
        raise TlvError(
            "gate-invalid",
            f"--gate {text} is no condition",
            "write it in quotes, as in --gate 'per-class-recall>=0.5' or 'top1>=90%'; the signs are >= <= > <",
        )
    word = form[1].lower().replace("_", "-").replace(" ", "-")
    metric = _OTHER_NAMES.get(word, word)
    if metric not in METRICS:
        raise TlvError("gate-unknown", f"--gate {text}: no figure is called {form[1]}", did_you_mean(word, METRICS))
    in_percent = form[3].endswith("%")
    if in_percent and metric not in _SHARES:
        raise TlvError("gate-invalid", f"--gate {text}: {metric} is no share", "leave out the per cent sign")
    if not in_percent and metric in _SHARES and limit > 1:
        raise TlvError(
            "gate-invalid",
            f"--gate {text}: {metric} is a share, from 0 to 1",
            f"for per cent write --gate '{form[1]}{form[2]}{form[3]}%'",
        )
    return Condition(f"--gate {text}", metric, form[2], limit, in_percent)


def refuse_undefined(conditions: Sequence[Condition], num_classes: int) -> None:
    """Raise `gate-undefined` where the network has too few classes for a figure."""
    for condition in conditions:
        if condition.metric == "top5" and num_classes < 6:
            raise TlvError(
                "gate-undefined",
                f"{condition.flag}: with {num_classes} classes the right one is among any five",
                "leave it out, or set a gate on top1",
            )


def judge(conditions: Sequence[Condition], result: EvalResult) -> list[Gate]:
    """Return what became of every condition; those of a class look at the classes that have images."""
    return [_judge(condition, result) for condition in conditions]


def _judge(condition: Condition, result: EvalResult) -> Gate:
    if condition.metric in _FIGURES:
        value = _FIGURES[condition.metric](result)
        assert value is not None
        written = condition.write(value, 6)
        if condition.metric in _SHARES and not condition.in_percent:
            written += f" ({value:.2%})"
        return Gate(flag=condition.flag, met=condition.holds(value), message=f"{condition.metric} is {written}")
    values = [(_BY_CLASS[condition.metric](row), row.name) for row in result.classes if row.images]
    failed = sorted(pair for pair in values if not condition.holds(pair[0]))
    if not failed:
        return Gate(flag=condition.flag, met=True, message=f"it holds for all {len(values)} classes")
    if condition.sign in ("<", "<="):
        failed.reverse()
    named = ", ".join(f"{name} {condition.write(value, 4)}" for value, name in failed[:_SHOWN_CLASSES])
    more = len(failed) - _SHOWN_CLASSES
    return Gate(
        flag=condition.flag,
        met=False,
        message=f"not for {len(failed)} of {len(values)} classes: {named}{f' and {more} more' if more > 0 else ''}",
    )
