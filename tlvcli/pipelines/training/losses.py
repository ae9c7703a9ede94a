"""What a training step makes small, and the error where that is no longer a number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tlvcli.core.errors import TlvError

if TYPE_CHECKING:
    from torch import Tensor

# How much the auxiliary heads count, as their papers have it: Szegedy et al. 2015 and 2016.
_AUXILIARY_WEIGHTS: Mapping[str, float] = {"GoogLeNetOutputs": 0.3, "InceptionOutputs": 0.4}


def training_loss(
    outputs: Any, labels: Tensor, *, label_smoothing: float = 0.0, class_weights: Tensor | None = None
) -> Tensor:
    """Return the mean cross-entropy per image; GoogLeNet and Inception add that of their auxiliary heads.

    `labels` are classes [n] or their probabilities [n, classes]. The weights of classes do not change what the sum is
    divided by, the number of images; so the gradient of a large batch is the mean of those of its parts.
    """

    loss = _cross_entropy(outputs[0] if isinstance(outputs, tuple) else outputs, labels, label_smoothing, class_weights)
    weight = _AUXILIARY_WEIGHTS.get(type(outputs).__name__, 0.0)
    for logits in outputs[1:] if weight else ():
        if logits is not None:
            loss = loss + weight * _cross_entropy(logits, labels, label_smoothing, class_weights)
    return loss


def _cross_entropy(logits: Tensor, labels: Tensor, label_smoothing: float, class_weights: Tensor | None) -> Tensor:
    from torch.nn.functional import cross_entropy

    if class_weights is None:
        return cross_entropy(logits.float(), labels, label_smoothing=label_smoothing)
    total = cross_entropy(logits.float(), labels, class_weights, label_smoothing=label_smoothing, reduction="sum")
    return total / len(labels)


def loss_not_finite(loss: float, where: str, last_good: str, *, untrained: str | None = None) -> TlvError:
    """Return the error of a training that has come apart; `last_good` says what can be gone back to.

    `untrained` names the checkpoint of a network that has taken no step yet, so that no rate is to blame.
    """
    hint = "a lower --lr or a longer warm-up usually helps; in half precision, try --precision fp32"
    if untrained is not None:
        hint = (
            f"no step was taken yet; look at the weights it began with: tlv inspect {untrained} --stats --fail-on nan; "
            "in half precision, try --precision fp32"
        )
    return TlvError("loss-not-finite", f"the loss is {loss} {where}; {last_good}", hint)
