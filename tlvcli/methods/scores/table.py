"""Transferability scores by name; importable without torch, functions are loaded when they run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tlvcli.core.errors import TlvError, did_you_mean
from tlvcli.methods.loading import load

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Score:
    """One estimate of how well a network suits labelled data; of all of them, larger is better.

    `function` is an import path `module:name`; it takes what `needs` says, and labels [n] int64 of 0 to classes - 1,
    every class present, and returns a number. Features are [n, dimensions], probabilities [n, old classes] with rows
    that sum to 1, both float64.
    """

    name: str
    function: str
    needs: Literal["features", "probabilities"]
    summary: str
    reference: str

    def load_function(self) -> Callable[[Tensor, Tensor], float]:
        """Return the function of features or probabilities, and labels."""
        function: Callable[[Tensor, Tensor], float] = load(self.function)
        return function


SCORES = (
    Score(
        name="logme",
        function="tlvcli.methods.scores.logme:logme",
        needs="features",
        summary="log evidence per image of a Bayesian linear model on the features",
        reference="You et al. 2021: LogME, arXiv 2102.11005",
    ),
    Score(
        name="leep",
        function="tlvcli.methods.scores.leep:leep",
        needs="probabilities",
        summary="log-likelihood of the labels, predicted through the old classes' probabilities",
        reference="Nguyen et al. 2020: LEEP, arXiv 2002.12462",
    ),
    Score(
        name="nce",
        function="tlvcli.methods.scores.nce:nce",
        needs="probabilities",
        summary="negative conditional entropy of the labels, given the old class that comes first",
        reference="Tran et al. 2019: Transferability and Hardness of Supervised Classification Tasks, arXiv 1908.08142",
    ),
    Score(
        name="hscore",
        function="tlvcli.methods.scores.hscore:h_score",
        needs="features",
        summary="spread of the class means in units of the features' spread",
        reference="Bao et al. 2019: An Information-Theoretic Approach to Transferability in Task Transfer Learning",
    ),
    Score(
        name="hscore-regularised",
        function="tlvcli.methods.scores.hscore:regularised_h_score",
        needs="features",
        summary="H-score with a Ledoit-Wolf estimate of the features' covariance, for fewer images than dimensions",
        reference="Ibrahim et al. 2021: Newer is not always better, arXiv 2110.06893",
    ),
    Score(
        name="transrate",
        function="tlvcli.methods.scores.transrate:transrate",
        needs="features",
        summary="coding rate of all features less that within the classes",
        reference="Huang et al. 2022: Frustratingly Easy Transferability Estimation, arXiv 2106.09362",
    ),
)


def find_score(name: str) -> Score:
    """Return the score called `name`, or raise `score-unknown`."""
    for score in SCORES:
        if score.name == name:
            return score
    raise TlvError("score-unknown", f"no score is called {name}", did_you_mean(name, [score.name for score in SCORES]))
