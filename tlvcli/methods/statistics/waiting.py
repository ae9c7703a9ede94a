"""Where the statistics of images wait until enough have come to add them up at once, which launches few kernels."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from tlvcli.methods.statistics.image_statistics import ImageStatistics

# Numbers that wait together, over all images of a layer.
_ROOM = 1 << 17
# What is not one row for each image.
_WHOLE = ("is_finite", "channel_gram")


class WaitingRoom:
    """Rows of images in memory that is set aside once, in double precision.

    Kept as they come, between activations that come and go, they would leave the heap in pieces too small to reuse:
    memory would grow with the number of images.
    """

    def __init__(self) -> None:
        self._rows: dict[str, Tensor] = {}
        self._whole: dict[str, Tensor] = {}
        self._num_images = 0
        self._last = 0

    def has_room(self, batch: ImageStatistics) -> bool:
        """Return whether the batch fits beside what waits; an empty room takes any batch."""
        room = len(self._rows["numbers"]) if self._rows else 0
        return self._num_images == 0 or self._num_images + len(batch.numbers) <= room

    def put(self, batch: ImageStatistics) -> None:
        """Copy a batch behind those that wait."""
        num_images = len(batch.numbers)
        rows, whole = _parts(batch)
        if not self._rows or num_images > len(self._rows["numbers"]):
            per_image = sum(tensor.numel() for tensor in rows.values()) / num_images
            room = max(num_images, int(_ROOM / per_image))
            self._rows = {name: _like(tensor, room) for name, tensor in rows.items()}
        self._last, self._num_images = self._num_images, self._num_images + num_images
        for name, tensor in rows.items():
            self._rows[name][self._last : self._num_images] = tensor
        if self._last:
            whole["is_finite"] = self._whole["is_finite"] & whole["is_finite"]
            if "channel_gram" in whole:
                whole["channel_gram"] = self._whole["channel_gram"] + whole["channel_gram"]
        self._whole = whole

    def last(self) -> ImageStatistics | None:
        """Return the rows of the batch that came last; what belongs to no image is of all that wait."""
        return self._between(self._last) if self._num_images else None

    def put_again(self, batch: ImageStatistics) -> None:
        """Replace the batch that came last, and what belongs to no image."""
        rows, self._whole = _parts(batch)
        for name, tensor in rows.items():
            self._rows[name][self._last : self._num_images] = tensor

    def take_all(self) -> ImageStatistics | None:
        """Return everything that waits, as views that hold until the next `put`; the room is then empty."""
        everything = self._between(0) if self._num_images else None
        self._num_images = 0
        return everything

    def _between(self, begin: int) -> ImageStatistics:
        values: dict[str, Any] = {name: tensor[begin : self._num_images] for name, tensor in self._rows.items()}
        return ImageStatistics(**values, **self._whole)


def _parts(batch: ImageStatistics) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    given = {field.name: getattr(batch, field.name) for field in fields(ImageStatistics)}
    known = {name: value for name, value in given.items() if value is not None}
    whole = {name: known.pop(name) for name in _WHOLE if name in known}
    return known, whole


def _like(tensor: Tensor, room: int) -> Tensor:
    dtype = torch.float64 if tensor.is_floating_point() else tensor.dtype
    return torch.empty(room, *tensor.shape[1:], dtype=dtype, device=tensor.device)
