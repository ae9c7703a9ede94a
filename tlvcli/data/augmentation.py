"""What training does to its images, named: a policy for each image, mixing within a batch, erasing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tlvcli.core.errors import TlvError, did_you_mean
from tlvcli.data.timm_policies import TIMM_POLICIES, timm_step

if TYPE_CHECKING:
    from PIL.Image import Image

    from tlvcli.core.provenance import Preprocessing

ErasingMode = Literal["constant", "pixel"]
POLICIES = ("standard", "none", "randaugment", "autoaugment", "trivialaugment")
# RandAugment at the strength of torchvision's and timm's recipes for ImageNet.
_MAGNITUDE = 9


@dataclass(frozen=True)
class Augmentation:
    """The augmentation of one training run.

    `policy` is one of `POLICIES` or a string of timm's; every policy but `none` stands on top of the standard crop
    and mirror. `mixup` and `cutmix` are the alphas of their Beta distributions, 0 for off; `erasing` is the share of
    images that lose a rectangle, filled with the mean (`constant`) or with normal noise (`pixel`).
    """

    policy: str = "standard"
    mixup: float = 0.0
    cutmix: float = 0.0
    erasing: float = 0.0
    erasing_mode: ErasingMode = "constant"

    @property
    def varies(self) -> bool:
        """Whether an image looks different from epoch to epoch."""
        return self.policy != "none" or self.erasing > 0 or self.mixes

    @property
    def mixes(self) -> bool:
        """Whether images of a batch are mixed, so that its labels become shares of classes."""
        return self.mixup > 0 or self.cutmix > 0


def policy_steps(policy: str, preprocessing: Preprocessing) -> list[Callable[[Image], Image]]:
    """Return what a policy adds after crop and mirror: nothing for `standard` and `none`.

    The steps draw from torch's global generator alone, timm's too. The torchvision policies are RandAugment (Cubuk
    et al. 2020) at magnitude 9, AutoAugment's ImageNet policy (Cubuk et al. 2019), TrivialAugment wide (Müller and
    Hutter 2021).

    Raises:
        TlvError: `augmentation-unknown`, or `extra-missing` for a string of timm's without timm.
    """
    if policy in ("standard", "none"):
        return []
    if policy.partition("-")[0] in TIMM_POLICIES:
        return [timm_step(policy, preprocessing)]
    from torchvision.transforms import InterpolationMode, v2

    interpolation = InterpolationMode(preprocessing.interpolation)
    match policy:
        case "randaugment":
            return [v2.RandAugment(magnitude=_MAGNITUDE, interpolation=interpolation)]
        case "autoaugment":
            return [v2.AutoAugment(interpolation=interpolation)]
        case "trivialaugment":
            return [v2.TrivialAugmentWide(interpolation=interpolation)]
    raise TlvError(
        "augmentation-unknown",
        f"no augmentation is called {policy}",
        f"{did_you_mean(policy, POLICIES)}; timm's strings are taken too, as rand-m9-mstd0.5-inc1",
    )
