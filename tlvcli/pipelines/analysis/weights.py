"""`tlv analyze-stats --weights`: what can be said of a network's kernels without images, or even its architecture."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlvcli.core.errors import TlvError
from tlvcli.core.layer_globs import is_named, refuse_unknown
from tlvcli.io.atomic import refuse_existing
from tlvcli.io.csv_files import write_csv
from tlvcli.models.graph import graph_of_tensors
from tlvcli.pipelines.analysis.config import AnalyzeStatsConfig
from tlvcli.pipelines.analysis.outcome import Outcome
from tlvcli.pipelines.analysis.weights_result import LayerKernels, WeightsSection
from tlvcli.pipelines.checkpoints import open_reference
from tlvcli.pipelines.outputs import refuse_inputs
from tlvcli.pipelines.progress import Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tlvcli.methods.weights.kernels import Kernels

_HEAD = ("layer", "kind", "kernel", "variance", "l1", "l2", "dead", "copy_of")
_MOST_NAMES = 3


def run_weights(config: AnalyzeStatsConfig, progress: Progress) -> Outcome[WeightsSection]:
    """Describe the kernels of every layer, or of those that `config.layers` names.

    Raises:
        TlvError: `layers-unknown`, `no-weights`, or what is wrong with the file.
    """
    from tlvcli.methods.weights.kernels import kernels_of_layers

    if config.csv:
        refuse_inputs([Path(config.csv)], [Path(config.checkpoint)])
        refuse_existing(Path(config.csv), force=config.force)  # before the work, not after it
    opened = open_reference(
        config.checkpoint, role="checkpoint", key=config.key, arch=config.arch, offline=config.offline, seed=config.seed
    )
    graph = graph_of_tensors(opened.tensors.specs)
    names = [layer.name for layer in graph.layers]
    refuse_unknown(config.layers, names)
    if config.layers:
        names = [name for name in names if any(is_named(name, glob) for glob in config.layers)]
    matrices = [layer for layer in graph.layers if layer.name in names and len(layer.leading.shape) > 1]
    progress.start(len(matrices), "weights")
    layers = []
    for kernels in kernels_of_layers(opened.tensors, frozenset(names)):
        layers.append(_describe(kernels))
        progress.advance()
    if not layers:
        raise TlvError(
            "no-weights",
            f"{config.checkpoint}: none of {len(names)} layers has a floating weight of two dimensions",
            "--layers selects others; tlv inspect lists all",
        )
    described = {layer.name for layer in layers}
    section = WeightsSection(
        layers=layers,
        without_kernels=[name for name in names if name not in described],
        kernels=sum(len(layer.variance) for layer in layers),
        dead=sum(len(layer.dead) for layer in layers),
        copies=sum(len(layer.copies) for layer in layers),
    )
    broken = [layer.weight for layer in layers if layer.spectral_norm is None]
    more = f" and {len(broken) - _MOST_NAMES} more" if len(broken) > _MOST_NAMES else ""
    return Outcome(
        section=section,
        inputs=(opened.info,),
        outputs=(write_csv(Path(config.csv), _HEAD, section.rows(), force=config.force),) if config.csv else (),
        warnings=(
            *opened.warnings,
            *([f"values that are not finite: {', '.join(broken[:_MOST_NAMES])}{more}"] if broken else []),
        ),
    )


def _describe(kernels: Kernels) -> LayerKernels:
    spec = kernels.statistics.spec
    return LayerKernels(
        name=kernels.layer.name,
        kind=kernels.layer.kind,
        weight=spec.name,
        shape=spec.shape,
        dtype=spec.dtype,
        spectral_norm=kernels.spectral_norm,
        stable_rank=kernels.stable_rank,
        effective_rank=kernels.effective_rank,
        largest_rank=min(spec.shape[0], math.prod(spec.shape[1:])),
        variance=_numbers(kernels.variance),
        l1=_numbers(kernels.l1),
        l2=_numbers(kernels.l2),
        dead=list(kernels.statistics.dead),
        copies={kernel: first for kernel, first in enumerate(kernels.copy_of.tolist()) if first >= 0},
    )


def _numbers(values: NDArray[Any]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values.tolist()]
