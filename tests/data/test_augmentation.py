from __future__ import annotations

import random
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from tlvcli.core.errors import TlvError
from tlvcli.core.runtime import seeded_globally
from tlvcli.data.augmentation import POLICIES, Augmentation, policy_steps
from tlvcli.data.torchvision_sets import ImageTraits
from tlvcli.data.transforms import default_preprocessing, evaluation_transform, training_transform

TRAITS = ImageTraits(32, 32)
AS_IN = "with a number each, as in rand-m9-mstd0.5-inc1"
TIMM_STRINGS = (
    "rand-m9-mstd0.5-inc1",
    "rand-m10-inc1",
    "rand-m20-mmax30-n3-p0.8-tweights",
    "augmix-m5-w4-d2",
    "augmix-a0.5-b1-mstd1",
    "original-mstd0.5",
    "originalr",
    "v0",
    "v0r-mstd0.5",
    "3a",
)


def _picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 44, 3), dtype=np.uint8))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("policy", [*POLICIES, *TIMM_STRINGS])
def test_a_policy_repeats_and_leaves_all_generators_alone(policy: str, channels: int) -> None:
    transform = training_transform(default_preprocessing(TRAITS, channels=channels), TRAITS, policy)
    picture = _picture() if channels == 3 else _picture().convert("L")
    before = (random.getstate(), repr(np.random.get_state()), torch.get_rng_state().tolist())
    views = []
    for number in (0, *range(12)):
        with seeded_globally(number):
            views.append(transform(picture))
    assert (random.getstate(), repr(np.random.get_state()), torch.get_rng_state().tolist()) == before
    assert {(view.shape, view.dtype) for view in views} == {(torch.Size([channels, 32, 32]), torch.uint8)}
    assert torch.equal(views[0], views[1])
    distinct = len({view.numpy().tobytes() for view in views})
    assert distinct == 1 if policy == "none" else distinct > 8


@pytest.mark.parametrize("policy", [*POLICIES[2:], *TIMM_STRINGS])
def test_a_policy_does_more_than_crop_and_mirror(policy: str) -> None:
    preprocessing = default_preprocessing(TRAITS)
    standard = training_transform(preprocessing, TRAITS)
    varied = training_transform(preprocessing, TRAITS, policy)
    changed = 0
    for number in range(16):
        with seeded_globally(number):
            plain = standard(_picture())
        with seeded_globally(number):
            changed += not torch.equal(varied(_picture()), plain)
    assert changed >= 4


def test_none_is_the_evaluation() -> None:
    preprocessing = default_preprocessing(ImageTraits(32, 36))
    ours = training_transform(preprocessing, TRAITS, "none")(_picture())
    assert torch.equal(ours, evaluation_transform(preprocessing)(_picture()))


def test_the_strongest_posterize_keeps_no_bit() -> None:
    # Pillow 13 refuses what timm asks for; before, it gave a black image.
    from tlvcli.data.timm_policies import _posterize

    pixels = np.asarray(_picture())
    for bits in (0, 1, 3, 8):
        kept = np.asarray(_posterize(_picture(), bits))
        np.testing.assert_array_equal(kept, pixels & (0xFF ^ (2 ** (8 - bits) - 1)))


@pytest.mark.parametrize(
    ("policy", "hint"),
    [
        ("randaug", "did you mean randaugment?; timm's strings are taken too, as rand-m9-mstd0.5-inc1"),
        ("rand-x9", f"rand takes m, mmax, n, p, mstd, inc, tweights, t3a, t3aw; {AS_IN}"),
        ("augmix-n2", f"augmix takes m, w, d, a, b, mstd; {AS_IN}"),
        ("original-m9", f"original takes mstd; {AS_IN}"),
    ],
)
def test_unknown_policies(policy: str, hint: str) -> None:
    with pytest.raises(TlvError) as caught:
        policy_steps(policy, default_preprocessing(TRAITS))
    assert (caught.value.error_id, caught.value.hint) == ("augmentation-unknown", hint)


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ("rand-m9-zz", "zz says nothing to rand"),
        ("rand-m9x", "m9x says nothing to rand"),
        ("rand-m9.5", "m9.5 says nothing to rand"),
        ("rand-m3-m4", "m4 says nothing to rand"),
        ("rand-tall", "tall says nothing to rand"),
        ("rand-mstdinf", "mstdinf says nothing to rand"),
        ("rand-", "an empty part says nothing to rand"),
        ("rand-m99", "m is 0 to 10, not 99; mmax sets another end"),
        ("rand-m31-mmax30", "m is 0 to 30, not 31; mmax sets another end"),
        ("augmix-m11", "m is 0 to 10, not 11"),
        ("rand-p1.5", "p is 0 to 1, not 1.5"),
        ("augmix-a0", "a is at least 0.001, not 0"),
        ("rand-n0", "n is at least 1, not 0"),
        ("v0-tweights", "tweights says nothing to v0"),
    ],
)
def test_what_timm_would_pass_over_is_named(policy: str, reason: str) -> None:
    with pytest.raises(TlvError) as caught:
        policy_steps(policy, default_preprocessing(TRAITS))
    assert caught.value.message == f"timm cannot read the augmentation {policy}: {reason}"


def test_timm_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm.data", None)
    with pytest.raises(TlvError) as caught:
        policy_steps("rand-m9-mstd0.5-inc1", default_preprocessing(TRAITS))
    assert (caught.value.error_id, caught.value.hint) == ("extra-missing", "pip install 'tlvcli[timm]'")
    assert len(policy_steps("randaugment", default_preprocessing(TRAITS))) == 1


def test_what_varies_and_what_mixes() -> None:
    still = Augmentation("none")
    assert not still.varies
    assert not still.mixes
    for augmentation in (Augmentation(), Augmentation("none", erasing=0.1), Augmentation("none", cutmix=1.0)):
        assert augmentation.varies
    assert Augmentation(mixup=0.2).mixes
    assert Augmentation(cutmix=0.2).mixes
