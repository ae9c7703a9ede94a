"""What a network's activations, or its weights alone, say of data and of other networks."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import Field

from tlvcli import __version__
from tlvcli.core.errors import TlvError
from tlvcli.core.processes import find_processes
from tlvcli.core.report import Report, ReportPart
from tlvcli.core.runtime import Stopwatch
from tlvcli.pipelines.analysis.config import AnalyzeStatsConfig, Mode
from tlvcli.pipelines.analysis.first_look import look_first
from tlvcli.pipelines.analysis.outcome import Outcome
from tlvcli.pipelines.analysis.result import ShiftSection
from tlvcli.pipelines.analysis.scores_result import ScoresSection
from tlvcli.pipelines.analysis.similarity_result import SimilaritySection
from tlvcli.pipelines.analysis.weights_result import WeightsSection
from tlvcli.pipelines.progress import Progress, Silence

SCHEMA = "tlv.analyze-stats/1"


class AnalyzeStatsResult(ReportPart):
    """The answer to the one question that was asked; the other sections are null."""

    mode: Mode = Field(description="which section holds the answer")
    shift: ShiftSection | None = Field(default=None, description="two sets of images through one network")
    similarity: SimilaritySection | None = Field(default=None, description="one set of images through two networks")
    scores: ScoresSection | None = Field(default=None, description="checkpoints ranked for a labelled set of images")
    weights: WeightsSection | None = Field(default=None, description="the weights of a checkpoint alone")


def run(config: AnalyzeStatsConfig, *, progress: Progress | None = None) -> Report[AnalyzeStatsResult]:
    """Answer the question that the settings ask.

    Raises:
        TlvError: whatever is wrong with the checkpoints, the data, the layers or the outputs.
    """
    watch = Stopwatch()
    if config.mode in ("scores", "weights") and find_processes().several:
        raise TlvError(
            "processes-unsupported",
            f"several processes share the images that a shift or a similarity is about, not what {config.mode} asks",
            "run it without torchrun",
        )
    look_first(config)
    outcome = _answer(config, progress or Silence())
    return Report[AnalyzeStatsResult](
        schema_id=SCHEMA,
        tlv_version=__version__,
        run=watch.run_info(outcome.device),
        inputs=list(outcome.inputs),
        config=config.model_dump(),
        result=AnalyzeStatsResult.model_validate({"mode": config.mode, config.mode: outcome.section}),
        outputs=list(outcome.outputs),
        warnings=list(outcome.warnings),
        gates=list(outcome.gates),
    )


def _answer(config: AnalyzeStatsConfig, progress: Progress) -> Outcome[ReportPart]:
    # Each question loads what it needs alone: weights are described without building a network.
    answer: Callable[[AnalyzeStatsConfig, Progress], Outcome[ReportPart]]
    match config.mode:
        case "shift":
            from tlvcli.pipelines.analysis.shift import run_shift as answer
        case "similarity":
            from tlvcli.pipelines.analysis.similarity import run_similarity as answer
        case "scores":
            from tlvcli.pipelines.analysis.scores import run_scores as answer
        case "weights":
            from tlvcli.pipelines.analysis.weights import run_weights as answer
    return answer(config, progress)
