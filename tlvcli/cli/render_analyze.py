"""What `tlv analyze-stats` shows: the answer to the question that was asked, and the files."""

from __future__ import annotations

from typing import Literal

from tlvcli.cli.console import results, safe
from tlvcli.cli.render_scores import render_scores
from tlvcli.cli.render_shift import render_shift
from tlvcli.cli.render_similarity import render_similarity
from tlvcli.cli.render_weights import render_weights
from tlvcli.core.report import Report
from tlvcli.pipelines.analyze_stats import AnalyzeStatsResult

Sort = Literal["layer", "shift", "name"]


def render(report: Report[AnalyzeStatsResult], *, sort: Sort, verbose: bool) -> None:
    """Draw the one section that the report has; `sort` is the order of the layers of a shift."""
    console, result = results(), report.result
    if result.shift:
        render_shift(result.shift, console, sort=sort, verbose=verbose)
    if result.similarity:
        render_similarity(result.similarity, console, verbose=verbose)
    if result.scores:
        render_scores(result.scores, console, verbose=verbose)
    if result.weights:
        render_weights(result.weights, console, verbose=verbose)
    for output in report.outputs:
        console.print(f"wrote {safe(output.path)}  sha256 {output.sha256[:12]}", soft_wrap=True)
