"""One network that several processes teach: each its share of every batch, and all the same step."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from tlvcli.core.runtime import make_generator, seeded_globally
from tlvcli.methods.finetuning.plan import Phase
from tlvcli.pipelines.training.job import TrainingJob
from tlvcli.pipelines.training.losses import training_loss

if TYPE_CHECKING:
    from torch import Tensor

    Network = Callable[[Tensor], Any]


def share_network(network: Network, phase: Phase, parameters: Mapping[str, Tensor], idle: frozenset[str]) -> Network:
    """Return the network with a backward pass that averages the gradients of all processes.

    What trains in the phase must be marked so already: gradients of the rest are never exchanged. `idle` parameters,
    which nobody would ever send, are unmarked. The statistics of batch normalisation are those of the first process,
    which the others take over before every step.
    """
    from torch import nn
    from torch.nn.parallel import DistributedDataParallel

    assert isinstance(network, nn.Module)
    # A penalty gives a gradient to what the loss does not know.
    held = {name for group in phase.groups if group.l2 or group.l2_sp for name in group.parameters}
    for name in idle - held:
        parameters[name].requires_grad_(False)
    return DistributedDataParallel(network)


def keep_to_ourselves(network: Network) -> AbstractContextManager[None]:
    """Return the context of a batch whose gradient others get with that of a later one of the step."""
    from torch.nn.parallel import DistributedDataParallel

    return network.no_sync() if isinstance(network, DistributedDataParallel) else nullcontext()


def find_idle_parameters(job: TrainingJob) -> frozenset[str]:
    """Return the names of parameters that the loss of a batch does not depend on; `job.module` stays as it is."""
    import torch

    probe = copy.deepcopy(job.module).train().requires_grad_(True)
    size, channels = job.preprocessing.image_size, job.preprocessing.channels
    images = torch.rand(2, channels, size, size, generator=make_generator(0, "idle")).to(job.device)
    labels = torch.zeros(2, dtype=torch.int64, device=job.device)
    parameters = dict(probe.named_parameters())
    with seeded_globally(0, "idle"):
        loss = training_loss(probe(images), labels)
    gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    return frozenset(name for name, gradient in zip(parameters, gradients, strict=True) if gradient is None)
