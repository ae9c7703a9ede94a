"""The page of `tlv eval` as one file of HTML."""

from __future__ import annotations

from tlvcli.pages.class_bars import class_bar, difference_bar, recall_histogram
from tlvcli.pages.confusion_chart import LEAST_PICTURED, confusion_chart, confusion_picture
from tlvcli.pages.environment import page_environment
from tlvcli.pages.evaluation_values import EvaluationPage
from tlvcli.pages.reliability_chart import reliability_chart

# Where there are more classes than `_ALL_SHOWN`, so many of the worst are shown and the rest is folded.
_ALL_SHOWN, _WORST_SHOWN = 40, 30
# Where the matrix has figures, they tell the rarer confusions.
_FEW_PAIRS, _MANY_PAIRS = 12, 20


def render_evaluation_page(page: EvaluationPage) -> str:
    """Return the page of a checkpoint on labelled images; the same values give the same bytes."""
    num_shown = len(page.classes) if len(page.classes) <= _ALL_SHOWN else _WORST_SHOWN
    is_pictured = page.confusion is not None and len(page.confusion.rows) >= LEAST_PICTURED
    return (
        page_environment()
        .get_template("evaluation.html")
        .render(
            page=page,
            shown=page.classes[:num_shown],
            folded=page.classes[num_shown:],
            recalls=[each.shares.recall for each in page.classes],
            confusion_chart=confusion_picture if is_pictured else confusion_chart,
            is_pictured=is_pictured,
            num_pairs=_FEW_PAIRS if page.confusion and not is_pictured else _MANY_PAIRS,
            class_bar=class_bar,
            difference_bar=difference_bar,
            recall_histogram=recall_histogram,
            reliability_chart=reliability_chart,
        )
    )
