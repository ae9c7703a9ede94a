"""Augmentation policies by timm's strings, as in rand-m9-mstd0.5-inc1; timm is an extra."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

from tlvcli.core.errors import TlvError

if TYPE_CHECKING:
    from PIL.Image import Image

    from tlvcli.core.provenance import Preprocessing

# How the strings begin.
TIMM_POLICIES = ("rand", "augmix", "original", "originalr", "v0", "v0r", "3a")
# The sections that each kind takes, with the least and the greatest number that does something of its own; to others
# timm says nothing, and goes on without them.
_SECTIONS: dict[str, dict[str, tuple[float, float]]] = {
    "rand": {"m": (0, inf), "mmax": (1, inf), "n": (1, inf), "p": (0, 1), "mstd": (0, inf), "inc": (0, 1)},
    "augmix": {"m": (0, inf), "w": (1, inf), "d": (1, inf), "a": (0.001, inf), "b": (0, 1), "mstd": (0, inf)},
}
_OF_AUTOAUGMENT = {"mstd": (0.0, inf)}
_FRACTIONS = ("p", "mstd", "a")
_TRANSFORM_SETS = ("tweights", "t3a", "t3aw")
# timm cuts magnitudes off there, unless mmax says where.
_GREATEST_MAGNITUDE = 10
# timm's shares of the image's side: the farthest that a policy moves it.
_TRANSLATE_CONST, _TRANSLATE_PCT = 0.45, 0.3
# What numpy takes as a seed.
_SEEDS = 2**32


def timm_step(policy: str, preprocessing: Preprocessing) -> Callable[[Image], Image]:
    """Return a policy as a step that draws from torch's global generator alone.

    Raises:
        TlvError: `augmentation-unknown`, or `extra-missing` without timm.
    """
    _refuse_unknown(policy)
    try:
        from timm.data import auto_augment
    except ImportError as error:
        hint = "pip install 'tlvcli[timm]'"
        raise TlvError("extra-missing", f"the augmentation {policy} needs the package timm", hint) from error
    # Where an image was moved away, the data's mean colour shows.
    mean = tuple(min(255, round(255 * channel)) for channel in preprocessing.mean)
    settings: dict[str, Any] = {"img_mean": mean if len(mean) > 1 else mean[0]}
    kind = policy.partition("-")[0]
    if kind == "augmix":
        settings["translate_pct"] = _TRANSLATE_PCT
        transform = auto_augment.augment_and_mix_transform(policy, settings)
    else:
        settings["translate_const"] = int(_TRANSLATE_CONST * preprocessing.image_size)
        make = auto_augment.rand_augment_transform if kind == "rand" else auto_augment.auto_augment_transform
        transform = make(policy, settings)
    for operation in _operations(transform):
        if operation.aug_fn is auto_augment.posterize:
            operation.aug_fn = _posterize
    return _TimmStep(transform)


def _refuse_unknown(policy: str) -> None:
    """Raise `augmentation-unknown` for the first section that timm would not obey."""
    kind, *sections = policy.split("-")
    ranges = _SECTIONS.get(kind, _OF_AUTOAUGMENT)
    numbers: dict[str, float] = {}
    for section in sections:
        if kind == "rand" and section in _TRANSFORM_SETS:
            continue
        read = re.fullmatch(r"([a-z]+)(\d+(\.\d+)?)", section)
        key = read[1] if read else ""
        if not read or key not in ranges or key in numbers or (read[3] and key not in _FRACTIONS):
            raise _unknown(policy, f"{section or 'an empty part'} says nothing to {kind}", ranges, kind)
        numbers[key] = float(read[2])
        least, greatest = ranges[key]
        if not least <= numbers[key] <= greatest:
            bound = f"at least {least:g}" if greatest == inf else f"{least:g} to {greatest:g}"
            raise _unknown(policy, f"{key} is {bound}, not {read[2]}", ranges, kind)
    greatest = numbers.get("mmax", _GREATEST_MAGNITUDE)
    if numbers.get("m", 0) > greatest:
        bound = f"m is 0 to {greatest:g}, not {numbers['m']:g}" + ("; mmax sets another end" if kind == "rand" else "")
        raise _unknown(policy, bound, ranges, kind)


def _unknown(policy: str, reason: str, ranges: Iterable[str], kind: str) -> TlvError:
    known = [*ranges, *(_TRANSFORM_SETS if kind == "rand" else ())]
    return TlvError(
        "augmentation-unknown",
        f"timm cannot read the augmentation {policy}: {reason}",
        f"{kind} takes {', '.join(known)}; with a number each, as in rand-m9-mstd0.5-inc1",
    )


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
