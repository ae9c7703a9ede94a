"""What `tlv analyze-stats --score` found: how well each checkpoint suits labelled data, before any training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isclose

from pydantic import Field

from tlvcli.core.provenance import Architecture, Preprocessing
from tlvcli.core.report import ReportPart


class ScoredCheckpoint(ReportPart):
    """One checkpoint; scores and ranks are by the name of the score."""

    checkpoint: str
    architecture: Architecture
    preprocessing: Preprocessing
    features_before: str | None = Field(
        description="the layer whose pooled input the features are; null where the network's outputs are"
    )
    dimensions: int = Field(description="of the features of one image")
    bytes: int = Field(description="of the features of all images, which are in memory at once")
    scores: dict[str, float] = Field(description="larger is better; for one score only, and on the same images")
    ranks: dict[str, int] = Field(description="1 for the best; scores equal to nine digits share a rank")


class ScoresSection(ReportPart):
    """Scores of one or more checkpoints on the same labelled images."""

    split: str
    images: int
    classes: int
    scores: list[str] = Field(description="in the order in which they were asked for")
    checkpoints: list[ScoredCheckpoint] = Field(description="in the order of the command line")


def rank(values: Sequence[float]) -> list[int]:
    """Return 1 for the largest value, and for each other one more than there are larger ones; rounding is no lead."""
    return [1 + sum(other > value and not isclose(other, value) for other in values) for value in values]


def ranks_of(scores: Sequence[Mapping[str, float]]) -> list[dict[str, int]]:
    """Return the ranks of each checkpoint from the scores of each; all have the same names."""
    by_name = {name: rank([one[name] for one in scores]) for name in scores[0]}
    return [{name: ranks[place] for name, ranks in by_name.items()} for place in range(len(scores))]
