"""What a run keeps in its folder while it goes, in an order in which a sudden end costs no more than the last steps.

The state comes first: all that follows can be made from it again, and is, when the run is resumed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tlvcli.core.errors import TlvError
from tlvcli.core.report import OutputInfo
from tlvcli.pipelines.saving import save_module
from tlvcli.pipelines.training.job import EpochResult
from tlvcli.pipelines.training.run_folder import RunFolder
from tlvcli.pipelines.training.selection import best_of
from tlvcli.pipelines.training.state import RunState
from tlvcli.pipelines.training.state_files import write_state
from tlvcli.pipelines.training.steps import Learner, PhaseRun, phase_of
from tlvcli.pipelines.training.tally import RunningEpoch


@dataclass(frozen=True)
class Keeper:
    """Where a run is kept, and what of it; `beginning` says what does not change while it goes.

    Of several processes, which all learn the same, the first one writes.
    """

    folder: RunFolder
    learner: Learner
    phases: tuple[PhaseRun, ...]
    beginning: RunState

    @property
    def how_to_go_on(self) -> str:
        """What the user can do after an interruption."""
        return f"tlv train --resume {self.folder.path} goes on from there"


def keep_state(
    keeper: Keeper, epochs: Sequence[EpochResult], *, epoch: int, step: int = 0, running: RunningEpoch
) -> None:
    """Replace the state: `epochs` are complete, of `epoch` so many steps are done.

    Raises:
        TlvError: why it cannot be written; the old state is still there.
    """
    changes = {
        "epoch": epoch,
        "step": step,
        "running": running,
        "epochs": tuple(epochs),
        "scaler": keeper.learner.scaler.state_dict(),
    }
    state = keeper.beginning.model_copy(update=changes)
    _write(keeper, lambda: write_state(keeper.folder, state, keeper.learner, phase_of(keeper.phases, epoch)))


def keep_epoch(keeper: Keeper, epochs: Sequence[EpochResult]) -> None:
    """Write what the last of these epochs brought: its checkpoint, as the best one too where it is, and the metrics.

    Raises:
        TlvError: why a file cannot be written; the old one is still there.
    """
    folder = keeper.folder
    _write(keeper, lambda: _save(keeper.learner, folder.last_path))
    if best_of(epochs, keeper.learner.job.config.best_by) is epochs[-1]:
        _write(keeper, lambda: _save(keeper.learner, folder.best_path))
    lines = [epoch.model_dump_json() for epoch in epochs]
    _write(keeper, lambda: folder.write_metrics(lines))


def _save(learner: Learner, path: Path) -> OutputInfo:
    job = learner.job
    return save_module(
        learner.kept,
        path,
        architecture=job.architecture,
        made_by=job.made_by,
        class_names=job.data.train.class_names,
        preprocessing=job.preprocessing,
        force=True,
    )


def _write(keeper: Keeper, write: Callable[[], object]) -> None:
    """Write something; where the disk is full, say how the run goes on once it is not."""
    if not keeper.learner.job.processes.is_first:
        return
    try:
        write()
    except TlvError as error:
        if error.error_id != "no-space" or not keeper.folder.state_path.is_file():
            raise
        hint = f"what was there is whole; free some space, and {keeper.how_to_go_on}"
        raise TlvError(error.error_id, error.message, hint) from error
