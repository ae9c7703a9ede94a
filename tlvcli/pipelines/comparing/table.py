"""The table of a comparison as words: for the screen, for Markdown, for the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tlvcli.pipelines.comparing.result import CompareResult, Spread, VariantResult
from tlvcli.pipelines.comparing.significance import Difference, interval_reach

NONE = "–"
# Two differences that lie close by luck would make a small p of nothing: their spread has one degree of freedom.
_LEAST_SEEDS_OF_P = 3
# From here on the spread that is seen is near enough to the true one.
_SEEDS_ENOUGH = 5
_CHANCE = 0.05


@dataclass(frozen=True)
class Table:
    """Cells of text, the head first; `numbers` are the columns that are figures."""

    rows: list[list[str]]
    numbers: tuple[int, ...]

    def to_markdown(self) -> str:
        """Return a table for a pull request."""
        head, *body = [[cell.replace("|", "\\|") for cell in row] for row in self.rows]
        rule = ["---:" if column in self.numbers else "---" for column in range(len(head))]
        return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *body)) + "\n"


def short_names(variants: Sequence[VariantResult]) -> dict[str, str]:
    """Return by name what tells the variants apart: source, method and strategy as far as they differ."""
    words = {variant.name: _words(variant) for variant in variants}
    told = [place for place in range(3) if len({several[place] for several in words.values()}) > 1]
    return {
        name: "/".join(several[place] for place in told if several[place]) if told else name
        for name, several in words.items()
    }


def make_table(result: CompareResult, *, brief: bool = False) -> Table:
    """Return a row for each variant; columns that would say the same of all, or nothing, are left out.

    A `brief` one has no intervals and short heads, so that a terminal has room for it.
    """
    variants = result.variants
    columns: list[tuple[str, list[str], bool]] = []

    def add(head: str, short: str, cells: Sequence[str], *, is_number: bool = True) -> None:
        if any(cell != NONE for cell in cells):
            columns.append((short if brief else head, list(cells), is_number))

    words = [_words(variant) for variant in variants]
    told = [place for place in range(3) if len({several[place] for several in words}) > 1] or [1 if words[0][1] else 0]
    for place in told:
        head = ("source", "method", "strategy")[place]
        add(head, head, [several[place] or NONE for several in words], is_number=False)
    settings = [settings_text(variant.settings) or NONE for variant in variants]
    add("chosen settings", "settings", settings, is_number=False)
    add("val top-1", "val %", [_figure(variant.val, brief=brief) for variant in variants])
    add("test top-1", "test %", [_figure(variant.test, brief=brief) for variant in variants])
    if any(len(variant.points) > 1 for variant in variants):
        add("test, defaults", "default %", [_figure(variant.default_test, brief=brief) for variant in variants])
    add("difference", "points", [difference_text(variant, brief=brief) for variant in variants])
    add("p", "p", [p_text(variant) for variant in variants])
    if len(variants) > 1 and result.baseline_final is not None:
        reached = [NONE if v.epochs_to_baseline is None else str(v.epochs_to_baseline) for v in variants]
        add(f"epochs to {result.baseline_final:.2%}", "epochs", reached)
    seeds = [len(variant.val.seeds) if variant.val else 0 for variant in variants]
    if len(set(seeds)) > 1:
        add("seeds", "seeds", [str(num) for num in seeds])
    rows = [[head for head, _, _ in columns], *map(list, zip(*(cells for _, cells, _ in columns), strict=True))]
    return Table(rows, tuple(place for place, (_, _, is_number) in enumerate(columns) if is_number))


def _words(variant: VariantResult) -> tuple[str, str, str]:
    label = variant.name.removesuffix(f"/{variant.strategy}")
    return label.removesuffix(f"/{variant.method}") if variant.method else label, variant.method or "", variant.strategy


def _figure(spread: Spread | None, *, brief: bool) -> str:
    text = spread_text(spread)
    return text.removesuffix(" %").replace("± ", "±") if brief else text


def spread_text(spread: Spread | None) -> str:
    """Return `91.23 ± 0.12 %`, without a spread for one seed."""
    if spread is None:
        return NONE
    return f"{100 * spread.mean:.2f}" + ("" if spread.spread is None else f" ± {100 * spread.spread:.2f}") + " %"


def difference_text(variant: VariantResult, *, brief: bool = False) -> str:
    """Return the difference to the baseline in points: `+1.20 (+0.40 to +2.00)`; a brief one has no interval."""
    if variant.is_baseline:
        return "baseline"
    difference = variant.difference
    if difference is None:
        return NONE
    text = f"{100 * difference.mean:+.2f}"
    if brief or difference.low is None or difference.high is None:
        return text
    return f"{text} ({100 * difference.low:+.2f} to {100 * difference.high:+.2f})"


def p_text(variant: VariantResult) -> str:
    """Return the adjusted p-value, from three seeds on."""
    p = variant.difference.p_holm if variant.difference and _has_p(variant.difference) else None
    return NONE if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def settings_text(settings: dict[str, object]) -> str:
    """Return settings with the last part of their keys."""
    return ", ".join(f"{key.rpartition('.')[2]} {_text(value)}" for key, value in settings.items())


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def notes(result: CompareResult, *, brief: bool = False) -> list[str]:
    """Return the sentences that say how the table, or a `brief` one without intervals, is to be read."""
    tested = any(variant.test for variant in result.variants)
    several = any(len(variant.val.seeds) > 1 for variant in result.variants if variant.val)
    said = ["Top-1 of the epoch that is best on val" + (", mean ± standard deviation over seeds." if several else ".")]
    if any(len(variant.points) > 1 for variant in result.variants):
        said.append("Settings are chosen by the mean on val" + (", and only then tested." if tested else "."))
    baseline = short_names(result.variants)[result.baseline]
    if len(result.variants) > 1:
        differences = [variant.difference for variant in result.variants if variant.difference]
        said.append(f"Differences of {result.compared_by} top-1 to {baseline} in points{_tested(differences, brief)}.")
        said += _cautions(result, differences, baseline)
    if len(result.variants) > 1 and result.baseline_final is not None:
        said.append(
            f"Epochs until the mean on val is {result.baseline_final:.2%}, that of {baseline} after its last epoch."
        )
    return said


def _has_p(difference: Difference) -> bool:
    return difference.p is not None and difference.seeds >= _LEAST_SEEDS_OF_P


def _tested(differences: Sequence[Difference], brief: bool) -> str:
    if not any(difference.p is not None for difference in differences):
        several = any(difference.seeds > 1 for difference in differences)
        return f"; not tested: {'they are the same for all seeds' if several else 'one seed shows no spread'}"
    intervals = "; 95 % intervals are in compare.md" if brief else ", with the 95 % interval of each by itself"
    if not any(map(_has_p, differences)):
        return f"{intervals}; no p: two seeds are too few for a test"
    return f"{intervals}; p: t-test paired over seeds, adjusted by Holm for all rows"


def _cautions(result: CompareResult, differences: Sequence[Difference], baseline: str) -> list[str]:
    """Return what keeps a reader from taking chance for a gain, or no proof of one for a proof of none."""
    tested = [difference.seeds for difference in differences if difference.low is not None]
    if not tested:
        return []
    said = []
    if min(tested) < _SEEDS_ENOUGH:
        said.append(
            f"With {min(tested)} seeds a difference is told from chance only beyond {interval_reach(min(tested)):.1f} "
            "times its standard deviation over them; one that is not may still be there."
        )
    said.append("All this is for other seeds on the same images, not for other images.")
    best = next((variant for variant in result.variants if variant.name == result.winner), None)
    if best and best.difference and (best.difference.p_holm or 0.0) >= _CHANCE:
        said.append(f"That {short_names(result.variants)[best.name]} differs from {baseline} at all may be chance.")
    return said
