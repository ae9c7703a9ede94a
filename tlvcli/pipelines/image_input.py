"""Where images meet a network: which preprocessing, and whether the network takes the size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Architecture, Preprocessing
from tlvcli.core.report import InputInfo
from tlvcli.core.runtime import seeded_globally
from tlvcli.data.image_dataset import ImageDataset
from tlvcli.data.transforms import default_preprocessing, with_image_size

if TYPE_CHECKING:
    from torch import nn


def choose_preprocessing(
    stored: Preprocessing | None, architecture: Architecture, dataset: ImageDataset, image_size: int | None
) -> tuple[Preprocessing, bool]:
    """Return what the checkpoint was trained with (True), else what is usual for the data (False).

    `image_size` in pixels overrides the size of either.
    """
    known = stored if stored is not None and stored.channels == architecture.in_chans else None
    chosen = known or default_preprocessing(dataset.traits, channels=architecture.in_chans)
    if image_size is not None:
        chosen = with_image_size(chosen, image_size)
    return chosen, known is not None


def refuse_image_size(
    module: nn.Module, architecture: Architecture, preprocessing: Preprocessing, *, training: bool
) -> None:
    """Raise `image-size-unsupported` if the network cannot compute on images of this size.

    In training, Inception's auxiliary head needs larger ones than the network itself.
    """
    import torch
    from torch.func import functional_call

    size = preprocessing.image_size
    images = torch.zeros(2, preprocessing.channels, size, size, device=next(module.parameters()).device)
    # Copies, because batch normalisation in training writes its running statistics.
    buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
    was_training = module.training
    try:
        with torch.no_grad(), seeded_globally(0):
            functional_call(module.train(training), buffers, (images,))
    # A kernel larger than what is left of the image; a transformer that insists on the size it was made for.
    except (RuntimeError, AssertionError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise TlvError(
            "image-size-unsupported",
            f"{architecture.name} does not take images of {size} px: {reason}",
            "--image-size 224 suits most networks, 299 the Inceptions",
        ) from error
    finally:
        module.train(was_training)


def describe_data(dataset: ImageDataset, reference: str) -> InputInfo:
    """Return the report's entry for one split."""
    return InputInfo(role="data", path=reference, format=f"{dataset.kind}, {dataset.split}", images=len(dataset))


def may_download(*, download: bool, offline: bool) -> bool:
    """Return `download`, or raise `config-invalid` where it contradicts `offline`."""
    if download and offline:
        raise TlvError("config-invalid", "download and offline exclude each other", "leave one of them out")
    return download
