"""A run's state on disk: tensors and place in one file, so that they cannot disagree.

Tensors that training never changes are not among them: a linear probe's state is a head. They come from the checkpoint
that the run began with, whose hash the state knows.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tlvcli.core.errors import TlvError
from tlvcli.core.tensors import TensorsInMemory
from tlvcli.io.atomic import atomic_file
from tlvcli.io.hashing import hash_file
from tlvcli.io.safetensors_writer import write_safetensors
from tlvcli.io.stored_tensors import stored_in_safetensors
from tlvcli.pipelines.training.modes import changing_tensors
from tlvcli.pipelines.training.run_folder import RunFolder
from tlvcli.pipelines.training.state import STATE_KIND, RunState, state_text
from tlvcli.pipelines.training.steps import Learner, PhaseRun

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

_OPTIMIZER = "optimizer."


def write_state(folder: RunFolder, state: RunState, learner: Learner, running: PhaseRun) -> None:
    """Replace the state in the folder by this one, whole or not at all; `running` is the phase that goes on.

    Raises:
        TlvError: `no-space` or `output-not-writable`; the old state is still there.
    """
    tensors = _tensors(learner, running)
    metadata = {"tlv_kind": STATE_KIND, STATE_KIND: state.model_dump_json()}
    sha256 = write_safetensors(
        folder.state_path, TensorsInMemory(tensors).specs, tensors.items(), metadata=metadata, force=True
    )
    with atomic_file(folder.state_text_path, force=True) as stream:
        stream.write(state_text(state, sha256).encode())


def refuse_damaged(folder: RunFolder, saved: RunState) -> None:
    """Raise `resume-invalid` where the tensors are not those that were written.

    A run that was killed between the two files leaves a text of the state before, which says nothing of these tensors.
    """
    if not folder.state_text_path.is_file():
        return
    said = json.loads(folder.state_text_path.read_bytes())
    is_of_these = (said.get("epoch"), said.get("step")) == (saved.epoch, saved.step)
    if is_of_these and said.get("sha256") != hash_file(folder.state_path):
        raise TlvError(
            "resume-invalid",
            f"{folder.state_path} is damaged: its sha256 is not the one in {folder.state_text_path.name}",
            "start another run from the checkpoint last.safetensors",
        )


def restore(folder: RunFolder, learner: Learner, running: PhaseRun, saved: RunState) -> None:
    """Write the saved state into the learner and the optimiser of the phase that goes on.

    Raises:
        TlvError: `resume-invalid` where it is that of another network.
    """
    import torch

    file = stored_in_safetensors(folder.state_path)
    stored = {spec.name: file.reader(spec.name) for spec in file.specs}
    kept = {name: tensor for name, tensor in stored.items() if not name.startswith(_OPTIMIZER)}
    own = _networks(learner)
    if {name: tensor.shape for name, tensor in kept.items()} != {name: tensor.shape for name, tensor in own.items()}:
        raise TlvError(
            "resume-invalid",
            f"{folder.state_path} is the state of another network",
            "the architecture's code has changed since the run began; bring it back, or begin another run",
        )
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(kept[name])
    _restore_optimizer(running.optimizer, learner.module, stored)
    if saved.scaler:
        learner.scaler.load_state_dict(saved.scaler)


def _tensors(learner: Learner, running: PhaseRun) -> dict[str, Tensor]:
    import torch

    # `state` makes an entry of what it is asked for and has not.
    state = running.optimizer.state
    of_optimizer = {
        f"{_OPTIMIZER}{name}.{key}": value
        for name, parameter in learner.module.named_parameters()
        if parameter in state
        for key, value in state[parameter].items()
        if isinstance(value, torch.Tensor)
    }
    return {**_networks(learner), **of_optimizer}


def _networks(learner: Learner) -> dict[str, Tensor]:
    """Return the module's own tensors that training changes, and those of the average."""
    changing = changing_tensors(learner.module, learner.job.plan)
    modules = {"network": learner.module, **({"average": learner.average.module} if learner.average else {})}
    return {
        f"{prefix}.{name}": tensor
        for prefix, module in modules.items()
        for name, tensor in module.state_dict().items()
        if name in changing
    }


def _restore_optimizer(optimizer: torch.optim.Optimizer, module: nn.Module, stored: dict[str, Tensor]) -> None:
    import torch

    names = {parameter: name for name, parameter in module.named_parameters()}

    by_name: dict[str, dict[str, Tensor]] = {}
    for name, tensor in stored.items():
        if name.startswith(_OPTIMIZER):
            parameter_name, _, key = name.removeprefix(_OPTIMIZER).rpartition(".")
            by_name.setdefault(parameter_name, {})[key] = tensor
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Any]] = {}
    for place, parameter in enumerate(parameters):
        # In the parameter's own memory format, which fused kernels rely on.
        values = {
            key: torch.empty_like(parameter).copy_(tensor) if tensor.shape == parameter.shape else tensor.clone()
            for key, tensor in by_name.get(names[parameter], {}).items()
        }
        if values:
            state[place] = values
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
