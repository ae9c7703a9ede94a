"""`tlv analyze-stats A --against B`: which layer of one network sees images as which layer of another does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from functools import reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING

from tlvcli.core.errors import TlvError
from tlvcli.core.processes import Processes, find_processes, gather, joined
from tlvcli.core.report import OutputInfo
from tlvcli.core.runtime import choose_device
from tlvcli.core.wording import counted
from tlvcli.data.image_dataset import ImageDataset
from tlvcli.data.loading import choose_workers, evaluation_batches, num_batches
from tlvcli.io.atomic import refuse_existing
from tlvcli.io.csv_files import write_csv
from tlvcli.methods.similarity.cka import (
    FEWEST_IMAGES,
    Hsic,
    centre_grams,
    gram_matrix,
    hsic_of_batch,
    refuse_not_finite,
    similarity,
)
from tlvcli.models.activations import Tap, watched
from tlvcli.pipelines.analysis.config import AnalyzeStatsConfig
from tlvcli.pipelines.analysis.images import describe_images, open_images
from tlvcli.pipelines.analysis.networks import Network, open_networks
from tlvcli.pipelines.analysis.outcome import Outcome
from tlvcli.pipelines.analysis.similarity_layers import ChosenLayers, choose_similarity_layers
from tlvcli.pipelines.analysis.similarity_result import ComparedNetwork, SimilaritySection, partners
from tlvcli.pipelines.image_input import may_download
from tlvcli.pipelines.outputs import refuse_inputs, refuse_same
from tlvcli.pipelines.progress import Progress

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

_PICTURE = "similarity.png"


def run_similarity(config: AnalyzeStatsConfig, progress: Progress) -> Outcome[SimilaritySection]:
    """Compare every chosen layer of two networks on the same images, and write what was asked for.

    Under `torchrun` the processes share the batches, and all return the same; the first one writes.

    Raises:
        TlvError: `too-few-images`, `layers-unknown`, `activations-not-finite`, or what is wrong with the inputs.
    """
    processes = find_processes()
    if not processes.several:  # these meet before they look at what the first one writes
        _refuse_outputs(config)
    device = choose_device(config.device)
    with joined(processes, device):
        return _run(config, processes, device, progress)


def _run(
    config: AnalyzeStatsConfig, processes: Processes, device: torch.device, progress: Progress
) -> Outcome[SimilaritySection]:
    assert config.data is not None
    if processes.is_first:
        _refuse_outputs(config)
    download = may_download(download=config.download, offline=config.offline)
    dataset, warnings = open_images(config.data, data_seed=config.data_seed, download=download)
    _refuse_few(config, len(dataset))
    networks = open_networks(config, dataset, device)
    chosen = choose_similarity_layers(networks, config.layers, config.at)
    batch_size = whole_batches(len(dataset), config.batch_size)
    rounds = num_batches(len(dataset), batch_size * processes.world_size)
    progress.start(rounds, f"similarity {dataset.name} {dataset.split}")
    skipped: list[str] = []
    parts: list[Hsic] = []
    num_images = 0
    for images in _image_pairs(config, networks, dataset, batch_size, device, skipped, processes):
        progress.advance()
        if len(images[0]) < FEWEST_IMAGES:  # where others of the batch could not be read
            continue
        hsic = batch_hsic(networks, chosen, images)
        parts = [reduce(add, parts, hsic)]
        num_images += len(images[0])
    num_images = sum(gather(processes, num_images))
    skipped = [place for places in gather(processes, skipped) for place in places]
    _refuse_few(config, num_images)
    sums = reduce(add, (part for own in gather(processes, [part.cpu() for part in parts]) for part in own))
    section = _describe(networks, chosen, dataset, (num_images, batch_size, skipped), sums)
    inputs = (
        *(network.opened.info for network in networks),
        describe_images(dataset, config.data, "data"),
    )
    warnings = (
        *warnings,
        *(warning for network in networks for warning in network.warnings),
        *_warnings(config, networks, section),
    )
    outputs = _write_outputs(config, section) if processes.is_first else ()
    if config.html and processes.is_first:
        from tlvcli.pipelines.analysis.page_similarity import write_similarity_page

        outputs = (*outputs, write_similarity_page(config, section, inputs, warnings, device))
    return Outcome(section=section, inputs=inputs, device=device, outputs=outputs, warnings=warnings)


def batch_hsic(networks: Sequence[Network], chosen: Sequence[ChosenLayers], images: Sequence[Tensor]) -> Hsic:
    """Return the unbiased HSIC of all pairs of layers on one batch, prepared for either network."""
    one, other = (
        centre_grams(layer_grams(network.module, layers.taps, batch))
        for network, layers, batch in zip(networks, chosen, images, strict=True)
    )
    return hsic_of_batch(one, other)


def layer_grams(module: nn.Module, taps: Sequence[Tap], images: Tensor) -> list[Tensor]:
    """Return the Gram matrix [n, n] of every tap on one batch, made while the network computes: no activation stays.

    A layer that is called twice counts with both, as if its features stood side by side.
    """
    import torch

    grams: dict[str, Tensor] = {}

    def add(layer: str, activations: Tensor) -> None:
        gram = gram_matrix(activations)
        grams[layer] = grams[layer] + gram if layer in grams else gram

    with torch.inference_mode(), watched(module, taps, add):
        module(images)
    return [grams[tap.layer] for tap in taps]


def whole_batches(num_images: int, batch_size: int) -> int:
    """Return the smallest size from `batch_size` on of which no batch, the last one too, is too small to estimate."""
    size = max(batch_size, FEWEST_IMAGES)
    while 0 < num_images % size < FEWEST_IMAGES and size < num_images:
        size += 1
    return size


def _image_pairs(
    config: AnalyzeStatsConfig,
    networks: Sequence[Network],
    dataset: ImageDataset,
    batch_size: int,
    device: torch.device,
    skipped: list[str],
    processes: Processes,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield each batch of images as either network wants it; read once where both want the same."""
    first, second = (network.preprocessing for network in networks)
    with ExitStack() as stack:

        def load(place: int) -> Iterator[Tensor]:
            batches = evaluation_batches(
                dataset,
                networks[place].preprocessing,
                batch_size=batch_size,
                workers=choose_workers(dataset, config.workers, device),
                device=device,
                # An image that one cannot read, the other cannot either: it is named once.
                skip_unreadable=(skipped.append, lambda _: None)[place] if config.skip_corrupt else None,
                rank=processes.rank,
                world_size=processes.world_size,
                whole=True,
            )
            stack.enter_context(closing(batches))
            return (batch.images for batch in batches)

        if first == second:
            yield from ((images, images) for images in load(0))
        else:
            yield from zip(load(0), load(1), strict=True)


def _describe(
    networks: Sequence[Network],
    chosen: Sequence[ChosenLayers],
    dataset: ImageDataset,
    seen: tuple[int, int, Sequence[str]],
    sums: Hsic,
) -> SimilaritySection:
    for network, layers, own in zip(networks, chosen, (sums.own, sums.others), strict=True):
        refuse_not_finite(own, layers.names, network.opened.reference)
    matrix = similarity(sums).cpu()
    num_images, batch_size, skipped = seen
    first, second = (layers.taps for layers in chosen)
    sides = (partners(first, second, matrix.tolist()), partners(second, first, matrix.T.tolist()))
    return SimilaritySection(
        networks=[
            ComparedNetwork(
                checkpoint=network.opened.reference,
                architecture=network.architecture,
                preprocessing=network.preprocessing,
                layers=compared,
                left_out=list(layers.left_out),
            )
            for network, layers, compared in zip(networks, chosen, sides, strict=True)
        ],
        split=dataset.split,
        images=num_images,
        skipped=sorted(skipped),
        batch_size=min(batch_size, len(dataset)),
        cka=[[None if value != value else value for value in row] for row in matrix.tolist()],
    )


def _write_outputs(config: AnalyzeStatsConfig, section: SimilaritySection) -> tuple[OutputInfo, ...]:
    outputs = []
    if config.csv:
        outputs.append(write_csv(Path(config.csv), ("layer", "other", "cka"), section.pairs(), force=config.force))
    if config.plots:
        from tlvcli.pipelines.analysis.heat_map import draw_heat_map

        outputs.append(draw_heat_map(section, Path(config.plots) / _PICTURE, force=config.force))
    return tuple(outputs)


def _refuse_outputs(config: AnalyzeStatsConfig) -> None:
    """Raise before the work what would keep an output from being written after it."""
    outputs = [Path(name) for name in (config.csv, config.html) if name]
    refuse_same(outputs)
    refuse_inputs(outputs, [Path(config.checkpoint), *map(Path, config.against)])
    for path in outputs:
        refuse_existing(path, force=config.force)
    if config.plots and Path(config.plots).is_dir():
        refuse_existing(Path(config.plots) / _PICTURE, force=config.force)


def _refuse_few(config: AnalyzeStatsConfig, num_images: int) -> None:
    if num_images < FEWEST_IMAGES:
        raise TlvError(
            "too-few-images",
            f"{config.data} has {counted(num_images, 'image')}; a similarity needs at least {FEWEST_IMAGES}",
            "take more; some hundred make the figures steady",
        )


def _warnings(config: AnalyzeStatsConfig, networks: Sequence[Network], section: SimilaritySection) -> Iterator[str]:
    first, second = (network.preprocessing for network in networks)
    if first != second:
        sizes = " and ".join(
            f"{prepared.image_size} px in {prepared.channels} channels" for prepared in (first, second)
        )
        yield f"each network gets the images prepared in its own way, which differ: {sizes}"
    if section.skipped:
        yield f"{config.data}: skipped {counted(len(section.skipped), 'image')}, as {section.skipped[0]}"
    for network in section.networks:
        if network.left_out and config.layers:
            yield f"{network.checkpoint}: left out, as they give no tensor: {_some(network.left_out)}"
        constant = [layer.name for layer in network.layers if layer.best is None]
        if constant:
            yield f"{network.checkpoint}: every image gives the same, so there is no likeness: {_some(constant)}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
