"""A second look at a few images: what chosen kernels answer, one image at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from tlvcli.data.image_dataset import ImageDataset
from tlvcli.data.loading import Batch, choose_workers, evaluation_batches
from tlvcli.methods.statistics.bins import ACTIVATION_BINS
from tlvcli.models.activations import Consumer, Tap, watched
from tlvcli.pipelines.analysis.config import AnalyzeStatsConfig
from tlvcli.pipelines.analysis.networks import Network

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from tlvcli.methods.statistics.table import Part

# Enough for a distribution of some thousand values, few enough to be looked at while one waits.
SAMPLED_IMAGES = 128


@dataclass(frozen=True)
class Scene:
    """What both looks share: a network, where its layers are read, and which of their kernels."""

    config: AnalyzeStatsConfig
    network: Network
    taps: Sequence[Tap]
    device: torch.device

    def only(self, layers: Sequence[str]) -> Scene:
        """Return the scene with some of the layers."""
        return Scene(self.config, self.network, [tap for tap in self.taps if tap.layer in layers], self.device)


@dataclass(frozen=True)
class KernelSample:
    """Chosen kernels of one layer on a sample of images.

    Args:
        histogram: of |a|, [kernels, columns], over all images of the sample.
        log_means: of log(|a| + 1e-4), [images, kernels].
    """

    histogram: Tensor
    log_means: Tensor

    @cached_property
    def zeros(self) -> Tensor:
        """Share of the values that are zero, or too small for a bin, [kernels]."""
        return self.histogram[:, :2].sum(-1) / self.histogram.sum(-1)

    @cached_property
    def density(self) -> Tensor:
        """Share of the values in each bin by its width in decades, [kernels, bins]."""
        widths = ACTIVATION_BINS.edges().log10().diff()
        return self.histogram[:, 2:-1] / self.histogram.sum(-1, keepdim=True) / widths


@dataclass(frozen=True)
class Sample:
    """Images of one set by their positions in it, and the chosen kernels of each layer on them."""

    positions: tuple[int, ...]
    layers: Mapping[str, KernelSample]


def sample_kernels(scene: Scene, kernels: Mapping[str, Sequence[int]], dataset: ImageDataset) -> Sample:
    """Send up to 128 images, those that the null keeps, through the network again; `kernels` by layer."""
    import torch

    from tlvcli.methods.statistics.reservoir import image_keys
    from tlvcli.methods.statistics.stream import LayerStream

    seed = scene.config.seed
    chosen = sorted(image_keys(torch.arange(len(dataset)), seed).argsort()[:SAMPLED_IMAGES].tolist())
    parts: frozenset[Part] = frozenset({"log-moments", "histogram"})
    streams = {
        layer: LayerStream(
            len(numbers), parts=parts, seed=seed, layer_name=layer, device=scene.device, capacity=len(chosen)
        )
        for layer, numbers in kernels.items()
    }
    indices = {layer: torch.tensor(numbers, device=scene.device) for layer, numbers in kernels.items()}
    seen: list[Tensor] = []

    def add(layer: str, activations: Tensor) -> None:
        streams[layer].update(activations.index_select(1, indices[layer]), seen[-1])

    with torch.inference_mode(), _watching(scene, add, dataset, chosen) as batches:
        for batch in batches:
            seen.append(batch.positions)
            scene.network.module(batch.images)
    numbers = torch.cat(seen)
    by_key = image_keys(numbers, seed).argsort()  # the order in which a reservoir has them
    layers = {}
    for layer, stream in streams.items():
        summary = stream.summary()
        assert summary.histogram is not None
        assert summary.reservoir is not None
        assert summary.reservoir.log_moments is not None
        layers[layer] = KernelSample(summary.histogram, summary.reservoir.log_moments[..., 0].double())
    return Sample(tuple(chosen[number] for number in numbers[by_key].tolist()), layers)


@dataclass(frozen=True)
class Pictures:
    """Some images of one set as the network gets them, uint8 [n, h, w, channels], and |a| of the chosen kernels.

    `maps` are [n, kernels, h, w], for the layers whose activations are maps.
    """

    positions: tuple[int, ...]
    images: Tensor
    maps: Mapping[str, Tensor]


def take_pictures(
    scene: Scene, kernels: Mapping[str, Sequence[int]], dataset: ImageDataset, positions: Sequence[int]
) -> Pictures:
    """Return the images at `positions` that can be read, and the maps of `kernels`; of a layer's calls the first."""
    import torch

    chosen = sorted(set(positions))
    maps: dict[str, list[Tensor]] = {layer: [] for layer in kernels}
    images: list[Tensor] = []
    read: list[int] = []
    indices = {layer: torch.tensor(numbers, device=scene.device) for layer, numbers in kernels.items()}

    def add(layer: str, activations: Tensor) -> None:
        if activations.dim() == 4 and len(maps[layer]) < len(images):
            maps[layer].append(activations.index_select(1, indices[layer]).abs().float().cpu())

    with torch.inference_mode(), _watching(scene, add, dataset, chosen) as batches:
        for batch in batches:
            images.append(_as_seen(batch, scene.network))
            read += batch.positions.tolist()
            scene.network.module(batch.images)
    return Pictures(
        tuple(chosen[number] for number in read),
        torch.cat(images),
        {layer: torch.cat(found) for layer, found in maps.items() if found},
    )


def _as_seen(batch: Batch, network: Network) -> Tensor:
    import torch

    prepared = network.preprocessing
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (prepared.mean, prepared.std))
    pixels = (batch.images.float().cpu() * std + mean).clamp(0, 1) * 255
    return pixels.round().to(torch.uint8).permute(0, 2, 3, 1)


@contextmanager
def _watching(
    scene: Scene, consume: Consumer, dataset: ImageDataset, positions: Sequence[int]
) -> Iterator[Iterator[Batch]]:
    part = dataset.subset(positions)
    batches = evaluation_batches(
        part,
        scene.network.preprocessing,
        batch_size=scene.config.batch_size,
        workers=choose_workers(part, scene.config.workers, scene.device),
        device=scene.device,
        skip_unreadable=(lambda _: None) if scene.config.skip_corrupt else None,
    )
    with watched(scene.network.module, scene.taps, consume), closing(batches):
        yield batches
