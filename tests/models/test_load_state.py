"""Tensors go into a module by name, also where its layers ask for the version of what they load."""

from __future__ import annotations

import pytest
import torch
from torchvision.models import mnasnet0_5

from tlvcli.models.load_state import load_state


def test_some_tensors_change_and_the_rest_stays() -> None:
    # MNASNet refuses a plain dictionary: it looks for the version that its own one carries.
    module = mnasnet0_5(num_classes=2)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    bias = torch.tensor([1.0, 2.0])
    load_state(module, {"classifier.1.bias": bias})
    assert torch.equal(module.state_dict()["classifier.1.bias"], bias)
    assert all(
        torch.equal(now, before[name]) for name, now in module.state_dict().items() if name != "classifier.1.bias"
    )
    with pytest.raises(RuntimeError, match="Unexpected key"):
        load_state(module, {"classifier.2.bias": bias})
