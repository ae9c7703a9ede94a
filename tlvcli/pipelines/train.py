"""Fine-tune a checkpoint on labelled images by a strategy, and keep the epoch that is best on val."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from tlvcli import __version__
from tlvcli.core.config import Config
from tlvcli.core.errors import TlvError
from tlvcli.core.processes import Processes, find_processes, joined, one_before_others, wait_for_all
from tlvcli.core.provenance import Ancestor, MadeBy
from tlvcli.core.report import InputInfo, Report
from tlvcli.core.runtime import Stopwatch, choose_device
from tlvcli.data.datasets import TrainingData, open_training_data
from tlvcli.data.reference import parse_data_reference
from tlvcli.io.reports import write_report
from tlvcli.methods.finetuning.plan import FinetunePlan
from tlvcli.methods.finetuning.table import Strategy, find_strategy
from tlvcli.models.head import differing_tensors
from tlvcli.pipelines.checkpoints import OpenedCheckpoint, load_module, open_reference
from tlvcli.pipelines.first_look import look_at_checkpoint, look_at_training_data
from tlvcli.pipelines.image_input import choose_preprocessing, describe_data, may_download, refuse_image_size
from tlvcli.pipelines.precision import Precision, choose_precision
from tlvcli.pipelines.preparation import enlargement
from tlvcli.pipelines.progress import Progress, Silence
from tlvcli.pipelines.training.batches import check_batches
from tlvcli.pipelines.training.config import TrainConfig
from tlvcli.pipelines.training.crossover_source import CrossoverSource, open_crossover
from tlvcli.pipelines.training.events import refuse_without_tensorboard
from tlvcli.pipelines.training.fit import fit
from tlvcli.pipelines.training.job import TrainingJob
from tlvcli.pipelines.training.modes import learns_statistics
from tlvcli.pipelines.training.plan import describe_mask, plan_finetuning, reinitialise
from tlvcli.pipelines.training.resolve import resolve
from tlvcli.pipelines.training.result import TrainResult, describe_training
from tlvcli.pipelines.training.run_folder import RunFolder
from tlvcli.pipelines.training.state import RunState, fingerprints, hashes_by_role, read_state, refuse_changes
from tlvcli.pipelines.training.state_files import refuse_damaged
from tlvcli.pipelines.training.tally import RunningEpoch

if TYPE_CHECKING:
    import torch
    from torch import nn

SCHEMA = "tlv.train/1"


def run(config: TrainConfig, *, progress: Progress | None = None, resume: bool = False) -> Report[TrainResult]:
    """Train, and leave the run in its folder; after every epoch the folder holds what is complete.

    A dry run reports what would train and how, and writes nothing. With `resume` the run in the folder goes on where
    its last state was saved; `config` is then what `resumed_config` makes of it. Under `torchrun` the processes share
    every batch, and all return the same; the first one writes.

    Raises:
        TlvError: whatever is wrong with the checkpoint, the data or the folder, `loss-not-finite`, or `interrupted` or
            `terminated` by a signal, once the state is saved.
    """
    watch = Stopwatch()
    processes = find_processes()
    strategy = find_strategy(config.strategy)
    config, options = resolve(config, strategy)
    folder = RunFolder(Path(config.out))
    _look_first(config, folder, processes, resume=resume)
    device = choose_device(config.device)
    with joined(processes, device):
        return _run(config, strategy, options, folder, processes, device, watch, progress or Silence(), resume=resume)


def _look_first(config: TrainConfig, folder: RunFolder, processes: Processes, *, resume: bool) -> None:
    """Raise at once what needs no torch; several processes meet before they look at the folder that is theirs."""
    if not (resume or config.dry_run or processes.several):
        _refuse_existing(config, folder)
    look_at_training_data(config.data, download=config.download)
    look_at_checkpoint(config.checkpoint, config.arch)
    if config.mask:
        describe_mask(Path(config.mask))
    if config.crossover:
        look_at_checkpoint(config.crossover)


def _refuse_existing(config: TrainConfig, folder: RunFolder) -> None:
    folder.refuse_existing(sources=(config.checkpoint, config.mask, config.crossover), force=config.force)


def _run(
    config: TrainConfig,
    strategy: Strategy,
    options: Config,
    folder: RunFolder,
    processes: Processes,
    device: torch.device,
    watch: Stopwatch,
    progress: Progress,
    *,
    resume: bool,
) -> Report[TrainResult]:
    saved = read_state(folder) if resume else None
    if saved:
        refuse_damaged(folder, saved)
    elif not config.dry_run and processes.is_first:
        _refuse_existing(config, folder)
    if config.tensorboard:
        refuse_without_tensorboard()
    precision = choose_precision(config.precision, device)
    with one_before_others(processes):
        data = open_training_data(
            parse_data_reference(config.data),
            data_seed=config.data_seed,
            download=may_download(download=config.download, offline=config.offline),
        )
        opened = open_reference(
            config.checkpoint,
            role="checkpoint",
            key=config.key,
            arch=config.arch,
            offline=config.offline,
            seed=config.seed,
            is_named=not resume,
        )
    mask = describe_mask(Path(config.mask)) if config.mask else None
    inputs = [opened.info, *([mask] if mask else [])]
    if saved:
        refuse_changes(saved, hashes_by_role(inputs), fingerprints(data))
    job, replaced, warnings = _prepare(config, strategy, options, opened, mask, data, device, precision, processes)
    for message in (*replaced, *(f"warning: {warning}" for warning in warnings)):
        progress.message(message)
    if job.crossover:
        progress.message(job.crossover.message)
        inputs.append(job.crossover.info)
    fitted = None
    if not config.dry_run:
        wait_for_all(processes)  # an error of any leaves the folder as it was
        with folder.gone_if_empty() if processes.is_first else nullcontext():
            if saved:
                beginning = _go_on(config, inputs, saved, folder, processes)
            else:
                beginning = _begin(config, inputs, data, folder, processes)
            fitted = fit(job, folder, progress, beginning)
    report = Report[TrainResult](
        schema_id=SCHEMA,
        tlv_version=__version__,
        run=watch.run_info(device),
        inputs=[*inputs, describe_data(data.train, config.data), describe_data(data.val, config.data)],
        config=config.model_dump(),
        result=describe_training(job, fitted, replaced),
        outputs=list(fitted.outputs) if fitted else [],
        warnings=warnings,
    )
    if fitted and processes.is_first:
        write_report(report, folder.report_path, force=True)
    return report


def _begin(
    config: TrainConfig, inputs: list[InputInfo], data: TrainingData, folder: RunFolder, processes: Processes
) -> RunState:
    """Make the folder, and return the state of a run that has taken no step."""
    if processes.is_first:
        folder.begin()
    return RunState(
        epoch=1,
        step=0,
        running=RunningEpoch(),
        epochs=(),
        scaler={},
        config=config.model_dump(mode="json"),
        inputs=hashes_by_role(inputs),
        data=fingerprints(data),
    )


def _go_on(
    config: TrainConfig, inputs: list[InputInfo], saved: RunState, folder: RunFolder, processes: Processes
) -> RunState:
    """Return the saved state under the settings of now, of which some may differ."""
    refuse_changes(saved, hashes_by_role(inputs), saved.data)
    if processes.is_first:
        folder.go_on()
    return saved.model_copy(update={"config": config.model_dump(mode="json")})


def _prepare(
    config: TrainConfig,
    strategy: Strategy,
    options: Config,
    opened: OpenedCheckpoint,
    mask: InputInfo | None,
    data: TrainingData,
    device: torch.device,
    precision: Precision,
    processes: Processes,
) -> tuple[TrainingJob, tuple[str, ...], list[str]]:
    """Return the job, what was freshly initialised, and warnings."""
    class_names = data.train.class_names
    module, architecture, replaced = load_module(
        opened, num_classes=len(class_names), seed=config.seed, head=config.head
    )
    preprocessing, _ = choose_preprocessing(opened.preprocessing, architecture, data.train, config.image_size)
    warnings = [*opened.warnings, *data.train.warnings, *data.val.warnings]
    if config.image_size is None and (small := enlargement(preprocessing, data.train, flags=["--image-size"])):
        warnings.append(f"the images are enlarged to {preprocessing.image_size} px, which takes its time{small}")
    # A new head has everything to learn; at its rate, the layers below would forget what they know.
    fresh = differing_tensors(opened.architecture, architecture) if replaced and opened.architecture else frozenset()
    plan = plan_finetuning(
        config,
        strategy,
        options,
        module,
        architecture,
        fresh=fresh.intersection(module.state_dict()),
        image_size=preprocessing.image_size,
        recommended=opened.recommended_rates,
    )
    reinitialise(module, plan, architecture, seed=config.seed)
    module.to(device)
    refuse_image_size(module, architecture, preprocessing, training=True)
    is_kept = not (replaced or plan.reinitialised)
    if is_kept and opened.class_names not in (None, class_names):
        warnings.append("the head was trained for other classes; their number is the same, so it was kept")
    crossover = open_crossover(config, module, architecture, preprocessing, device) if config.crossover else None
    warnings += crossover.warnings if crossover else ()
    drop_single = learns_statistics(module, plan)
    warnings += check_batches(config, len(data.train), processes.world_size, drop_single=drop_single)
    if config.sync_bn:
        module = _synchronise(module, device)
    job = TrainingJob(
        config=config,
        module=module,
        architecture=architecture,
        made_by=_made_by(opened, plan, mask, crossover),
        data=data,
        preprocessing=preprocessing,
        plan=plan,
        device=device,
        precision=precision,
        drop_single=drop_single,
        crossover=crossover,
        processes=processes,
    )
    return job, (*replaced, *_say_reinitialised(plan, fresh)), warnings


def _say_reinitialised(plan: FinetunePlan, fresh: frozenset[str]) -> list[str]:
    layers = dict.fromkeys(name.rpartition(".")[0] for name in plan.reinitialised if name not in fresh)
    return [f"freshly initialised: {', '.join(layers)}"] if layers else []


def _made_by(
    opened: OpenedCheckpoint, plan: FinetunePlan, mask: InputInfo | None, crossover: CrossoverSource | None
) -> MadeBy:
    of_mask = Ancestor(name=Path(mask.path).name, sha256=mask.sha256) if mask and mask.sha256 else None
    return MadeBy(
        command="train",
        method=plan.strategy,
        tlv_version=__version__,
        made_from=tuple(filter(None, (opened.ancestor, of_mask, crossover.ancestor if crossover else None))),
    )


def _synchronise(module: nn.Module, device: torch.device) -> nn.Module:
    from torch.nn import SyncBatchNorm

    if device.type != "cuda":
        raise TlvError("sync-bn-unsupported", f"sync_bn needs CUDA, and the device is {device}", "leave it out")
    synchronised: nn.Module = SyncBatchNorm.convert_sync_batchnorm(module)  # type: ignore[no-untyped-call]
    return synchronised
