"""One network's images as another one takes them: its normalisation, channels and size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlvcli.core.provenance import Preprocessing

if TYPE_CHECKING:
    from torch import Tensor


def view_images(
    images: Tensor, *, here: Preprocessing, there: Preprocessing | None, channels: int, image_size: int
) -> Tensor:
    """Return images normalised as `here` says, [n, c, h, w], as `there` says: [n, channels, image_size, image_size].

    Where `there` is None, or normalises alike, the values stay as they are but for the size.
    """
    from torch.nn.functional import interpolate

    changes = there is not None and (there.mean, there.std) != (here.mean, here.std)
    if changes:
        images = images * _column(here.std, images) + _column(here.mean, images)
    if images.shape[1] != channels:
        images = images.mean(1, keepdim=True).expand(-1, channels, -1, -1)
    if changes and there is not None:
        images = (images - _column(there.mean, images)) / _column(there.std, images)
    if images.shape[-1] == image_size:
        return images
    return interpolate(images, size=(image_size, image_size), mode="bilinear", antialias=True)


def _column(values: tuple[float, ...], images: Tensor) -> Tensor:
    return images.new_tensor(values)[:, None, None]  # [channels, 1, 1]
