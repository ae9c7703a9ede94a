"""One pass of a set of images through a network: a summary of each layer's activations, and no activation kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING

from tlvcli.data.loading import Batch
from tlvcli.methods.statistics.stream import LayerStream
from tlvcli.methods.statistics.summary import LayerSummary, merge
from tlvcli.models.activations import Tap, watched

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from tlvcli.methods.statistics.table import Part


def summarise_activations(
    module: nn.Module,
    taps: Sequence[Tap],
    batches: Iterable[Batch],
    *,
    parts: frozenset[Part],
    seed: int,
    device: torch.device,
    after_batch: Callable[[], None] = lambda: None,
) -> Mapping[str, LayerSummary]:
    """Return the summary of every tapped layer over the batches, whose `positions` number the images.

    The module is in evaluation mode and is not changed. Where there is no batch, there is no summary.

    Raises:
        TlvError: `activations-not-finite`.
    """
    import torch

    assert not module.training, "batch normalisation would learn from the images"
    streams = {
        tap.layer: LayerStream(tap.num_channels, parts=parts, seed=seed, layer_name=tap.layer, device=device)
        for tap in taps
    }
    numbers: list[Tensor] = []  # of the batch that the network computes
    with torch.inference_mode():
        with watched(module, taps, lambda layer, activations: streams[layer].update(activations, numbers[-1])):
            for batch in batches:
                numbers[:] = [batch.positions]
                module(batch.images)
                after_batch()
        return {layer: stream.summary() for layer, stream in streams.items()} if numbers else {}


def merge_passes(passes: Sequence[Mapping[str, LayerSummary]]) -> Mapping[str, LayerSummary]:
    """Return what one pass over the images of all passes would give, layer by layer; passes without images add none."""
    full = [summaries for summaries in passes if summaries]
    return {layer: reduce(merge, (summaries[layer] for summaries in full)) for layer in (full[0] if full else ())}
