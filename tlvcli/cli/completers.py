"""What a shell may put behind what is typed: names from our own tables, without torch.

Where these return nothing, the shell offers files. A shell that finds one answer alone puts a space behind it; what is
to be typed on comes in two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

Completer = Callable[[str], list[str]]

TIMM = "timm:"


def one_of(*words: str) -> Completer:
    """Return what completes one of these words."""

    def complete(incomplete: str) -> list[str]:
        return beginning(words, incomplete)

    return complete


def beginning(words: Iterable[str], incomplete: str) -> list[str]:
    """Return the words that begin so."""
    return [word for word in words if word.startswith(incomplete)]


def going_on(words: Iterable[str], incomplete: str) -> list[str]:
    """Return the lists, joined by commas, that go on from what is typed; no word comes twice."""
    before, comma, begun = incomplete.rpartition(",")
    free = (word for word in words if word not in before.split(","))
    return [f"{before}{comma}{word}" for word in beginning(free, begun)]


def complete_architecture(incomplete: str) -> list[str]:
    """Return the architecture names that begin so, from the shipped index; timm's once `timm:` is typed."""
    # Only where the shell asks: other commands need not read it.
    from tlvcli.models.recognition.index import known_names

    if incomplete.startswith(TIMM):
        return sorted(beginning(known_names("timm"), incomplete))
    return sorted(beginning(known_names("torchvision"), incomplete))


def complete_checkpoint(incomplete: str) -> list[str]:
    """Return `ARCH@WEIGHTS` that begin so, unless a file does."""
    name, at, _ = incomplete.rpartition("@")
    if at:
        return beginning((f"{name}@DEFAULT", f"{name}@random"), incomplete)
    if not incomplete or "/" in incomplete or any(beginning((path.name for path in Path().iterdir()), incomplete)):
        return []
    found = complete_architecture(incomplete)
    return complete_checkpoint(f"{found[0]}@") if len(found) == 1 else [f"{name}@" for name in found]


def complete_data(incomplete: str) -> list[str]:
    """Return the data sets, folders and splits that begin so."""
    from tlvcli.data.reference import DIGITS, SPLITS
    from tlvcli.data.torchvision_sets import TORCHVISION_SETS

    if "/" in incomplete.rpartition("@")[2]:
        return []
    data, at, split = incomplete.rpartition("@")
    if at:
        return [f"{data}@{word}" for word in beginning(SPLITS, split)]
    words = [DIGITS, *(f"{name}:" for name in TORCHVISION_SETS)]
    folders = (path.name for path in Path().iterdir() if path.is_dir() and not path.name.startswith("."))
    found = [*beginning(words, incomplete), *sorted(beginning(folders, incomplete))]
    if len(found) == 1 and found[0].endswith(":"):
        return [f"{found[0]}./", f"{found[0]}/"]
    return found


def complete_method(incomplete: str) -> list[str]:
    """Return the transfer methods that begin so."""
    from tlvcli.methods.table import TRANSFER_METHODS

    return beginning((method.name for method in TRANSFER_METHODS), incomplete)


def complete_methods(incomplete: str) -> list[str]:
    """Return the lists of transfer methods that go on so, each with steps behind a +."""
    from tlvcli.methods.table import TRANSFER_METHODS
    from tlvcli.pipelines.comparing.starts import STEPS

    start, plus, _ = incomplete.rpartition(",")[2].rpartition("+")
    if plus:
        return going_on((f"{start}+{step}" for step in STEPS if step not in start.split("+")), incomplete)
    return going_on((method.name for method in TRANSFER_METHODS), incomplete)


def complete_strategy(incomplete: str) -> list[str]:
    """Return the fine-tuning strategies that begin so."""
    from tlvcli.methods.finetuning.table import STRATEGIES

    return beginning((strategy.name for strategy in STRATEGIES), incomplete)


def complete_strategies(incomplete: str) -> list[str]:
    """Return the lists of fine-tuning strategies that go on so."""
    from tlvcli.methods.finetuning.table import STRATEGIES

    return going_on((strategy.name for strategy in STRATEGIES), incomplete)


def complete_statistics(incomplete: str) -> list[str]:
    """Return the lists of statistics that go on so."""
    from tlvcli.methods.statistics.table import STATISTICS

    return going_on((statistic.name for statistic in STATISTICS), incomplete)


def complete_scores(incomplete: str) -> list[str]:
    """Return the lists of transferability scores that go on so."""
    from tlvcli.methods.scores.table import SCORES

    return going_on((score.name for score in SCORES), incomplete)


def complete_recipe(incomplete: str) -> list[str]:
    """Return the recipes that begin so."""
    from tlvcli.pipelines.training.recipe import RECIPES

    return beginning(RECIPES, incomplete)
