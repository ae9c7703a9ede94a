"""The source of a fit: run on the same images as the target, as it knows them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Architecture, Preprocessing
from tlvcli.pipelines.checkpoints import OpenedCheckpoint, load_module
from tlvcli.pipelines.image_input import refuse_image_size
from tlvcli.pipelines.image_views import view_images

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

# In pixels, of a source that says nothing of its images: that of most networks.
_USUAL_SIZE = 224


@dataclass(frozen=True)
class SourceView:
    """The source, frozen, and how it takes images that are prepared for the target."""

    module: nn.Module
    images: Callable[[Tensor], Tensor]
    warnings: tuple[str, ...]


def open_source(
    source: OpenedCheckpoint,
    preprocessing: Preprocessing,
    *,
    size: int | None,
    seed: int,
    device: torch.device | None,
) -> SourceView:
    """Build the source and find the `size` in pixels at which it sees images that are prepared as `preprocessing`.

    Unless told, it is that of the target, or its own where it does not take that one.

    Raises:
        TlvError: `checkpoint-mismatch` or `image-size-unsupported`.
    """
    module, architecture, _ = load_module(source, num_classes=None, seed=seed)
    module.eval().requires_grad_(False).to(device)
    known = source.preprocessing
    sizes = (size,) if size else (preprocessing.image_size, known.image_size if known else _USUAL_SIZE)
    view = partial(
        view_images,
        here=preprocessing,
        there=known,
        channels=architecture.in_chans,
        image_size=_first_that_fits(module, architecture, preprocessing, sizes),
    )
    said = () if known else ("fit: the source sees images normalised as the target's",)
    return SourceView(module, view, said)


def _first_that_fits(
    module: nn.Module, architecture: Architecture, preprocessing: Preprocessing, sizes: tuple[int, ...]
) -> int:
    def refuse(size: int) -> None:
        changes = {"image_size": size, "channels": architecture.in_chans}
        refuse_image_size(module, architecture, preprocessing.model_copy(update=changes), training=False)

    for size in sizes[:-1]:
        with suppress(TlvError):
            refuse(size)
            return size
    refuse(sizes[-1])
    return sizes[-1]
