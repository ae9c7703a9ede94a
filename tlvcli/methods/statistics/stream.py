"""The activations of one layer, batch after batch, into a summary of fixed size."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from tlvcli.core.errors import TlvError
from tlvcli.core.runtime import make_generator
from tlvcli.methods.statistics.image_statistics import ImageStatistics, add_second_call, image_statistics
from tlvcli.methods.statistics.moments import pool_moments
from tlvcli.methods.statistics.reservoir import Reservoir, image_keys
from tlvcli.methods.statistics.summary import LayerSummary, first_batches, merge
from tlvcli.methods.statistics.table import Part
from tlvcli.methods.statistics.waiting import WaitingRoom

# What the reservoir keeps of an image: a histogram takes fifty times what two moments take.
RESERVOIR_IMAGES, RESERVOIR_HISTOGRAMS = 256, 128
# Becker: of more values than these per channel and batch, that many are drawn with replacement.
_SAMPLE_ABOVE, _SAMPLE = 20_000, 4_000


class LayerStream:
    """Accumulates one layer on the device where its activations are; nothing is copied to the host until `summary`.

    Args:
        num_channels: C.
        parts: what to keep; see `table.parts_of`.
        seed: decides which images the reservoir keeps; the same for every process and layer.
        layer_name: for errors and the summary.
        device: of the activations.
        capacity: images in the reservoir; None for 256, or 128 where it holds histograms.
    """

    def __init__(
        self,
        num_channels: int,
        *,
        parts: frozenset[Part],
        seed: int,
        layer_name: str,
        device: torch.device,
        capacity: int | None = None,
    ) -> None:
        self._num_channels = num_channels
        self._parts = parts
        self._seed = seed
        self._layer_name = layer_name
        self._device = device
        has_histograms = bool(parts & {"histogram", "spatial-gram"})
        self._capacity = capacity or (RESERVOIR_HISTOGRAMS if has_histograms else RESERVOIR_IMAGES)
        self._waiting = WaitingRoom()
        self._samples: dict[int, Tensor] = {}
        self._total: LayerSummary | None = None
        self._is_finite = torch.ones((), dtype=torch.bool, device=device)

    @torch.no_grad()
    def update(self, activation: Tensor, image_numbers: Tensor) -> None:
        """Add a batch: `activation` [n, C, *spatial] of the images `image_numbers` [n] (int64, on the CPU).

        A second call with the same images adds to them: a layer that runs twice in one forward pass.
        """
        assert activation.shape[:2] == (len(image_numbers), self._num_channels)
        if activation.dim() == 2:  # one value per channel is a map of one position
            activation = activation[..., None]
        if "samples" in self._parts:
            self._sample(activation, int(image_numbers[0]))
        batch = image_statistics(activation, image_numbers, self._parts)
        last = self._waiting.last()
        if last and torch.equal(last.numbers, image_numbers):
            self._waiting.put_again(add_second_call(last, batch))
            return
        if not self._waiting.has_room(batch):
            self._add_waiting()
        self._waiting.put(batch)

    def summary(self) -> LayerSummary:
        """Return what was seen so far: at least one batch.

        Raises:
            TlvError: `activations-not-finite`, where an activation was NaN or infinite.
        """
        self._add_waiting()
        assert self._total is not None
        if not self._is_finite:
            raise TlvError(
                "activations-not-finite",
                f"{self._layer_name}: an activation is NaN or infinite",
                "tlv inspect --stats shows broken weights",
            )
        samples = {number: values.cpu() for number, values in self._samples.items()} or None
        return _on_cpu(replace(self._total, samples=samples))

    def _add_waiting(self) -> None:
        joined = self._waiting.take_all()
        if joined is None:
            return
        self._is_finite = self._is_finite & joined.is_finite
        batch = self._summarise(joined)
        self._total = batch if self._total is None else merge(self._total, batch)

    def _summarise(self, images: ImageStatistics) -> LayerSummary:
        means = images.image_means
        counts = images.counts.to(self._device)
        image_moments = scatter = None
        if means is not None:
            alone = torch.stack([means, torch.zeros_like(means)], dim=-1)
            image_moments = pool_moments(torch.ones_like(counts), alone)
            if "covariance" in self._parts:
                deviations = means - image_moments[:, 0]
                scatter = deviations.T @ deviations
        return LayerSummary(
            self._layer_name,
            self._num_channels,
            num_images=len(images.numbers),
            count=images.counts.sum(),
            log_moments=None if images.log_moments is None else pool_moments(counts, images.log_moments),
            value_moments=None if images.value_moments is None else pool_moments(counts, images.value_moments),
            histogram=_sum(images.histogram),
            gram_histogram=_sum(images.gram_histogram),
            image_moments=image_moments,
            scatter=scatter,
            channel_gram=images.channel_gram,
            reservoir=self._reservoir(images),
        )

    def _reservoir(self, images: ImageStatistics) -> Reservoir:
        keys = image_keys(images.numbers, self._seed)
        order = keys.argsort()[: self._capacity]
        chosen = order.to(self._device)
        is_small = bool((images.counts < 1 << 15).all())

        def kept(rows: Tensor | None, dtype: torch.dtype) -> Tensor | None:
            return None if rows is None else rows[chosen].to(dtype)

        return Reservoir(
            self._capacity,
            keys=keys[order],
            counts=images.counts[order],
            log_moments=kept(None if images.log_moments is None else images.log_moments[..., :2], torch.float32),
            histogram=kept(images.histogram, torch.int16 if is_small else torch.int32),
            gram_histogram=kept(images.gram_histogram, torch.int32),
            image_means=kept(images.image_means, torch.float64),
        )

    def _sample(self, activation: Tensor, number: int) -> None:
        values = (activation.double() + 1e-4).abs().flatten(2).transpose(0, 1).flatten(1)  # [C, n * positions]
        if values.shape[1] > _SAMPLE_ABOVE:
            generator = make_generator(self._seed, "samples", self._layer_name, number)
            chosen = torch.randint(values.shape[1], (_SAMPLE,), generator=generator)
            values = values[:, chosen.to(values.device)]
        earlier = self._samples.get(number)
        joined = values if earlier is None else torch.cat([earlier, values], dim=1)
        self._samples = first_batches({**self._samples, number: joined})


def _sum(counts: Tensor | None) -> Tensor | None:
    return None if counts is None else counts.sum(0, dtype=torch.float64)


def _on_cpu(summary: LayerSummary) -> LayerSummary:
    tensors: dict[str, Any] = {name: value.cpu() for name, value in vars(summary).items() if isinstance(value, Tensor)}
    kept = summary.reservoir
    assert kept is not None
    rows: dict[str, Any] = {name: rows.cpu() for name, rows in kept.rows().items()}
    return replace(summary, **tensors, reservoir=replace(kept, **rows))
