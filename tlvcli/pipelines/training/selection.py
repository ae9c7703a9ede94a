"""Which epoch is the best, and whether it pays to go on."""

from __future__ import annotations

from collections.abc import Sequence

from tlvcli.methods.finetuning.plan import FinetunePlan
from tlvcli.pipelines.training.config import BestBy
from tlvcli.pipelines.training.job import EpochResult


def best_of(epochs: Sequence[EpochResult], best_by: BestBy) -> EpochResult:
    """Return the best epoch on val, of equal ones the one with the lower loss, then the first."""

    def merit(epoch: EpochResult) -> tuple[float, float]:
        match best_by:
            case "top1":
                return epoch.val_top1, -epoch.val_loss
            case "balanced-accuracy":
                return epoch.val_balanced_accuracy, -epoch.val_loss
            case "loss":
                return -epoch.val_loss, epoch.val_top1

    return max(epochs, key=merit)


def is_stalled(epochs: Sequence[EpochResult], plan: FinetunePlan, *, best_by: BestBy, patience: int | None) -> bool:
    """Return whether the last `patience` epochs brought nothing better; those before the last phase do not count."""
    if patience is None or not epochs:
        return False
    earlier = sum(phase.epochs or 0 for phase in plan.phases[:-1])
    return len(epochs) - max(best_of(epochs, best_by).epoch, earlier) >= patience
