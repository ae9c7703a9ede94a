"""Other checkpoints on the page of an evaluation: the table, and the classes that they change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath

from tlvcli.pages.evaluation_values import ClassDifference, RivalClasses, RivalView
from tlvcli.pages.svg import figure_text
from tlvcli.pipelines.evaluating.result import Difference, EvalResult, Measures

_MOST_CLASSES = 20
# Nobody believes a probability below this, whatever the binomial distribution says.
_LEAST_P = 1e-9


def name_apart(references: Sequence[str]) -> list[str]:
    """Return the shortest ends of the paths that tell the checkpoints apart, or the whole where the paths are one."""
    parts = [PurePath(reference).parts for reference in references]
    names = [each[-1] for each in parts]
    for length in range(2, max(map(len, parts)) + 1):
        if len(set(names)) == len(names):
            break
        names = [str(PurePath(*each[-length:])) for each in parts]
    return names


def show_rivals(result: EvalResult, names: Sequence[str]) -> list[RivalView]:
    """Return a row for the checkpoint and one for each that it was held against; nothing where there is none."""
    if not result.against:
        return []
    rows = [_row(names[0], result, None)]
    pairs = zip(names[1:], result.against, strict=True)
    return [*rows, *(_row(name, rival.measures, rival.difference) for name, rival in pairs)]


def show_rival_classes(result: EvalResult, names: Sequence[str]) -> list[RivalClasses]:
    """Return for each rival the classes whose recall it changes, at most 20 of the largest changes."""
    return [_classes(name, result, rival.measures) for name, rival in zip(names[1:], result.against, strict=True)]


def _row(name: str, measures: Measures, difference: Difference | None) -> RivalView:
    interval = measures.top1_interval
    row = RivalView(
        name=name,
        top1=f"{measures.top1:.2%}",
        interval=f"{interval.low:.2%} to {interval.high:.2%}",
        macro_f1=f"{measures.macro.f1:.2%}",
        loss=f"{measures.loss:.4f}",
    )
    if difference is None:
        return row
    ends = difference.interval
    return replace(
        row,
        difference=f"{100 * difference.top1:+.2f}",
        difference_interval=f"{100 * ends.low:+.2f} to {100 * ends.high:+.2f}",
        only_first=difference.only_first,
        only_this=difference.only_other,
        p_value=f"< {_LEAST_P:g}" if difference.p_value < _LEAST_P else figure_text(difference.p_value),
    )


def _classes(name: str, first: Measures, other: Measures) -> RivalClasses:
    """Match by name: the two heads may have their outputs in another order."""
    recalls = {each.name: each.recall for each in other.classes}
    both = [
        ClassDifference(each.name, each.images, each.recall, recall)
        for each in first.classes
        if each.recall is not None and (recall := recalls.get(each.name)) is not None
    ]
    changed = sorted((each for each in both if each.change != 0), key=lambda each: -abs(each.change))
    shown = sorted(changed[:_MOST_CLASSES], key=lambda each: each.change)
    return RivalClasses(name, shown, len(both))
