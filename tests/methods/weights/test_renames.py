import torch

from tlvcli.core.tensors import TensorsInMemory
from tlvcli.methods.weights.renames import PrefixChange, Rename, find_prefix_change, find_renames


def renames(old: dict[str, torch.Tensor], new: dict[str, torch.Tensor]) -> dict[str, str]:
    reference, source = TensorsInMemory(old), TensorsInMemory(new)
    return {one.before: one.after for one in find_renames(reference, reference.specs, source, source.specs)}


def some(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_same_bytes_under_another_name() -> None:
    old = {"a.weight": some(3, 4), "b.weight": some(3, 4, seed=1), "c.weight": some(2)}
    new = {"y.weight": some(3, 4, seed=1), "x.weight": some(3, 4), "z.weight": some(2).double()}
    assert renames(old, new) == {"a.weight": "x.weight", "b.weight": "y.weight"}


def test_a_constant_follows_its_layer_only() -> None:
    zero = torch.zeros(3)
    old = {"a.weight": some(3, 4), "a.bias": zero, "b.bias": zero}
    new = {"n.bias": zero, "x.bias": zero, "x.weight": some(3, 4)}
    assert renames(old, new) == {"a.weight": "x.weight", "a.bias": "x.bias"}


def test_a_constant_layer_follows_the_prefix() -> None:
    layers = {"conv.weight": some(3, 4), "fc.weight": some(5), "bn.weight": torch.ones(3)}
    old = {f"backbone.{name}": tensor for name, tensor in layers.items()}
    assert renames(old, layers) == {f"backbone.{name}": name for name in layers}
    assert renames(layers, old) == {name: f"backbone.{name}" for name in layers}


def test_tied_weights_follow_their_layers_then_the_order() -> None:
    tied = some(4)
    old = {"a.weight": some(2), "a.tied": tied, "b.tied": tied, "c.tied": tied}
    new = {"z.tied": tied, "y.tied": tied, "x.tied": tied, "x.weight": some(2)}
    assert renames(old, new) == {"a.weight": "x.weight", "a.tied": "x.tied", "b.tied": "z.tied", "c.tied": "y.tied"}


def test_prefix_that_most_share() -> None:
    pairs = [Rename(f"backbone.{name}", name) for name in ("a.w", "b.w")] + [Rename("head.w", "fc.w")]
    assert find_prefix_change(pairs) == PrefixChange("backbone.", "", 2)
    assert find_prefix_change([Rename("a.b.w", "a.c.w"), Rename("a.b.v", "a.c.v")]) == PrefixChange("a.b.", "a.c.", 2)
    assert find_prefix_change([Rename("a.w", "b.w"), Rename("c.w", "d.w")]) is None
    assert find_prefix_change([]) is None
