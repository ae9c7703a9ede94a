"""The features of a frozen backbone: computed once for every image, kept on disk, so that epochs cost only the head.

A file is named by all that its numbers depend on: the backbone's tensors and code, where the network is cut, images,
preprocessing, precision, device type, and torch's version. So a second run on the same images finds it, and one that
differs in any of these does not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from tlvcli.core.errors import TlvError
from tlvcli.core.graph import TensorSpec
from tlvcli.core.runtime import make_generator
from tlvcli.core.tensors import bytes_of_tensor, dtype_name
from tlvcli.data.fingerprint import fingerprint
from tlvcli.data.image_dataset import ImageDataset
from tlvcli.data.loading import Batch, evaluation_batches
from tlvcli.data.order import Sampling, deal, epoch_order, num_batches
from tlvcli.io.hashing import hash_file
from tlvcli.io.safetensors_rows import open_rows, write_rows
from tlvcli.models.feature_split import FeatureSplit, backbone_features, find_split, modes_kept
from tlvcli.pipelines.precision import autocast_to
from tlvcli.pipelines.progress import Progress
from tlvcli.pipelines.training.cache_folder import MOST_BYTES, cache_folder, make_room, mark_used
from tlvcli.pipelines.training.job import TrainingJob
from tlvcli.pipelines.training.modes import changing_tensors

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# Not the run's batch size: how matrix products round can depend on it, and the file serves runs of any.
_BATCH_SIZE = 64
# What is kept in memory where the folder takes no file, and on a GPU beside the network.
_FEW_BYTES = 2_000_000_000


@dataclass(frozen=True)
class CachedFeatures:
    """Features of all images, [n, ...] in the order of the data sets, and where the network is cut to give them."""

    split: FeatureSplit
    train: Tensor
    val: Tensor


def uses_feature_cache(job: TrainingJob) -> bool:
    """Return whether every image has the same features in every epoch, and the user has not turned the cache off."""
    return (
        job.config.feature_cache
        and job.plan.strategy == "linear-probe"
        and not job.augmentation.varies
        and job.config.crossover is None
        and not job.processes.several
    )


def why_not_cached(job: TrainingJob) -> str | None:
    """Return what keeps a linear probe's features from being computed once; None where nothing does, or on purpose."""
    if job.plan.strategy != "linear-probe" or not job.config.feature_cache:
        return None
    if job.processes.several:
        return "under torchrun every epoch computes the features of the frozen backbone"
    if replace(job.augmentation, policy="none").varies or job.config.crossover is not None:
        return None
    varies = "every epoch computes the features of the frozen backbone: --augment none computes them once"
    return varies if job.augmentation.varies else None


def open_feature_cache(job: TrainingJob, progress: Progress) -> CachedFeatures | None:
    """Return the features of train and val, from their files or computed now; `job.module` is on its device.

    None, with a message, where the network cannot be cut before its head, or the features take too much room.

    Raises:
        TlvError: `image-unreadable` or `worker-died`.
    """
    import torch

    size, channels = job.preprocessing.image_size, job.preprocessing.channels
    images = torch.rand(2, channels, size, size, generator=make_generator(0, "features")).to(job.device)
    # In full precision: whether the halves make the whole is not a question of rounding.
    split = find_split(job.module, job.plan.trained, images)
    if split is None:
        progress.message(f"{job.architecture.name} cannot be cut before its head: every epoch computes the features")
        return None
    with modes_kept(job.module), autocast_to(job.precision, job.device):
        row = backbone_features(job.module.eval(), split, images)[0]
        backbone = _hash_backbone(job, split)
        wanted = [_want(job, backbone, dataset, row) for dataset in (job.data.train, job.data.val)]
        found = [_find_or_compute(job, split, file, progress) for file in wanted]
    train, val = found
    return None if train is None or val is None else CachedFeatures(split, train, val)


def feature_batches(
    features: Tensor,
    dataset: ImageDataset,
    *,
    batch_size: int,
    epochs: int,
    seed: int,
    sampling: Sampling,
    device: torch.device,
    drop_single: bool = False,
    first_epoch: int = 1,
    first_step: int = 0,
) -> Iterator[Batch]:
    """Yield features [n, ...] in place of images, in batches and in an order as `training_batches` has them.

    Sampling `in-order` gives every epoch what `evaluation_batches` gives a pass.
    """
    import torch

    labels = torch.tensor(dataset.labels, device=device)
    if features.numel() * features.element_size() <= _FEW_BYTES:
        features = features.to(device)
    steps = num_batches(len(dataset), batch_size, drop_single=drop_single)
    for epoch in range(first_epoch, epochs + 1):
        order = epoch_order(dataset.labels, sampling, seed, epoch)
        first = first_step if epoch == first_epoch else 0
        for dealt in deal(order, epoch=epoch, batch_size=batch_size, batches=steps, first=first):
            rows = features[dealt.positions.to(features.device)].to(device)
            yield Batch(rows, labels[dealt.positions.to(device)], dealt.positions, dealt.global_size)


@dataclass(frozen=True)
class _Wanted:
    """The features of one split, and the file that holds them or shall."""

    dataset: ImageDataset
    spec: TensorSpec
    num_bytes: int
    path: Path

    def __str__(self) -> str:
        size = f"{self.num_bytes / 1e6:,.1f} MB"
        return f"features of {len(self.dataset):,} images of {self.dataset.split}, {size}"


def _want(job: TrainingJob, backbone: str, dataset: ImageDataset, row: Tensor) -> _Wanted:
    spec = TensorSpec("features", (len(dataset), *row.shape), dtype_name(row))
    path = cache_folder("features") / f"{_key(job, backbone, dataset)}.safetensors"
    return _Wanted(dataset, spec, spec.num_elements * row.element_size(), path)


def _find_or_compute(job: TrainingJob, split: FeatureSplit, wanted: _Wanted, progress: Progress) -> Tensor | None:
    path = wanted.path
    if wanted.num_bytes > MOST_BYTES:
        progress.message(f"{wanted}: too many to keep; every epoch computes them")
        return None
    found = open_rows(path, wanted.spec)
    if found is not None:
        mark_used(path)
        progress.message(f"{wanted}: found in {path}")
        return found
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        make_room(path.parent, wanted.num_bytes)
        write_rows(path, wanted.spec, _compute(job, split, wanted.dataset, progress))
    except (OSError, TlvError) as error:
        if isinstance(error, TlvError) and not error.error_id.startswith(("output-", "no-space")):
            raise
        return _compute_in_memory(job, split, wanted, progress)
    progress.message(f"{wanted}: computed once, kept in {path}")
    return open_rows(path, wanted.spec)


def _compute_in_memory(job: TrainingJob, split: FeatureSplit, wanted: _Wanted, progress: Progress) -> Tensor | None:
    import torch

    reason = f"{wanted.path.parent} takes no file"
    if wanted.num_bytes > _FEW_BYTES:
        progress.message(f"{wanted}: {reason}, and memory should not; every epoch computes them")
        return None
    features = torch.cat(list(_compute(job, split, wanted.dataset, progress)))
    progress.message(f"{wanted}: computed once, in memory; {reason}")
    return features


def _compute(job: TrainingJob, split: FeatureSplit, dataset: ImageDataset, progress: Progress) -> Iterator[Tensor]:
    """Yield the features of one batch after the other, on the CPU; the module is in evaluation mode."""
    progress.start(num_batches(len(dataset), _BATCH_SIZE), f"features of {dataset.split}")
    batches = evaluation_batches(
        dataset, job.preprocessing, batch_size=_BATCH_SIZE, workers=job.config.workers, device=job.device
    )
    with closing(batches):
        for batch in batches:
            yield backbone_features(job.module, split, batch.images).cpu()
            progress.advance()


def _hash_backbone(job: TrainingJob, split: FeatureSplit) -> str:
    """Return a hash of the tensors that do not change, of the code that computes with them, and of the cut."""
    name = job.architecture.name
    file, _, _ = name.rpartition(":")
    packages = ("torch", "torchvision", *(["timm"] if name.startswith("timm:") else []))
    computed_by = {
        "architecture": job.architecture.model_dump(exclude={"num_classes"}),
        "code": hash_file(Path(file)) if file.endswith(".py") else None,
        "versions": {package: version(package) for package in packages},
        "cut": split.tail[0],
    }
    digest = hashlib.sha256(json.dumps(computed_by, sort_keys=True).encode())
    changing = changing_tensors(job.module, job.plan)
    for key, tensor in job.module.state_dict().items():
        if key not in changing:
            digest.update(f"{key} {dtype_name(tensor)} {list(tensor.shape)}\n".encode())
            digest.update(bytes_of_tensor(tensor))
    return digest.hexdigest()


def _key(job: TrainingJob, backbone: str, dataset: ImageDataset) -> str:
    depends_on = {
        "backbone": backbone,
        "data": fingerprint(dataset),
        "preprocessing": job.preprocessing.model_dump(),
        "precision": job.precision,
        "device": job.device.type,
    }
    return hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()
