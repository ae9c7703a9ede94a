"""The classes on the page of an evaluation: a bar for each, and which are taken for which."""

from __future__ import annotations

from collections.abc import Sequence

from tlvcli.core.wording import counted
from tlvcli.methods.metrics.intervals import wilson_interval
from tlvcli.pages.class_bars import ClassShares
from tlvcli.pages.confusion_chart import Confusion
from tlvcli.pages.evaluation_values import ClassView, PairView
from tlvcli.pipelines.evaluating.result import ClassMeasures, ConfusedPair, EvalResult

# Classes without images get columns of their own while there are so few; the rest share one.
_MOST_FOREIGN = 20
_FOREIGN_NAMED = 3


def show_classes(result: EvalResult) -> list[ClassView]:
    """Return the classes that have images, the one found least first."""
    places = sorted(_with_images(result), key=lambda place: (result.classes[place].recall or 0.0, place))
    return [_show_class(result, place) for place in places]


def show_confusion(result: EvalResult) -> Confusion | None:
    """Return the matrix with a row for each class that has images; None where the report has none."""
    if result.confusion is None:
        return None
    rows, foreign = _with_images(result), _foreign(result)
    apart = foreign if len(foreign) <= _MOST_FOREIGN else foreign[: _MOST_FOREIGN - 1]
    together = foreign[len(apart) :]
    names = [result.classes[place].name for place in (*rows, *apart)]
    counts = [[result.confusion[row][column] for column in (*rows, *apart)] for row in rows]
    if together:
        names.append(f"{len(together)} others")
        for line, row in zip(counts, rows, strict=True):
            line.append(sum(result.confusion[row][column] for column in together))
    return Confusion(names[: len(rows)], names, counts)


def show_foreign(result: EvalResult) -> str | None:
    """Say what is answered that the data have no image of; None where nothing is."""
    foreign = [result.classes[place] for place in _foreign(result)]
    if not foreign:
        return None
    images = sum(each.predicted for each in foreign)
    most = ", ".join(f"{each.name} ({each.predicted})" for each in foreign[:_FOREIGN_NAMED])
    taken = f"{counted(images, 'image')} {'is' if images == 1 else 'are'} taken for"
    if len(foreign) == 1:
        return f"{taken} a class that the data do not have: {most}."
    return f"{taken} {len(foreign)} classes that the data do not have, most for {most}."


def show_pairs(result: EvalResult) -> list[PairView]:
    """Return the most frequent confusions, each with how often it happens the other way round."""
    places = {each.name: place for place, each in enumerate(result.classes)}

    def count_back(pair: ConfusedPair) -> int | None:
        place = places[pair.predicted]
        if result.confusion is None or not result.classes[place].images:
            return None
        return result.confusion[place][places[pair.true]]

    return [
        PairView(
            true=pair.true,
            predicted=pair.predicted,
            images=pair.images,
            share=pair.share,
            back=count_back(pair),
        )
        for pair in result.confused
    ]


def _show_class(result: EvalResult, place: int) -> ClassView:
    each = result.classes[place]
    interval = wilson_interval(each.found, each.images)
    return ClassView(
        name=each.name,
        images=each.images,
        shares=ClassShares(each.recall, interval, each.precision, each.f1),
        mostly=_say_mostly(each, result.classes, result.confusion[place], place) if result.confusion else "",
    )


def _say_mostly(each: ClassMeasures, classes: Sequence[ClassMeasures], counts: Sequence[int], place: int) -> str:
    others = [(count, -column) for column, count in enumerate(counts) if column != place and count > 0]
    if not others:
        return ""
    count, column = max(others)
    return f"{classes[-column].name}, {count / each.images:.1%}"


def _with_images(result: EvalResult) -> list[int]:
    return [place for place, each in enumerate(result.classes) if each.images > 0]


def _foreign(result: EvalResult) -> list[int]:
    """Return the places of the classes that are answered but have no image, the most answered first."""
    places = [place for place, each in enumerate(result.classes) if each.images == 0]
    return sorted(places, key=lambda place: (-result.classes[place].predicted, place))
