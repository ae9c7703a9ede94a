"""Two sets of images through one network: which layers and kernels look alike on both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from tlvcli.core.errors import TlvError
from tlvcli.core.graph import Layer, LayerKind
from tlvcli.core.layer_globs import is_named, refuse_unknown
from tlvcli.core.processes import Processes, find_processes, gather, joined
from tlvcli.core.provenance import Architecture
from tlvcli.core.report import Gate
from tlvcli.core.runtime import choose_device, make_generator
from tlvcli.core.wording import counted
from tlvcli.data.image_dataset import ImageDataset
from tlvcli.data.loading import choose_workers, evaluation_batches, num_batches
from tlvcli.methods.statistics.null import MIN_IMAGES
from tlvcli.methods.statistics.table import Statistic, find_statistic, parts_of
from tlvcli.models.activation_trace import find_taps
from tlvcli.models.graph import graph_of_module
from tlvcli.models.head import head_tensors
from tlvcli.pipelines.analysis.config import AnalyzeStatsConfig
from tlvcli.pipelines.analysis.images import describe_images, open_images
from tlvcli.pipelines.analysis.judgement import judge_layers
from tlvcli.pipelines.analysis.networks import Network, open_networks
from tlvcli.pipelines.analysis.outcome import Outcome
from tlvcli.pipelines.analysis.overall import describe_overall
from tlvcli.pipelines.analysis.page_looks import Scene
from tlvcli.pipelines.analysis.result import ImagesSeen, Rule, ShiftSection
from tlvcli.pipelines.analysis.shift_outputs import refuse_outputs, write_outputs
from tlvcli.pipelines.analysis.summaries import merge_passes, summarise_activations
from tlvcli.pipelines.image_input import choose_preprocessing, may_download
from tlvcli.pipelines.progress import Progress, Silence

if TYPE_CHECKING:
    import torch

    from tlvcli.core.graph import ModelGraph
    from tlvcli.methods.statistics.summary import LayerSummary
    from tlvcli.models.activations import Reading, Tap

_CONVOLUTIONS: tuple[LayerKind, ...] = ("conv1d", "conv2d", "conv3d", "depthwise-conv2d", "conv-transpose")
_READABLE: tuple[LayerKind, ...] = (*_CONVOLUTIONS, "linear", "batch-norm", "norm")


@dataclass(frozen=True)
class _Side:
    """One set of images, and what the network made of it."""

    summaries: Mapping[str, LayerSummary]
    seen: ImagesSeen


def run_shift(config: AnalyzeStatsConfig, progress: Progress) -> Outcome[ShiftSection]:
    """Compare the activations of `config.source` and `config.target`, and write what was asked for beside the report.

    Under `torchrun` the processes share the images, and all return the same; the first one writes.

    Raises:
        TlvError: whatever is wrong with the checkpoint, the data, the layers or the outputs.
    """
    processes = find_processes()
    device = choose_device(config.device)
    with joined(processes, device):
        return _run(config, processes, device, progress if processes.is_first else Silence())


def _run(
    config: AnalyzeStatsConfig, processes: Processes, device: torch.device, progress: Progress
) -> Outcome[ShiftSection]:
    assert config.source is not None
    assert config.target is not None
    statistics = tuple(find_statistic(name) for name in config.statistic)
    if processes.is_first:
        refuse_outputs(config)
    download = may_download(download=config.download, offline=config.offline)
    source, source_warnings = open_images(config.source, data_seed=config.data_seed, download=download)
    target, target_warnings = open_images(config.target, data_seed=config.data_seed, download=download)
    warnings = [*source_warnings, *target_warnings]
    (network,) = open_networks(config, source, device)
    warnings += [*network.warnings, *_warn_of_preparation(config, network, target)]
    chosen = choose_layers(graph_of_module(network.module), network.architecture, config.layers)
    size = network.preprocessing.image_size
    taps = find_taps(network.module, chosen, (network.preprocessing.channels, size, size), at=config.at)
    not_called = _find_not_called(config, chosen, taps, warnings)
    taps = _read_once(taps, warnings)
    look = partial(_look_at, config, network, device, taps, statistics, processes, progress)
    sides = look(source, config.source, "source"), look(target, config.target, "target")
    weights = {layer.name: layer.leading.name for layer in chosen}
    layers = judge_layers(
        config, taps, weights, statistics, sides[0].summaries, sides[1].summaries, make_generator(config.seed, "null")
    )
    for side, reference in zip(sides, (config.source, config.target), strict=True):
        if side.seen.skipped:
            skipped = counted(len(side.seen.skipped), "image")
            warnings.append(f"{reference}: skipped {skipped}, as {side.seen.skipped[0]}")
        if side.seen.images < MIN_IMAGES:
            warnings.append(
                f"{reference}: only {counted(side.seen.images, 'image')}; so few of one kind look like a shift, and a "
                f"real one may go unseen: give at least {MIN_IMAGES}"
            )
    section = ShiftSection(
        architecture=network.architecture,
        preprocessing=network.preprocessing,
        source=sides[0].seen,
        target=sides[1].seen,
        at=config.at,
        select=config.select,
        rule=_rule(config),
        not_called=not_called,
        layers=layers,
        overall=describe_overall(layers, config, _rule(config)),
    )
    inputs = (
        network.opened.info,
        describe_images(source, config.source, "source"),
        describe_images(target, config.target, "target"),
    )
    outputs = write_outputs(config, section, network.opened, warnings) if processes.is_first else ()
    if config.html and processes.is_first:
        from tlvcli.pipelines.analysis.page_shift import write_shift_page

        scene = Scene(config, network, taps, device)
        outputs = (*outputs, write_shift_page(scene, section, (source, target), inputs, warnings))
    return Outcome(
        section=section,
        inputs=inputs,
        device=device,
        outputs=outputs,
        warnings=tuple(warnings),
        gates=() if config.max_shift is None else (_shift_gate(section, config.max_shift),),
    )


def choose_layers(graph: ModelGraph, architecture: Architecture, globs: Sequence[str]) -> tuple[Layer, ...]:
    """Return the layers that the globs name.

    By default the convolutions, and where there is at most one the linear layers too, less the classifier, which
    training on other classes replaces.

    Raises:
        TlvError: `layers-unknown`, also where the named layers have no channels to tell apart.
    """
    readable = graph.of_kind(*_READABLE)
    if globs:
        refuse_unknown(globs, [layer.name for layer in readable])
        return tuple(layer for layer in readable if any(is_named(layer.name, glob) for glob in globs))
    convolutions = graph.of_kind(*_CONVOLUTIONS)
    usual = convolutions if len(convolutions) > 1 else graph.of_kind(*_CONVOLUTIONS, "linear")
    head = head_tensors(architecture)
    return tuple(layer for layer in usual if layer.leading.name not in head) or usual


def _warn_of_preparation(config: AnalyzeStatsConfig, network: Network, target: ImageDataset) -> list[str]:
    """Say where the target's images would be prepared in another way: both sets take that of the source.

    Otherwise the shift would be that of the preparation.
    """
    stored = network.opened.preprocessing
    usual, _ = choose_preprocessing(stored, network.architecture, target, config.image_size)
    if usual == network.preprocessing:
        return []
    return [
        f"both sets are prepared as is usual for {config.source}; {config.target} would be at {usual.image_size} px"
    ]


def _find_not_called(
    config: AnalyzeStatsConfig, chosen: Sequence[Layer], taps: Sequence[Tap], warnings: list[str]
) -> list[str]:
    """Return the chosen layers without a tap: auxiliary heads, for one, are not called in evaluation."""
    called = {tap.layer for tap in taps}
    missing = [layer.name for layer in chosen if layer.name not in called]
    if not taps:
        named = ", ".join(config.layers) or "the default layers"
        raise TlvError(
            "layers-not-called",
            f"{config.checkpoint}: the network calls none of {named}",
            "choose others with --layers; tlv inspect --summary shows the calls",
        )
    if missing and config.layers:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        warnings.append(f"never called, so not analysed: {missing[0]}{more}")
    return missing


def _read_once(taps: Sequence[Tap], warnings: list[str]) -> tuple[Tap, ...]:
    """Return the taps less those that read the same tensors as an earlier layer: their kernels are the same ones."""
    kept: dict[tuple[Reading, ...], Tap] = {}
    for tap in taps:
        kept.setdefault(tap.readings, tap)
    twins = [tap for tap in taps if kept[tap.readings] is not tap]
    if twins:
        first = twins[0]
        more = f"; {counted(len(twins) - 1, 'more pair')}" if len(twins) > 1 else ""
        warnings.append(
            f"read at the same place, so counted once, as the first: {kept[first.readings].layer} and {first.layer}"
            f"{more}"
        )
    return tuple(kept.values())


def _look_at(
    config: AnalyzeStatsConfig,
    network: Network,
    device: torch.device,
    taps: Sequence[Tap],
    statistics: Sequence[Statistic],
    processes: Processes,
    progress: Progress,
    dataset: ImageDataset,
    reference: str,
    role: str,
) -> _Side:
    """Send one set of images through the network; each process takes its own batches, all know the whole."""
    skipped: list[str] = []
    rounds = num_batches(len(dataset), config.batch_size * processes.world_size)
    progress.start(rounds, f"{role} {dataset.name} {dataset.split}")
    batches = evaluation_batches(
        dataset,
        network.preprocessing,
        batch_size=config.batch_size,
        workers=choose_workers(dataset, config.workers, device),
        device=device,
        skip_unreadable=skipped.append if config.skip_corrupt else None,
        rank=processes.rank,
        world_size=processes.world_size,
        whole=True,
    )
    with closing(batches):
        summaries = summarise_activations(
            network.module,
            taps,
            batches,
            parts=parts_of(statistics),
            seed=config.seed,
            device=device,
            after_batch=progress.advance,
        )
    summaries = merge_passes(gather(processes, summaries))
    skipped = sorted(place for places in gather(processes, skipped) for place in places)
    if not summaries:
        raise TlvError(
            "data-no-images", f"{reference}: of {counted(len(dataset), 'image')} none can be read", "mend the images"
        )
    seen = ImagesSeen(data=reference, split=dataset.split, images=len(dataset) - len(skipped), skipped=skipped)
    return _Side(summaries, seen)


def _rule(config: AnalyzeStatsConfig) -> Rule:
    # A threshold moves where seed-kl's window begins; what decides is the window all the same.
    of_window = config.statistic[0] == "seed-kl"
    usual: Rule = "seed-kl" if of_window else "null percentile"
    rules: tuple[Rule, ...] = ("fraction", "alpha") if of_window else ("threshold", "fraction", "alpha")
    return next((rule for rule in rules if getattr(config, rule) is not None), usual)


def _shift_gate(section: ShiftSection, max_shift: float) -> Gate:
    overall = section.overall
    return Gate(
        flag=f"--max-shift {max_shift:g}",
        met=overall.share <= max_shift,
        message=f"{overall.share:.1%} of {overall.kernels:,} kernels are shifted",
    )
