import gc
import weakref

import pytest
import torch
from torch import nn

from tlvcli.core.graph import TensorSpec
from tlvcli.core.tensors import TensorsInMemory
from tlvcli.methods.weights import statistics
from tlvcli.methods.weights.histogram import weight_histogram
from tlvcli.methods.weights.statistics import weight_statistics


@pytest.fixture
def network() -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 5))
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def test_long_tensors_are_merged_from_chunks(network: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list(weight_statistics(TensorsInMemory(network)))
    monkeypatch.setattr(statistics, "CHUNK", 7)
    for one, other in zip(whole, weight_statistics(TensorsInMemory(network)), strict=True):
        assert (one.spec, one.moments.count, one.moments.low) == (other.spec, other.moments.count, other.moments.low)
        assert one.moments.std == pytest.approx(other.moments.std, rel=1e-6)
        tensor = network[one.spec.name].double()
        assert one.moments.std == pytest.approx(float(tensor.std(correction=0)), rel=1e-6)


def test_he_std_follows_fan_in(network: dict[str, torch.Tensor]) -> None:
    he = {one.spec.name: one.he_std for one in weight_statistics(TensorsInMemory(network))}
    assert he["0.weight"] == pytest.approx((2 / 27) ** 0.5)
    assert he["3.weight"] == pytest.approx((2 / 8) ** 0.5)
    assert {name for name, value in he.items() if value} == {"0.weight", "3.weight"}


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float8_e4m3fn"])
def test_dead_channels(network: dict[str, torch.Tensor], dtype: str) -> None:
    network["0.weight"][2] = 0
    network["0.weight"][5] *= 1e-3
    network["3.weight"][4, :-1] = 0  # one weight is alive
    network["1.weight"][3] = -1e-4
    network["1.running_var"][:2] = torch.tensor([0.0, -1.0])
    stored = {name: tensor.to(getattr(torch, dtype)) for name, tensor in network.items()}
    found = {one.spec.name: (one.channels, one.dead) for one in weight_statistics(TensorsInMemory(stored))}
    assert found["0.weight"] == ("filter", (2, 5))
    assert found["3.weight"] == ("filter", ())
    assert found["1.weight"] == ("scale", (3,))
    assert found["1.running_var"] == ("variance", (0, 1))
    assert found["0.bias"] == (None, ())


def test_filters_of_few_weights_are_dead_only_at_zero() -> None:
    weight = torch.ones(4, 1, 1, 3)
    weight[1] = 0
    weight[2] = 1e-5
    (one,) = weight_statistics(TensorsInMemory({"conv.weight": weight}))
    assert one.dead == (1,)


def test_no_more_is_held_than_the_largest_needs() -> None:
    sizes = (10, 100, 60, 30, 20, 50, 1, 400)
    tensors = {f"{number}.weight": torch.ones(size) for number, size in enumerate(sizes)}
    tensors["5.weight"] = tensors["5.weight"].double()
    tensors["7.weight"] = tensors["7.weight"].bool()
    held: list[weakref.ref[object]] = []

    class Watched(TensorsInMemory):
        def read_bytes(self, name: str) -> memoryview:
            gc.collect()
            view = super().read_bytes(name)
            live = [ref() for ref in held]
            assert sum(one.nbytes for one in live if isinstance(one, memoryview)) + view.nbytes <= 400
            held.append(weakref.ref(view))
            return view

    assert [one.moments.count for one in weight_statistics(Watched(tensors))] == list(sizes)


def test_empty_and_scalar_tensors() -> None:
    tensors = {"a.weight": torch.empty(0, 3), "b": torch.tensor(2.0), "c.weight": torch.empty(3, 0)}
    found = list(weight_statistics(TensorsInMemory(tensors)))
    assert [one.moments.count for one in found] == [0, 1, 0]
    assert found[0].spec == TensorSpec("a.weight", (0, 3), "float32")
    assert found[0].he_std is None


def test_histogram(monkeypatch: pytest.MonkeyPatch) -> None:
    values = torch.tensor([0.0, 1.0, 1.5, 4.0, float("nan"), float("inf")])
    source = TensorsInMemory({"a": values, "b": torch.full((2,), float("nan"))})
    monkeypatch.setattr("tlvcli.methods.weights.histogram.CHUNK", 2)
    found = weight_histogram(source, "a", bins=4)
    assert found is not None
    assert (found.counts, found.edges) == ((1, 2, 0, 1), (0.0, 1.0, 2.0, 3.0, 4.0))
    assert weight_histogram(source, "b") is None
