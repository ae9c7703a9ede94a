"""Augmentation policies by timm's strings, as in rand-m9-mstd0.5-inc1; timm is an extra."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tlvcli.core.errors import TlvError

if TYPE_CHECKING:
    from PIL.Image import Image

    from tlvcli.core.provenance import Preprocessing

# How the strings begin.
TIMM_POLICIES = ("rand", "augmix", "original", "originalr", "v0", "v0r", "3a")
# timm's shares of the image's side: the farthest that a policy moves it.
_TRANSLATE_CONST, _TRANSLATE_PCT = 0.45, 0.3
# What numpy takes as a seed.
_SEEDS = 2**32


def timm_step(policy: str, preprocessing: Preprocessing) -> Callable[[Image], Image]:
    """Return a policy as a step that draws from torch's global generator alone.

    Raises:
        TlvError: `augmentation-unknown`, or `extra-missing` without timm.
    """
    try:
        from timm.data import auto_augment
    except ImportError as error:
        hint = "pip install 'tlvcli[timm]'"
        raise TlvError("extra-missing", f"the augmentation {policy} needs the package timm", hint) from error
    # Where an image was moved away, the data's mean colour shows.
    mean = tuple(min(255, round(255 * channel)) for channel in preprocessing.mean)
    settings: dict[str, Any] = {"img_mean": mean if len(mean) > 1 else mean[0]}
    kind = policy.partition("-")[0]
    try:
        if kind == "augmix":
            settings["translate_pct"] = _TRANSLATE_PCT
            transform = auto_augment.augment_and_mix_transform(policy, settings)
        else:
            settings["translate_const"] = int(_TRANSLATE_CONST * preprocessing.image_size)
            make = auto_augment.rand_augment_transform if kind == "rand" else auto_augment.auto_augment_transform
            transform = make(policy, settings)
    # What timm says to a part that it does not know: nothing, or that a conversion failed.
    except (AssertionError, ValueError, KeyError) as error:
        raise TlvError(
            "augmentation-unknown",
            f"timm cannot read the augmentation {policy}: {error}",
            "its parts are a name, then letters with a number each, as in rand-m9-mstd0.5-inc1",
        ) from error
    for operation in _operations(transform):
        if operation.aug_fn is auto_augment.posterize:
            operation.aug_fn = _posterize
    return _TimmStep(transform)


def _operations(transform: Any) -> list[Any]:
    if hasattr(transform, "policy"):
        return [operation for steps in transform.policy for operation in steps]
    return list(transform.ops)


def _posterize(image: Image, bits: int, **_: Any) -> Image:
    """Keep the upper bits; timm asks for none at its full strength, which Pillow refuses since 13."""
    from PIL import ImageOps

    if bits <= 0:
        return image.point(lambda _: 0)
    return image if bits >= 8 else ImageOps.posterize(image, bits)


@dataclass(frozen=True)
class _TimmStep:
    transform: Callable[[Image], Image]

    def __call__(self, image: Image) -> Image:
        import torch

        with _seeded_beyond_torch(int(torch.randint(_SEEDS, ()))):
            return self.transform(image)


@contextmanager
def _seeded_beyond_torch(seed: int) -> Iterator[None]:
    """Seed Python's and numpy's global generators, which timm draws from, and restore them afterwards."""
    import numpy as np

    python_state, numpy_state = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
