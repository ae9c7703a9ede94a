"""What is kept of an image's answer: enough for every measure, and 60 bytes whatever the number of classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

TOP = 5


@dataclass(frozen=True)
class ImageScores:
    """One row per image.

    `positions` [n] int64 are those in the data set, `labels` [n] int64 outputs of the network, as are `top` [n, k]
    int32, the k = min(5, classes) likeliest in falling order. `probability` [n] is that of the first of these, `loss`
    [n] the cross-entropy in nats, `brier` [n] the squared distance of the probabilities from the truth; all float64.
    """

    positions: Tensor
    labels: Tensor
    top: Tensor
    probability: Tensor
    loss: Tensor
    brier: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def predictions(self) -> Tensor:
        """The likeliest output of each image, [n] int64."""
        return self.top[:, 0].long()

    @property
    def correct(self) -> Tensor:
        """Whether it is the label, [n]."""
        return self.predictions == self.labels

    @property
    def label_probability(self) -> Tensor:
        """The probability of the label, [n] float64."""
        return (-self.loss).exp()

    @property
    def top5_correct(self) -> Tensor:
        """Whether the label is among the first five, [n]."""
        return (self.top == self.labels[:, None]).any(dim=1)

    def to_cpu(self) -> ImageScores:
        """Return the same rows on the CPU."""
        return ImageScores(*(column.cpu() for column in _columns(self)))


def score_logits(logits: Tensor, labels: Tensor, positions: Tensor) -> ImageScores:
    """Return the rows of a batch from logits [n, classes]; where they are not finite, neither is the loss.

    In double precision, so that a row does not depend on the batch that it came with more than the logits do.
    """
    logits = logits.double()
    log_probabilities = logits.log_softmax(dim=1)
    top = logits.topk(min(TOP, logits.shape[1]), dim=1).indices
    loss = -log_probabilities.gather(1, labels[:, None])[:, 0]
    squares = log_probabilities.mul(2).exp().sum(dim=1)
    return ImageScores(
        positions=positions.to(labels.device, non_blocking=True),
        labels=labels,
        top=top.int(),
        probability=log_probabilities.gather(1, top[:, :1])[:, 0].exp(),
        loss=loss,
        brier=squares - 2 * (-loss).exp() + 1,
    )


def join_scores(parts: Sequence[ImageScores]) -> ImageScores:
    """Return the rows of all parts, at least one, in the order of the data set."""
    import torch

    joined = [torch.cat(columns) for columns in zip(*map(_columns, parts), strict=True)]
    order = joined[0].argsort(stable=True)
    return ImageScores(*(column[order] for column in joined))


def _columns(scores: ImageScores) -> tuple[Tensor, ...]:
    return (scores.positions, scores.labels, scores.top, scores.probability, scores.loss, scores.brier)
