"""`tlv-reference` against what the authors' own code computed: to the bit, row by row and model by model."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from tlvcli.core.errors import TlvError
from tlvcli.core.graph import Layer, TensorSpec
from tlvcli.core.plan import LayerMatch, TransferPlan
from tlvcli.core.provenance import Architecture
from tlvcli.core.tensors import TensorsInMemory
from tlvcli.methods.execute import execute
from tlvcli.methods.mapping.options import VarianceReferenceOptions
from tlvcli.methods.mapping.variance_reference import choose, map_by_centre, map_convolution
from tlvcli.methods.matching.index import sources_for_targets
from tlvcli.methods.tlv_reference import plan_tlv_reference
from tlvcli.models.builders import build_skeleton
from tlvcli.models.graph import graph_of_module

MODES = {
    "maxVar": "max-var",
    "minVar": "min-var",
    "twoTailed": "two-tailed",
    "interLeaved": "interleaved",
    "random": "random",
}


def test_index_matching(golden: dict[str, Any]) -> None:
    assert len(golden["index_matching"]) == 11
    for row in golden["index_matching"]:
        assert list(sources_for_targets(row["num_source"], row["num_target"])) == row["source_for_target"]


def test_candidates(golden: dict[str, Any]) -> None:
    assert len(golden["choose_candidate"]) == 36
    for row in golden["choose_candidate"]:
        chosen = choose(torch.tensor([row["values"]]), MODES[row["mode"]], row["n"], torch.Generator())
        assert chosen[0].tolist() == row["indices"], (row["mode"], row["n"])


def _match(name: str, source: torch.Tensor, target: torch.Tensor, suffix: str = "weight") -> LayerMatch:
    def layer(tensor: torch.Tensor) -> Layer:
        return Layer(name, "conv2d", (TensorSpec(f"{name}.{suffix}", tuple(tensor.shape), "float32"),))

    return LayerMatch(layer(target), layer(source), "by hand")


def _run(mapped: Any, name: str, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    plan = TransferPlan(mapped.rows, mapped.arrays)
    return dict(execute(plan, TensorsInMemory({name: source}), {name: target}))[name]


def test_every_convolution_row(golden: dict[str, Any], golden_tensors: dict[str, torch.Tensor]) -> None:
    compared = refused = 0
    for row in golden["var_transfer"]:
        if "keep" not in row:
            continue
        source, target = golden_tensors[f"{row['case']}.source"], golden_tensors[f"{row['case']}.target"]
        options = VarianceReferenceOptions(
            keep=MODES[row["keep"]],
            remove=MODES[row["remove"]],
            pool=row["pool"],
            shuffle="independent" if row["shuffle"] else "off",
        )
        before = source.clone(), target.clone()
        generator = torch.Generator().manual_seed(row.get("seed", 0))
        match = _match("conv", source, target)
        if "error" in row:
            with pytest.raises(TlvError) as caught:
                map_convolution(match, source, target, options=options, generator=generator)
            assert caught.value.error_id == "reference-undefined"
            refused += 1
            continue
        mapped = map_convolution(match, source, target, options=options, generator=generator)
        out = _run(mapped, "conv.weight", source, target)
        assert torch.equal(out, golden_tensors[row["out"]]), row
        assert torch.equal(source, before[0])
        assert torch.equal(target, before[1])
        compared += 1
    assert (compared, refused) == (132, 10)


def test_every_bias_and_matrix_row(golden: dict[str, Any], golden_tensors: dict[str, torch.Tensor]) -> None:
    rows = [row for row in golden["var_transfer"] if "keep" not in row]
    assert [row["case"] for row in rows] == [
        "bias_up",
        "bias_down",
        "linear_up",
        "linear_down",
        "linear_mixed",
    ]
    for row in rows:
        source, expected = golden_tensors[f"{row['case']}.source"], golden_tensors[row["out"]]
        target = torch.zeros_like(expected)
        generator = torch.Generator().manual_seed(row["seed"])
        mapped = map_by_centre(_match("fc", source, target), "weight", source, target, generator=generator)
        assert torch.equal(_run(mapped, "fc.weight", source, target), expected), row


def fill(module: torch.nn.Module, start: float) -> None:
    """Fill as tests/golden/README.md says, in chunks that fit the cache."""
    for number, tensor in enumerate(module.state_dict().values()):
        if tensor.is_floating_point():
            flat, phase = tensor.view(-1), start + 0.1 * number
            for begin in range(0, flat.numel(), CHUNK):
                part = flat[begin : begin + CHUNK]
                index = torch.arange(begin, begin + part.numel(), dtype=torch.float64)
                scale = (index % 97).mul_(0.001).add_(1)
                part.copy_(index.mul_(0.7310585).add_(phase).sin_().mul_(scale))


CHUNK = 1 << 17
WHOLE_MODELS = [
    ("vgg11", "resnet18"),
    ("resnet18", "mobilenet_v2"),
    ("resnet34", "resnet18"),
    ("resnet18", "resnet34"),
    ("mobilenet_v2", "shufflenet_v2_x1_0"),
    ("alexnet", "vgg11"),
    ("resnet18", "resnet18"),
]


def _filled(name: str, start: float, num_classes: int) -> torch.nn.Module:
    skeleton = build_skeleton(Architecture(name=name, num_classes=num_classes))
    module = copy.deepcopy(skeleton).to_empty(device="cpu")
    fill(module, start)
    return module.eval()


@pytest.fixture
def _two_threads() -> Iterator[None]:
    """The last bits of a mean depend on the number of threads; the figures were recorded with two."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("_two_threads")
@pytest.mark.parametrize(("source_name", "target_name"), WHOLE_MODELS)
def test_whole_model(golden: dict[str, Any], source_name: str, target_name: str) -> None:
    row = next(row for row in golden["models"] if (row["source"], row["target"]) == (source_name, target_name))
    source = _filled(source_name, row["fill"]["source"], 1000)
    target = _filled(target_name, row["fill"]["target"], row["num_classes"])
    tensors = TensorsInMemory(source.state_dict())
    graphs = graph_of_module(source), graph_of_module(target)
    plan = plan_tlv_reference(
        tensors,
        graphs[0],
        target.state_dict(),
        graphs[1],
        options=VarianceReferenceOptions(),
        seed=row["tlv"]["seed"],
    )
    expected = dict(row["tlv"]["sha256"])
    for name, tensor in execute(plan, tensors, target.state_dict()):
        if name in expected:
            assert hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest() == expected.pop(name), name
    assert not expected


def test_source_without_linear_layer_is_refused(golden: dict[str, Any]) -> None:
    row = next(row for row in golden["models"] if row["source"] == "squeezenet1_1")
    assert "NaN" in row["tlv"]["skipped"]
    source, target = _filled("squeezenet1_1", 1.0, 1000), _filled("resnet18", 2.0, 10)
    with pytest.raises(TlvError, match="no linear layer"):
        plan_tlv_reference(
            TensorsInMemory(source.state_dict()),
            graph_of_module(source),
            target.state_dict(),
            graph_of_module(target),
            options=VarianceReferenceOptions(),
            seed=2,
        )
