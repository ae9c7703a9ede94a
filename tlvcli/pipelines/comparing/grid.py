"""The grid: which start, trained how, from which seed; every cell a value of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from tlvcli.core.errors import TlvError, did_you_mean
from tlvcli.methods.finetuning.table import STRATEGIES
from tlvcli.methods.recipe import mapping_options
from tlvcli.methods.table import MAPPINGS, MATCHINGS, TransferMethod
from tlvcli.pipelines.comparing.config import DEFAULT_METHODS, CompareConfig
from tlvcli.pipelines.comparing.starts import STEPS, Start, parse_start


@dataclass(frozen=True)
class Point:
    """Values of grid keys, as `(("train.lr", 0.01),)`; empty where nothing is searched."""

    settings: tuple[tuple[str, Any], ...] = ()

    @property
    def text(self) -> str:
        """The values with the last part of their keys, as `lr=0.01,mixup=0.2`; empty for the empty point."""
        return ",".join(f"{key.rpartition('.')[2]}={_write(value)}" for key, value in self.settings)


@dataclass(frozen=True)
class Variant:
    """What is compared: a source, how it starts the target, and how that is fine-tuned.

    `label` is the source's short name; `start` is None where the source itself is fine-tuned.
    """

    source: str
    label: str
    start: Start | None
    strategy: str

    @property
    def method(self) -> str | None:
        """The start in words, as --methods takes it."""
        return self.start.text if self.start else None

    @property
    def words(self) -> tuple[str, ...]:
        """The parts of the name."""
        return tuple(filter(None, (self.label, self.method, self.strategy)))

    @property
    def name(self) -> str:
        """The parts joined by /, as --baseline takes them."""
        return "/".join(self.words)


@dataclass(frozen=True)
class Cell:
    """One run: a variant with the settings of a grid point, from one seed."""

    variant: Variant
    point: Point
    seed: int

    @property
    def name(self) -> str:
        """What it is called on the screen."""
        return self.named(self.variant.name)

    def named(self, variant: str) -> str:
        """Return the name under another one of its variant."""
        return " ".join(filter(None, (variant, self.point.text, f"seed {self.seed}")))


@dataclass(frozen=True)
class Grid:
    """All variants, the points that each is run with (the default first), and the seeds."""

    variants: tuple[Variant, ...]
    points: dict[Variant, tuple[Point, ...]]
    seeds: tuple[int, ...]
    baseline: Variant

    def cells_of(self, variant: Variant, points: Iterable[Point] | None = None) -> list[Cell]:
        """Return the cells of a variant, point by point."""
        chosen = self.points[variant] if points is None else points
        return [Cell(variant, point, seed) for point in chosen for seed in self.seeds]

    @property
    def cells(self) -> list[Cell]:
        """All cells, variant by variant."""
        return [cell for variant in self.variants for cell in self.cells_of(variant)]


def make_grid(config: CompareConfig) -> Grid:
    """Return the grid that the settings span; a key that a method or strategy does not take leaves it one value.

    A method that transfers nothing is run once, whatever the number of sources.

    Raises:
        TlvError: `grid-key-not-taken` or `baseline-unknown`.
    """
    labels = source_labels(config.source)
    starts = dict.fromkeys(map(parse_start, config.methods or DEFAULT_METHODS)) if config.target_arch else (None,)
    variants = tuple(
        Variant(source, labels[source], start, strategy)
        for source, start, strategy in product(config.source, starts, config.strategies)
        if source == config.source[0] or start is None or start.reads_source
    )
    points = {variant: _points(config, variant) for variant in variants}
    taken = {key for several in points.values() for point in several for key, _ in point.settings}
    for key in config.grid:
        if key not in taken:
            raise _not_taken(config, key)
    return Grid(variants, points, tuple(config.all_seeds), _find_baseline(variants, config.baseline))


def short_cell_names(grid: Grid) -> dict[Cell, str]:
    """Return the names of the cells without the words that all variants have in common."""
    words = {variant: variant.words for variant in grid.variants}
    told = [place for place, several in enumerate(zip(*words.values(), strict=True)) if len(set(several)) > 1]
    return {cell: cell.named("/".join(words[cell.variant][place] for place in told)) for cell in grid.cells}


def source_labels(sources: Sequence[str]) -> dict[str, str]:
    """Return a short name for each source: a file's without folders and suffix, with a number where it is taken."""
    labels: dict[str, str] = {}
    for source in sources:
        is_file = "@" not in source or Path(source).exists()
        # Of FILE.py:callable@random, the callable.
        short = Path(source).stem if is_file else Path(source).name.rpartition(".py:")[2]
        same = sum(label.partition("~")[0] == short for label in labels.values())
        labels[source] = f"{short}~{same + 1}" if same else short
    return labels


def _points(config: CompareConfig, variant: Variant) -> tuple[Point, ...]:
    axes = [(key, values) for key, values in config.grid.items() if _takes(config, variant, key)]
    names = [key for key, _ in axes]
    return tuple(Point(tuple(zip(names, values, strict=True))) for values in product(*(values for _, values in axes)))


def _takes(config: CompareConfig, variant: Variant, key: str) -> bool:
    command, _, name = key.partition(".")
    if command == "train":
        takers = _strategies_with(name)
        return not takers or variant.strategy in takers
    if variant.start is None:
        return False
    family, _, choice = name.partition(".")
    if family in STEPS and choice:
        return family in variant.start.steps or family in config.transfer or f"transfer.{family}" in config.grid
    if family not in ("matching", "mapping"):
        return True
    return choice in _choices(config, variant.start.method, family)


def _strategies_with(key: str) -> list[str]:
    """Return the strategies that have a choice of this name; none where it is a setting of all trainings."""
    return [entry.name for entry in STRATEGIES if key in entry.load_options().model_fields]


def _choices(config: CompareConfig, method: TransferMethod, family: str) -> set[str]:
    """Return what can be chosen of a method's matching or mapping."""
    if not (method.matching and method.mapping):
        return set(method.load_options().model_fields) if family == "mapping" else set()
    own = method.mapping if family == "mapping" else method.matching
    fixed = config.transfer.get(family, {})
    named = config.grid.get(f"transfer.{family}.method", (fixed.get("method", own),))
    parts = [part for part in (MAPPINGS if family == "mapping" else MATCHINGS) if part.name in named]
    options = [mapping_options(method, part) if family == "mapping" else part.load_options() for part in parts]
    return {"method"}.union(*(option.model_fields for option in options))


def _not_taken(config: CompareConfig, key: str) -> TlvError:
    command, _, name = key.partition(".")
    if command == "train":
        takers = _strategies_with(name)
        who, flag = f"no strategy of {', '.join(config.strategies)}", "--strategies"
        hint = f"leave it out, or take {' or '.join(takers)} among {flag}"
    else:
        who = f"no method of {', '.join(config.methods or DEFAULT_METHODS)}" if config.target_arch else "no cell"
        hint = "leave it out, or take a method that has it; docs/config.md lists the choices of each"
    return TlvError("grid-key-not-taken", f"--grid {name}: {who} takes it", hint)


def _find_baseline(variants: Sequence[Variant], asked: str | None) -> Variant:
    """Return the first variant, or the first one that has all the words that were asked for."""
    if asked is None:
        return variants[0]
    wanted = asked.split("/")
    # A word of an architecture's name may hold a slash of its own: compare whole names, too.
    for variant in variants:
        if asked == variant.name or set(wanted) <= set(variant.words):
            return variant
    raise TlvError(
        "baseline-unknown",
        f"--baseline {asked}: no row of the comparison is that",
        did_you_mean(asked, [*(variant.name for variant in variants), *{w for v in variants for w in v.words}]),
    )


def _write(value: Any) -> str:
    return ",".join(map(_write, value)) if isinstance(value, (list, tuple)) else str(value)
