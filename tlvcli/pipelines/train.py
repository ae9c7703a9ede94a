"""Fine-tune a checkpoint on labelled images, all weights, and keep the epoch that is best on val."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from tlvcli import __version__
from tlvcli.core.config import Config
from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Architecture, MadeBy, Preprocessing
from tlvcli.core.report import Report, ReportPart
from tlvcli.core.runtime import Stopwatch, choose_device
from tlvcli.data.datasets import TrainingData, open_training_data
from tlvcli.data.reference import parse_data_reference
from tlvcli.io.reports import write_report
from tlvcli.methods.finetuning.full import full
from tlvcli.methods.finetuning.plan import FinetunePlan
from tlvcli.models.head import head_tensors
from tlvcli.pipelines.checkpoints import OpenedCheckpoint, load_module, open_reference
from tlvcli.pipelines.epochs import has_batch_norm
from tlvcli.pipelines.fit import EpochResult, Fitted, TrainingJob, fit
from tlvcli.pipelines.image_input import choose_preprocessing, describe_data, may_download, refuse_image_size
from tlvcli.pipelines.precision import Precision, PrecisionName, choose_precision
from tlvcli.pipelines.progress import Progress, Silence
from tlvcli.pipelines.run_folder import RunFolder

if TYPE_CHECKING:
    import torch

SCHEMA = "tlv.train/1"


class TrainConfig(Config):
    """Settings of `tlv train`."""

    checkpoint: str = Field(description="checkpoint file, ARCH@WEIGHTS or ARCH@random")
    data: str = Field(description="image folder, NAME:ROOT or digits, with @train or @train:N for a sample")
    out: str = Field(description="folder of the run: best and last checkpoint, metrics.jsonl, report.json")
    epochs: int = Field(10, ge=1, description="passes over the training images")
    batch_size: int = Field(32, ge=1, description="images per step")
    lr: float = Field(3e-4, gt=0, description="peak learning rate of AdamW")
    head_rate: float = Field(10.0, gt=0, description="times lr: the rate of a freshly initialised head")
    weight_decay: float = Field(0.05, ge=0, description="decay of AdamW, none on biases and normalisation")
    warmup_epochs: float = Field(0.5, ge=0, description="epochs, or a part of one, in which the rate rises")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of the target given to all classes")
    image_size: int | None = Field(None, ge=8, description="input side in pixels; default: the checkpoint's")
    workers: int | None = Field(
        None, ge=0, description="processes that read images; default: by data and cores, up to 8"
    )
    precision: PrecisionName = Field("auto", description="auto (half where hardware has it), fp32, bf16 or fp16")
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    arch: str | None = Field(None, description="architecture of a checkpoint that does not name its own")
    key: str | None = Field(None, description="which part of a nested checkpoint, as in model_ema")
    seed: int = Field(0, ge=0, description="seeds the new head, the order of the images and their augmentation")
    data_seed: int = Field(0, ge=0, description="draws the sample of @train:N and the images held out for val")
    download: bool = Field(False, description="fetch a torchvision data set that is not there")
    offline: bool = Field(False, description="never touch the network")
    force: bool = Field(False, description="write over an earlier run in the same folder")

    @model_validator(mode="after")
    def _warm_up_ends(self) -> TrainConfig:
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs: {self.warmup_epochs:g} leaves nothing of {self.epochs} epochs")
        return self


class TrainResult(ReportPart):
    """What was trained on what, epoch by epoch; the test split was not touched."""

    architecture: Architecture
    strategy: str
    trained_parameters: int
    class_names: list[str]
    replaced: list[str] = Field(description="what became of the head")
    preprocessing: Preprocessing
    precision: str
    num_train_images: int
    num_val_images: int
    epochs: list[EpochResult]
    best_epoch: int = Field(description="highest val top-1, then lowest val loss; best.safetensors")
    val_top1: float = Field(description="of the best epoch")
    val_loss: float = Field(description="of the best epoch")


def run(config: TrainConfig, *, progress: Progress | None = None) -> Report[TrainResult]:
    """Train, and leave the run in its folder; after every epoch the folder holds what is complete.

    Raises:
        TlvError: whatever is wrong with the checkpoint, the data or the folder, or `loss-not-finite`.
    """
    watch = Stopwatch()
    progress = progress or Silence()
    folder = RunFolder(Path(config.out))
    folder.refuse_existing(source=config.checkpoint, force=config.force)
    device = choose_device(config.device)
    precision = choose_precision(config.precision, device)
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
    )
    job, replaced, warnings = _prepare(config, opened, data, device, precision)
    for message in (*replaced, *warnings):
        progress.message(message)
    folder.begin()
    fitted = fit(job, folder, progress)
    report = Report[TrainResult](
        schema_id=SCHEMA,
        tlv_version=__version__,
        run=watch.run_info(device),
        inputs=[opened.info, describe_data(data.train, config.data), describe_data(data.val, config.data)],
        config=config.model_dump(),
        result=_result(job, fitted, replaced),
        outputs=list(fitted.outputs),
        warnings=warnings,
    )
    write_report(report, folder.report_path, force=True)
    return report


def _prepare(
    config: TrainConfig,
    opened: OpenedCheckpoint,
    data: TrainingData,
    device: torch.device,
    precision: Precision,
) -> tuple[TrainingJob, tuple[str, ...], list[str]]:
    """Return the job, what became of the head, and warnings."""
    class_names = data.train.class_names
    module, architecture, replaced = load_module(opened, num_classes=len(class_names), seed=config.seed)
    preprocessing, _ = choose_preprocessing(opened.preprocessing, architecture, data.train, config.image_size)
    module.to(device)
    refuse_image_size(module, architecture, preprocessing, training=True)
    warnings = [*opened.warnings, *data.train.warnings, *data.val.warnings]
    if not replaced and opened.class_names not in (None, class_names):
        warnings.append("the head was trained for other classes; their number is the same, so it was kept")
    # A new head has everything to learn; at its rate, the layers below would forget what they know.
    fresh = head_tensors(opened.architecture) if replaced and opened.architecture else frozenset[str]()
    plan = full(module, fresh=fresh, fresh_rate=config.head_rate)
    drop_single = has_batch_norm(module)
    warnings += _check_batches(config, len(data.train), drop_single=drop_single)
    job = TrainingJob(
        module=module,
        architecture=architecture,
        made_by=_made_by(opened, plan),
        data=data,
        preprocessing=preprocessing,
        plan=plan,
        device=device,
        precision=precision,
        epochs=config.epochs,
        batch_size=config.batch_size,
        lr=config.lr,
        weight_decay=config.weight_decay,
        warmup_epochs=config.warmup_epochs,
        label_smoothing=config.label_smoothing,
        workers=config.workers,
        seed=config.seed,
        drop_single=drop_single,
    )
    return job, replaced, warnings


def _made_by(opened: OpenedCheckpoint, plan: FinetunePlan) -> MadeBy:
    ancestor = opened.ancestor
    return MadeBy(
        command="train",
        method=plan.strategy,
        tlv_version=__version__,
        made_from=(ancestor,) if ancestor else (),
    )


def _check_batches(config: TrainConfig, num_images: int, *, drop_single: bool) -> list[str]:
    if not drop_single:
        return []
    if config.batch_size == 1 or num_images == 1:
        raise TlvError(
            "batch-too-small",
            f"batches of one image: {num_images} to train on, batch_size {config.batch_size}",
            "batch normalisation compares images; take --batch-size 2 or more, and more images",
        )
    if num_images % config.batch_size != 1:
        return []
    return [
        "every epoch leaves out one image, another each time: alone in the last batch, "
        "batch normalisation could not train on it"
    ]


def _result(job: TrainingJob, fitted: Fitted, replaced: tuple[str, ...]) -> TrainResult:
    parameters = dict(job.module.named_parameters())
    return TrainResult(
        architecture=job.architecture,
        strategy=job.plan.strategy,
        trained_parameters=sum(parameters[name].numel() for group in job.plan.groups for name in group.parameters),
        class_names=list(job.data.train.class_names),
        replaced=list(replaced),
        preprocessing=job.preprocessing,
        precision=job.precision,
        num_train_images=len(job.data.train),
        num_val_images=len(job.data.val),
        epochs=list(fitted.epochs),
        best_epoch=fitted.best.epoch,
        val_top1=fitted.best.val_top1,
        val_loss=fitted.best.val_loss,
    )
