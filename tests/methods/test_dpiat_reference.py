"""`dpiat-reference` against what the authors' own code computed: pairs, and whole models to the bit."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import torch
from torch import nn

from tests.methods.conftest import Planner
from tests.methods.test_tlv_reference import _filled
from tlvcli.core.errors import TlvError
from tlvcli.core.tensors import TensorsInMemory
from tlvcli.methods.dpiat_reference import match_layers, plan_dpiat_reference
from tlvcli.methods.execute import execute
from tlvcli.methods.options import NoOptions
from tlvcli.models.graph import graph_of_module, graph_of_tensors

NUM_MODELS = 8


def test_every_model_is_compared(golden: dict[str, Any]) -> None:
    assert len(golden["models"]) == NUM_MODELS
    assert all(row["dpiat"]["pairs"] and row["dpiat"]["sha256"] for row in golden["models"])


@pytest.mark.parametrize("number", range(NUM_MODELS))
def test_whole_model(golden: dict[str, Any], number: int) -> None:
    row = golden["models"][number]
    source = _filled(row["source"], row["fill"]["source"], 1000)
    target = _filled(row["target"], row["fill"]["target"], row["num_classes"])
    graphs = graph_of_module(source), graph_of_module(target)
    assert [[have.name, want.name] for have, want in match_layers(*graphs)] == row["dpiat"]["pairs"]

    tensors, state = TensorsInMemory(source.state_dict()), target.state_dict()
    plan = plan_dpiat_reference(tensors, graphs[0], state, graphs[1], options=NoOptions(), seed=0)
    expected = dict(row["dpiat"]["sha256"])
    for name, tensor in execute(plan, tensors, state):
        if name in expected:
            assert hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest() == expected.pop(name), name
    assert not expected
    matched = {f"{want}.{suffix}" for _, want in row["dpiat"]["pairs"] for suffix in ("weight", "bias")}
    assert {entry.tensor for entry in plan.rows if entry.source} <= matched


def test_running_statistics_stay_as_theirs_do(plan: Planner) -> None:
    source, target = (nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)) for _ in range(2))
    source[1].running_mean.fill_(3.0)
    made, tensors = plan("dpiat-reference", source, target)
    assert {row.tensor: row.operation for row in made.rows} == {
        "0.weight": "copy",
        "0.bias": "copy",
        "1.weight": "copy",
        "1.bias": "copy",
        "1.running_mean": "keep",
        "1.running_var": "keep",
        "1.num_batches_tracked": "keep",
    }
    assert float(tensors["1.running_mean"].abs().max()) == 0.0


def test_where_theirs_crashes_it_says_so(plan: Planner) -> None:
    source, target = nn.Sequential(nn.BatchNorm2d(4, affine=False)), nn.Sequential(nn.BatchNorm2d(4))
    with pytest.raises(TlvError, match="BatchNorm2d without a weight") as caught:
        plan("dpiat-reference", source, target)
    assert caught.value.error_id == "reference-undefined"
    made, _ = plan("dpiat-reference", source, nn.Sequential(nn.BatchNorm1d(4)))  # another class is never compared
    assert {row.operation for row in made.rows} == {"keep"}


def test_a_source_known_by_names_is_warned_of() -> None:
    source, target = (nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Linear(4, 2)) for _ in range(2))
    tensors, state = TensorsInMemory(source.state_dict()), target.state_dict()
    made = plan_dpiat_reference(
        tensors, graph_of_tensors(tensors.specs), state, graph_of_module(target), options=NoOptions(), seed=0
    )
    assert "blocks come from the names" in made.warnings[0]
    assert all(torch.equal(tensor, tensors.read(name)) for name, tensor in execute(made, tensors, state))
