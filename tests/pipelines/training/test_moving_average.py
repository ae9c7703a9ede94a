"""The moving average against torch's own."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tlvcli.pipelines.training.moving_average import start_average, update_average


def test_it_is_torchs_average_where_numbers_are_averaged() -> None:
    generator = torch.Generator().manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    expected = AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(0.8), use_buffers=True)
    average = start_average(module, 0.8)
    for step in range(4):
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=generator))
        module(torch.randn(5, 3, generator=generator))
        expected.update_parameters(module)
        update_average(average, module, is_first=step == 0)
    assert not torch.equal(average.module[0].weight, module[0].weight)
    for name, tensor in expected.module.state_dict().items():
        if tensor.is_floating_point():
            assert torch.equal(average.module.state_dict()[name], tensor), name
    assert average.module[1].num_batches_tracked == 4


def test_what_stands_still_stays_to_the_bit() -> None:
    module = nn.Sequential(nn.Linear(30, 40), nn.BatchNorm1d(40))
    module[1].num_batches_tracked.fill_(7)
    nn.init.normal_(module[1].running_mean, generator=torch.Generator().manual_seed(1))
    average = start_average(module, 0.99)
    for step in range(20):
        update_average(average, module, is_first=step == 0)
    assert all(torch.equal(tensor, module.state_dict()[name]) for name, tensor in average.module.state_dict().items())


def test_it_is_a_network_of_its_own_that_only_evaluates() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    average = start_average(module.train(), 0.9)
    assert module.training
    assert not average.module.training
    assert not any(parameter.requires_grad for parameter in average.module.parameters())
    assert average.module[0].weight.data_ptr() != module[0].weight.data_ptr()
