"""What a checkpoint is worth on labelled images: top-1, top-5, loss, images per second."""

from __future__ import annotations

import math
from contextlib import closing
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from tlvcli import __version__
from tlvcli.core.config import Config
from tlvcli.core.errors import TlvError
from tlvcli.core.processes import Processes, find_processes, joined, one_before_others
from tlvcli.core.provenance import Architecture, Preprocessing
from tlvcli.core.report import Report, ReportPart
from tlvcli.core.runtime import Stopwatch, choose_device
from tlvcli.data.datasets import open_evaluation_data
from tlvcli.data.image_dataset import ImageDataset
from tlvcli.data.loading import choose_workers, evaluation_batches
from tlvcli.data.order import num_evaluation_batches
from tlvcli.data.reference import parse_data_reference
from tlvcli.pipelines.checkpoints import load_module, open_reference
from tlvcli.pipelines.evaluation import evaluate
from tlvcli.pipelines.image_input import choose_preprocessing, describe_data, may_download, refuse_image_size
from tlvcli.pipelines.precision import PrecisionName, autocast_to, choose_precision
from tlvcli.pipelines.progress import Progress, Silence

if TYPE_CHECKING:
    import torch
    from torch import Tensor

SCHEMA = "tlv.eval/1"
_SHOWN_NAMES = 5


class EvalConfig(Config):
    """Settings of `tlv eval`."""

    checkpoint: str = Field(description="checkpoint file, ARCH@WEIGHTS or ARCH@random")
    data: str = Field(description="image folder, NAME:ROOT or digits, with @SPLIT or @SPLIT:N; default split: test")
    batch_size: int = Field(64, ge=1, description="images per forward pass; changes the speed only")
    image_size: int | None = Field(None, ge=8, description="input side in pixels; default: the checkpoint's")
    workers: int | None = Field(
        None, ge=0, description="processes that read images; default: by data and cores, up to 8"
    )
    precision: PrecisionName = Field("fp32", description="auto, fp32, bf16 or fp16; fp32 measures the same anywhere")
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    arch: str | None = Field(None, description="architecture of a checkpoint that does not name its own")
    key: str | None = Field(None, description="which part of a nested checkpoint, as in model_ema")
    seed: int = Field(0, ge=0, description="seeds the initialisation of ARCH@random")
    data_seed: int = Field(0, ge=0, description="draws the sample of @SPLIT:N")
    download: bool = Field(False, description="fetch a torchvision data set that is not there")
    offline: bool = Field(False, description="never touch the network")


class EvalResult(ReportPart):
    """What was measured, and on what."""

    split: str
    images: int
    top1: float = Field(description="share of images whose class comes first")
    top5: float | None = Field(description="share whose class is among the first five; null below 6 classes")
    loss: float = Field(description="mean cross-entropy in nats")
    images_per_second: float = Field(description="with reading and preparing the images")
    num_classes: int = Field(description="outputs of the network")
    classes_matched_by: Literal["name", "index"]
    architecture: Architecture
    preprocessing: Preprocessing
    precision: str


def run(config: EvalConfig, *, progress: Progress | None = None) -> Report[EvalResult]:
    """Evaluate a checkpoint; under `torchrun` the processes share the images, and all return the same.

    Raises:
        TlvError: whatever is wrong with the checkpoint, the data or how they fit each other.
    """
    watch = Stopwatch()
    processes = find_processes()
    device = choose_device(config.device)
    with joined(processes, device):
        return _run(config, processes, device, watch, progress or Silence())


def _run(
    config: EvalConfig, processes: Processes, device: torch.device, watch: Stopwatch, progress: Progress
) -> Report[EvalResult]:
    precision = choose_precision(config.precision, device)
    reference = parse_data_reference(config.data)
    download = may_download(download=config.download, offline=config.offline)
    with one_before_others(processes):
        dataset = open_evaluation_data(reference, data_seed=config.data_seed, download=download)
        opened = open_reference(
            config.checkpoint,
            role="checkpoint",
            key=config.key,
            arch=config.arch,
            offline=config.offline,
            seed=config.seed,
        )
    warnings = [*opened.warnings, *dataset.warnings]
    if reference.split is None and dataset.split != "test":
        warnings.append(f"{config.data} has no test split: evaluated on {dataset.split}")
    module, architecture, _ = load_module(opened, num_classes=None, seed=config.seed)
    class_indices, by_name = _match_classes(opened.class_names, architecture.num_classes, dataset, warnings)
    preprocessing, stored = choose_preprocessing(opened.preprocessing, architecture, dataset, config.image_size)
    if not stored:
        warnings.append(f"the checkpoint does not say how its images were prepared: took {_words(preprocessing)}")
    module.to(device)
    refuse_image_size(module, architecture, preprocessing, training=False)
    rank, world_size = processes.rank, processes.world_size
    steps = num_evaluation_batches(len(dataset), config.batch_size, rank=rank, world_size=world_size)
    progress.start(steps, f"eval {dataset.name} {dataset.split}")
    batches = evaluation_batches(
        dataset,
        preprocessing,
        batch_size=config.batch_size,
        workers=choose_workers(dataset, config.workers, device),
        device=device,
        rank=rank,
        world_size=world_size,
    )
    with closing(batches):
        measured = evaluate(
            module,
            batches,
            num_classes=architecture.num_classes,
            autocast=autocast_to(precision, device),
            class_indices=class_indices.to(device),
            after_batch=progress.advance,
            processes=processes,
        )
    if not math.isfinite(measured.loss):
        raise TlvError(
            "loss-not-finite",
            f"{config.checkpoint} gives a loss of {measured.loss} on {measured.images} images",
            "tlv inspect shows whether the weights are finite; in half precision, try --precision fp32",
        )
    return Report[EvalResult](
        schema_id=SCHEMA,
        tlv_version=__version__,
        run=watch.run_info(device),
        inputs=[opened.info, describe_data(dataset, config.data)],
        config=config.model_dump(),
        result=EvalResult(
            split=dataset.split,
            images=measured.images,
            top1=measured.top1,
            top5=measured.top5,
            loss=measured.loss,
            images_per_second=measured.images / measured.seconds,
            num_classes=architecture.num_classes,
            classes_matched_by="name" if by_name else "index",
            architecture=architecture,
            preprocessing=preprocessing,
            precision=precision,
        ),
        outputs=[],
        warnings=warnings,
    )


def _match_classes(
    names: tuple[str, ...] | None, num_classes: int, dataset: ImageDataset, warnings: list[str]
) -> tuple[Tensor, bool]:
    """Return the network's output for every label of the data, and whether the names say so."""
    import torch

    if names is None:
        if num_classes != len(dataset.class_names):
            raise TlvError(
                "classes-mismatch",
                f"the checkpoint has {num_classes} classes, {dataset.name} has {len(dataset.class_names)}",
                "tlv train gives it a head for these data",
            )
        warnings.append("the checkpoint does not name its classes: they were taken in the order of the data's")
        return torch.arange(num_classes), False
    unknown = [name for name in dataset.class_names if name not in names]
    if unknown:
        raise TlvError(
            "classes-mismatch",
            f"{dataset.name} has {_some(unknown)}; the checkpoint knows only {_some(names)}",
            "take data of the checkpoint's classes, or tlv train gives it a head for these",
        )
    if len(dataset.class_names) < len(names):
        warnings.append(
            f"{dataset.name} has {len(dataset.class_names)} of the checkpoint's {len(names)} classes; "
            "the network still chooses among all"
        )
    return torch.tensor([names.index(name) for name in dataset.class_names]), True


def _some(names: tuple[str, ...] | list[str]) -> str:
    more = len(names) - _SHOWN_NAMES
    return ", ".join(names[:_SHOWN_NAMES]) + (f" and {more} more" if more > 0 else "")


def _words(preprocessing: Preprocessing) -> str:
    mean = ", ".join(f"{value:g}" for value in preprocessing.mean)
    return f"what is usual for the data, {preprocessing.image_size} px less a mean of {mean}"
