"""Devices by name, and random streams that do not touch each other."""

from __future__ import annotations

import pytest
import torch

from tlvcli.core.errors import TlvError
from tlvcli.core.runtime import choose_device, derive_seed, make_generator, seeded_globally


def test_devices() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type in ("cpu", "cuda")
    for name in ("gpu", "cuda:x", "cuda:99", "cpu:a"):
        with pytest.raises(TlvError) as caught:
            choose_device(name)
        assert caught.value.error_id == "device-unavailable"


def test_streams_are_named() -> None:
    assert derive_seed(0, "a", 1) == derive_seed(0, "a", 1)
    assert len({derive_seed(0, "a", 1), derive_seed(0, "a1"), derive_seed(1, "a", 1), derive_seed(0, "a", "2")}) == 4
    assert 0 <= derive_seed(7, "x") < 2**63
    draws = [torch.rand(4, generator=make_generator(0, "a")) for _ in range(2)]
    assert torch.equal(draws[0], draws[1])


def test_the_global_generator_is_borrowed() -> None:
    before = torch.get_rng_state()
    with seeded_globally(0, "x"):
        first = torch.rand(3)
    with seeded_globally(0, "x"):
        assert torch.equal(torch.rand(3), first)
    assert torch.equal(torch.get_rng_state(), before)
