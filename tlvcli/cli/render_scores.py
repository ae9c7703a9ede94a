"""What `tlv analyze-stats --score` shows: for each score the checkpoints, the best one first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlvcli.cli.console import size, write_columns, write_fact, write_sentence
from tlvcli.core.wording import counted
from tlvcli.methods.scores.table import find_score
from tlvcli.pipelines.analysis.scores_result import ScoredCheckpoint, ScoresSection

if TYPE_CHECKING:
    from rich.console import Console


def render_scores(section: ScoresSection, console: Console, *, verbose: bool = False) -> None:
    """Draw the rankings; `verbose` adds what each score is, and where the features come from."""
    images, classes = counted(section.images, "image"), counted(section.classes, "class", "classes")
    write_sentence(console, f"{images} of {classes} ({section.split}); larger scores are better")
    ranked = [
        (name, one)
        for name in section.scores
        for one in sorted(section.checkpoints, key=lambda one, name=name: one.ranks[name])  # type: ignore[misc]
    ]
    head = ("checkpoint", "architecture", "score", "value", "rank")
    rows = [head, *(_row(name, one) for name, one in ranked)]
    columns = range(len(head) if len(section.checkpoints) > 1 else len(head) - 1)
    best = [number for number, (name, one) in enumerate(ranked, 1) if one.ranks[name] == 1]
    write_columns(
        console,
        [[row[column] for column in columns] for row in rows],
        right=(3, 4),
        cut=0,
        bold=(0, *(best if len(section.checkpoints) > 1 else ())),
    )
    if len(section.checkpoints) > 1:
        write_fact(console, "first", _winners(section))
    if verbose:
        for name in section.scores:
            score = find_score(name)
            write_fact(console, "score", f"{name}: {score.summary} ({score.reference})")
        for one in section.checkpoints:
            place = f"before {one.features_before}" if one.features_before else "the outputs"
            text = (
                f"{one.dimensions} features ({place}), {size(one.bytes)} in memory, {one.preprocessing.image_size} px"
            )
            write_fact(console, "features", f"{one.checkpoint}: {text}")


def _row(name: str, one: ScoredCheckpoint) -> tuple[str, ...]:
    return one.checkpoint, one.architecture.name, name, f"{one.scores[name]:.4g}", str(one.ranks[name])


def _winners(section: ScoresSection) -> str:
    """Say how often each checkpoint that is ever first is it, the most frequent one first."""
    wins = {one.checkpoint: sum(rank == 1 for rank in one.ranks.values()) for one in section.checkpoints}
    ordered = sorted(((number, checkpoint) for checkpoint, number in wins.items() if number), key=lambda win: -win[0])
    scores = "scores" if len(section.scores) > 1 else "score"
    return "; ".join(f"{checkpoint} in {number} of {len(section.scores)} {scores}" for number, checkpoint in ordered)
