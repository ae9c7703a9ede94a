"""The verbs of the command line as functions: the same settings, the same pipelines, the same reports.

A keyword argument is a key of the verb's configuration; `signatures` tells which, and what each means.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlvcli.api.answer import Answer
from tlvcli.api.settings import plain_values, read_settings
from tlvcli.pipelines.progress import Progress

if TYPE_CHECKING:
    from torch import nn

    from tlvcli.pipelines.analyze_stats import AnalyzeStatsResult
    from tlvcli.pipelines.comparing.news import Standing, Watcher
    from tlvcli.pipelines.comparing.result import CompareResult
    from tlvcli.pipelines.convert import ConvertResult
    from tlvcli.pipelines.evaluating.result import EvalResult
    from tlvcli.pipelines.health.result import DoctorResult
    from tlvcli.pipelines.inspection.result import InspectResult
    from tlvcli.pipelines.predicting.result import PredictResult
    from tlvcli.pipelines.training.result import TrainResult
    from tlvcli.pipelines.transferring.result import TransferResult

StrPath = str | os.PathLike[str]
# Gets a line whenever something has happened that is worth one: print, or a logger's method.
Tell = Callable[[str], None]


def inspect(checkpoint: StrPath, **settings: Any) -> Answer[InspectResult]:
    """Say what a checkpoint is and holds; on request its values, its cost, and how it differs from another."""
    from tlvcli.pipelines.inspect import InspectConfig, refuse_failure, run

    report = run(read_settings(InspectConfig, {"checkpoint": checkpoint, **settings}))
    refuse_failure(report)
    return Answer(report)


def transfer(
    source: StrPath, target_arch: str, out: StrPath | None = None, *, progress: Tell | None = None, **settings: Any
) -> Answer[TransferResult]:
    """Start another architecture from a checkpoint; the answer has its `state_dict()`, and `load()` builds it.

    Without `out` the checkpoint lies in a temporary folder, for as long as the answer lives.
    """
    from tlvcli.pipelines.transfer import TransferConfig, config_keys, run

    folder = tempfile.mkdtemp(prefix="tlv-") if out is None and not settings.get("dry_run") else None
    place = Path(folder, "start.safetensors") if folder else out
    try:
        given = {"source": source, "target_arch": target_arch, "out": place, **settings}
        config = read_settings(TransferConfig, given, config_keys())
        answer = Answer(run(config, progress=_told(progress)))
    except BaseException:
        _forget(folder)
        raise
    if folder:
        weakref.finalize(answer, _forget, folder)
    return answer


def analyze_stats(checkpoint: StrPath, *, progress: Tell | None = None, **settings: Any) -> Answer[AnalyzeStatsResult]:
    """Say which layers and kernels still fit other images, or how networks differ on the same ones."""
    from tlvcli.pipelines.analysis.config import AnalyzeStatsConfig
    from tlvcli.pipelines.analyze_stats import run

    config = read_settings(AnalyzeStatsConfig, {"checkpoint": checkpoint, **settings})
    return Answer(run(config, progress=_told(progress)))


def train(
    checkpoint: StrPath, data: StrPath, out: StrPath, *, progress: Tell | None = None, **settings: Any
) -> Answer[TrainResult]:
    """Fine-tune a checkpoint on labelled images; `out` is the run's folder, the answer's checkpoint the best epoch."""
    from tlvcli.pipelines.train import run
    from tlvcli.pipelines.training.config import TrainConfig

    config = read_settings(TrainConfig, {"checkpoint": checkpoint, "data": data, "out": out, **settings})
    return Answer(run(config, progress=_told(progress)))


def resume(run_dir: StrPath, *, progress: Tell | None = None, **settings: Any) -> Answer[TrainResult]:
    """Go on with a training that was stopped; it ends with the same bits as one that was not.

    Settings are the run's own; those given must not differ in what would change its results.
    """
    from tlvcli.pipelines.train import run
    from tlvcli.pipelines.training.state import resumed_config

    config = resumed_config(Path(run_dir), plain_values(settings))
    return Answer(run(config, progress=_told(progress), resume=True))


def evaluate(
    checkpoint: StrPath, data: StrPath, *, progress: Tell | None = None, **settings: Any
) -> Answer[EvalResult]:
    """Measure what a checkpoint is worth on labelled images: `tlv eval`, for Python has an `eval` of its own."""
    from tlvcli.pipelines.eval import EvalConfig, run

    config = read_settings(EvalConfig, {"checkpoint": checkpoint, "data": data, **settings})
    return Answer(run(config, progress=_told(progress)))


def predict(
    checkpoint: StrPath,
    images: StrPath | Iterable[StrPath],
    *,
    progress: Tell | None = None,
    **settings: Any,
) -> Answer[PredictResult]:
    """Label images without labels: files, folders or patterns; or write their features."""
    from tlvcli.pipelines.predict import run
    from tlvcli.pipelines.predicting.config import PredictConfig

    named = [images] if isinstance(images, (str, os.PathLike)) else list(images)
    config = read_settings(PredictConfig, {"checkpoint": checkpoint, "images": named, **settings})
    return Answer(run(config, progress=_told(progress)))


def convert(checkpoint: StrPath, out: StrPath, **settings: Any) -> Answer[ConvertResult]:
    """Write the tensors of any checkpoint as plain safetensors, and say what else was in it."""
    from tlvcli.pipelines.convert import ConvertConfig, run

    return Answer(run(read_settings(ConvertConfig, {"checkpoint": checkpoint, "out": out, **settings})))


def compare(
    source: StrPath | Iterable[StrPath], data: StrPath, out: StrPath, *, progress: Tell | None = None, **settings: Any
) -> Answer[CompareResult]:
    """Find out which source, method and strategy suit the data; a second call does what is left in `out`.

    Cells run in processes of their own: in a script, call it below `if __name__ == "__main__":`.
    """
    from tlvcli.pipelines.compare import run
    from tlvcli.pipelines.comparing.config import CompareConfig
    from tlvcli.pipelines.comparing.grid_keys import set_keys

    named = [source] if isinstance(source, (str, os.PathLike)) else list(source)
    config = read_settings(CompareConfig, {"source": named, "data": data, "out": out, **settings}, set_keys())
    return Answer(run(config, watcher=_watched(progress)))


def doctor(**settings: Any) -> Answer[DoctorResult]:
    """Look at versions, packages, devices and folders of this installation."""
    from tlvcli.pipelines.doctor import DoctorConfig, run

    return Answer(run(read_settings(DoctorConfig, settings)))


def load(checkpoint: StrPath, *, arch: str | None = None, key: str | None = None, offline: bool = False) -> nn.Module:
    """Build the network of a checkpoint in float32 on the CPU, in eval mode.

    Any file that `tlv` reads, without running code from it; `ARCH@WEIGHTS` and `ARCH@random`. `arch` names what the
    file does not say or show, `key` a part of a nested one.

    Raises:
        TlvError: whatever is wrong with the file, `architecture-needed`, `checkpoint-mismatch`.
    """
    from tlvcli.pipelines.checkpoints import load_module, open_reference

    opened = open_reference(os.fspath(checkpoint), role="checkpoint", key=key, arch=arch, offline=offline, seed=0)
    module, _, _ = load_module(opened, num_classes=None, seed=0)
    return module.eval()


def _forget(folder: str | None) -> None:
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class _Lines:
    """Progress by lines alone; it also watches a grid."""

    tell: Tell

    def start(self, total: int, description: str) -> None:
        self.tell(f"{description}: {total:,} steps")

    def advance(self) -> None:
        pass

    def show(self, standing: Standing) -> None:
        pass

    def message(self, text: str) -> None:
        self.tell(text)


def _told(tell: Tell | None) -> Progress | None:
    return _Lines(tell) if tell else None


def _watched(tell: Tell | None) -> Watcher | None:
    return _Lines(tell) if tell else None
