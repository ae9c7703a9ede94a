"""Within a family, coherent keeps what the source computes, or comes as near as the sizes allow."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.methods.coherent.nets import Concatenated, Depthwise, Gated, Padded, Vgg, trained, with_grey_images
from tests.methods.coherent.test_across import Residuals
from tests.methods.conftest import Planner, odd_net, plain_net
from tests.methods.test_breadth import ARCHITECTURES
from tlvcli.core.graph import ModelGraph
from tlvcli.core.plan import TransferPlan
from tlvcli.core.provenance import Architecture
from tlvcli.core.tensors import TensorsInMemory
from tlvcli.methods.check_plan import refuse_misfit
from tlvcli.methods.coherent.family import plan_family
from tlvcli.methods.coherent.options import CoherentOptions
from tlvcli.methods.coherent.pairs import pair_by_channels, spread, spread_names
from tlvcli.methods.coherent.plan import plan_coherent
from tlvcli.methods.execute import execute
from tlvcli.models.builders import build, build_skeleton
from tlvcli.models.graph import graph_of_module, graph_of_tensors
from tlvcli.models.load_state import load_state

Net = Callable[..., nn.Module]


def _skeleton(name: str) -> tuple[dict[str, Tensor], ModelGraph]:
    module = build_skeleton(Architecture(name=name, num_classes=10))
    return module.state_dict(), graph_of_module(module)


def _difference(plan: Planner, source: nn.Module, target: nn.Module, **choices: str) -> float:
    """Return max |f - f'| over the largest |f|."""
    trained(source), trained(target, seed=1)
    tensors = plan("coherent", source, target, **choices)[1]
    for name, own in target.state_dict().items():
        own.copy_(tensors[name])
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    before, after = source(images), target(images)
    return float((before - after).abs().max() / before.abs().max())


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_same_architecture_is_copied(name: str) -> None:
    state, graph = _skeleton(name)
    made = plan_coherent(TensorsInMemory(state), graph, state, graph, options=CoherentOptions(), seed=0)
    assert {row.operation for row in made.rows} == {"copy"}
    assert [(row.tensor, row.source) for row in made.rows] == [(name, name) for name in state]
    assert made.coverage(graph) == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_copy_of_the_same_architecture_computes_the_same_to_the_bit(name: str) -> None:
    source, target = (build(Architecture(name=name, num_classes=10), seed=seed).eval() for seed in (0, 1))
    graph, state = graph_of_module(target), target.state_dict()
    tensors = TensorsInMemory(source.state_dict())
    made = plan_coherent(tensors, graph_of_module(source), state, graph, options=CoherentOptions(), seed=0)
    load_state(target, dict(execute(made, tensors, state)))
    # Transformers take their own size alone, and Inception nothing below 75 px.
    size = 224 if name.startswith(("vit", "swin")) else 96
    images = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert float((source(images) - target(images)).abs().max()) == 0.0


_SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("densenet121", "efficientnet_b0", "vit_b_16")]


@pytest.mark.parametrize("name", ["resnet18", "shufflenet_v2_x1_0", *_SLOW])
def test_index_maps_of_equal_sizes_are_identities(name: str) -> None:
    state, graph = _skeleton(name)
    assert graph.channels is not None
    groups = graph.channels(), graph.channels()
    pairs = pair_by_channels(graph, graph, groups)
    made = plan_family(TensorsInMemory(state), graph, groups, pairs, options=CoherentOptions(), seed=0)
    assert made is not None
    assert {row.operation for row in made.rows} == {"copy"}


@pytest.mark.parametrize("net", [Padded, Concatenated, Depthwise, Gated, Vgg])
@pytest.mark.parametrize(("factor", "shares"), [(2, 0.0), (2, 0.1), (3, 0.5)])
def test_wider_by_a_whole_factor_computes_the_same(plan: Planner, net: Net, factor: int, shares: float) -> None:
    assert _difference(plan, net(4), net(4 * factor, seed=7), shares=shares) < 1e-5


@pytest.mark.parametrize("factor", [2, 3])
def test_a_wider_residual_net_with_convolutions_beside_its_blocks_computes_the_same(plan: Planner, factor: int) -> None:
    assert _difference(plan, Residuals((4, 8)), Residuals((4 * factor, 8 * factor), seed=7)) < 1e-5


def test_padded_shortcuts_double_in_place(plan: Planner) -> None:
    made, _ = plan("coherent", Padded(4), Padded(8, seed=7))
    for name, width in (("conv1.weight", 4), ("layer2.0.conv2.weight", 8)):
        assert torch.equal(made.arrays[f"{name}:index0"], torch.arange(2 * width) // 2)


@pytest.mark.parametrize(("shares", "part"), [(0.0, False), (0.1, True)])
def test_uneven_shares_tell_copies_apart(plan: Planner, shares: float, part: bool) -> None:
    source, target = plain_net((4, 6)), plain_net((8, 12), seed=3)
    target.load_state_dict(plan("coherent", source, target, shares=shares)[1])
    with torch.enable_grad():
        target.eval()(torch.randn(8, 3, 8, 8)).square().sum().backward()
    gradient = target[0].weight.grad
    assert gradient is not None
    # Copies that differ by a factor only would stay one channel under Adam.
    cosine = F.cosine_similarity(gradient[::2].flatten(1), gradient[1::2].flatten(1))
    assert bool((cosine < 0.999).any()) is part
    assert part or torch.allclose(gradient[::2], gradient[1::2], rtol=1e-4, atol=1e-5)


class _Summed(nn.Sequential):
    def forward(self, images: Tensor) -> Tensor:
        return self[1](torch.cumsum(self[0](images), dim=1)).mean((2, 3))  # type: ignore[no-any-return]


def test_operations_that_channels_are_not_followed_through_are_named(plan: Planner) -> None:
    source, target = (_Summed(nn.Conv2d(3, width, 3), nn.Conv2d(width, 5, 3)) for width in (4, 8))
    warnings = plan("coherent", source, target)[0].warnings
    assert any("through the operation cumsum" in warning for warning in warnings)
    assert not plan("coherent", plain_net(), plain_net((16, 24)))[0].warnings


def test_another_width_takes_the_nearest_channels(plan: Planner) -> None:
    made, tensors = plan("coherent", source := plain_net((4, 6)), plain_net((7, 6), seed=3), shares=0.0)
    nearest = [0, 0, 1, 1, 2, 2, 3]
    assert made.arrays["0.weight:index0"].tolist() == nearest
    assert torch.equal(tensors["1.running_var"], source.state_dict()["1.running_var"][nearest])
    share = torch.tensor([0.5] * 6 + [1.0])[None, :, None, None]
    torch.testing.assert_close(tensors["3.weight"], source.state_dict()["3.weight"][:, nearest] * share)


def test_narrower_takes_the_filters_of_largest_variance_and_readers_follow(plan: Planner) -> None:
    source, target = trained(plain_net((12, 9))), plain_net((5, 4), seed=3)
    tensors = plan("coherent", source, target)[1]
    state = {name: tensor.numpy() for name, tensor in source.state_dict().items()}
    first, second = (
        sorted(state[name].reshape(len(state[name]), -1).var(1).argsort()[-num:])
        for name, num in (("0.weight", 5), ("3.weight", 4))
    )
    assert (tensors["0.weight"].numpy() == state["0.weight"][first]).all()
    assert (tensors["1.running_mean"].numpy() == state["1.running_mean"][first]).all()
    assert (tensors["3.weight"].numpy() == state["3.weight"][second][:, first]).all()
    assert (tensors["8.weight"].numpy() == state["8.weight"][:, second]).all()
    even = plan("coherent", source, target, channels="even")[0]
    assert even.arrays["3.weight:index0"].tolist() == [0, 3, 5, 8]


def test_a_narrower_stream_of_padded_shortcuts_keeps_its_middle(plan: Planner) -> None:
    made, _ = plan("coherent", Padded(8), Padded(4, seed=7))
    stem, stream = made.arrays["conv1.weight:index0"], made.arrays["layer2.0.conv2.weight:index0"]
    assert torch.equal(stream[2:6], stem + 4)  # the shortcut pads four channels on each side of eight
    new = stream[[0, 1, 6, 7]]
    assert bool(((new < 4) | (new >= 12)).all())
    assert len(torch.unique(stream)) == 8
    assert torch.equal(made.arrays["linear.weight:index1"], stream)


def test_deeper_computes_the_same(plan: Planner) -> None:
    assert _difference(plan, Padded(4, depth=2), Padded(4, seed=7, depth=5)) < 1e-5
    assert _difference(plan, Padded(4, depth=2), Padded(8, seed=7, depth=3)) < 1e-5
    assert _difference(plan, Vgg(4), Vgg(8, seed=7, depth=2)) < 1e-5


def test_new_blocks_stand_between_the_old(plan: Planner) -> None:
    rows = {row.tensor: row for row in plan("coherent", Padded(4, depth=2), Padded(4, seed=7, depth=4))[0].rows}
    sources = [rows[f"layer1.{block}.conv1.weight"].source for block in range(4)]
    assert sources == ["layer1.0.conv1.weight", None, "layer1.1.conv1.weight", None]
    assert rows["layer1.1.bn2.weight"].parameters == {"value": 0.0}


def test_fewer_blocks_are_chosen_evenly() -> None:
    assert spread(range(9), 3) == [0, 3, 6]
    assert spread("ab", 5) == ["a", None, "b", None, None]
    names = [f"layer1.{block}.conv.weight" for block in range(9)]
    assert list(spread_names(names, names[:3]).values()) == [names[0], names[3], names[6]]
    assert spread_names(["stages.0.blocks.1.x.bias"], ["stages.0.blocks.7.x.bias"]) == {
        "stages.0.blocks.7.x.bias": "stages.0.blocks.1.x.bias"
    }


class _Renamed(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.inner = net

    def forward(self, images: Tensor) -> Tensor:
        return self.inner(images)


def test_other_names_for_the_same_layers_are_seen_through(plan: Planner) -> None:
    assert _difference(plan, Padded(4), _Renamed(Padded(4, seed=7))) == 0.0
    assert _difference(plan, Concatenated(4), _Renamed(Concatenated(8, seed=7))) < 1e-5


def test_a_larger_kernel_has_the_source_in_its_centre(plan: Planner) -> None:
    assert _difference(plan, Padded(4), Padded(4, seed=7, kernel=7)) < 1e-5
    assert _difference(plan, Padded(4), Padded(8, seed=7, kernel=5), shares=0.0) < 1e-5


class _Tokens(nn.Module):
    def __init__(self, side: int, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.side = side
        self.patches, self.norm, self.head = nn.Conv2d(3, 6, 4, 4), nn.LayerNorm(6), nn.Linear(6, 4)
        self.class_token = nn.Parameter(torch.randn(1, 1, 6))
        self.pos_embedding = nn.Parameter(torch.randn(1, side * side + 1, 6))

    def forward(self, images: Tensor) -> Tensor:
        tokens = nn.functional.adaptive_avg_pool2d(self.patches(images), self.side).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(len(images), -1, -1), tokens], 1) + self.pos_embedding
        return self.head(self.norm(tokens).mean(1))


def test_position_embeddings_are_resized_as_images(plan: Planner) -> None:
    source, target = _Tokens(4), _Tokens(7, seed=3)
    made, tensors = plan("coherent", source, target)
    table = source.pos_embedding.detach()
    grid = F.interpolate(table[:, 1:].transpose(1, 2).reshape(1, 6, 4, 4), (7, 7), mode="bicubic")
    torch.testing.assert_close(tensors["pos_embedding"][:, 1:], grid.flatten(2).transpose(1, 2))
    assert torch.equal(tensors["pos_embedding"][:, :1], table[:, :1])
    assert {row.operation for row in made.rows} == {"copy", "resize"}


@pytest.mark.parametrize(("net", "first"), [(Padded, "conv1"), (Vgg, "0"), (Concatenated, "stem")])
def test_a_grey_image_gives_what_it_gives_in_colour(plan: Planner, net: Net, first: str) -> None:
    source, target = trained(net(4)), trained(with_grey_images(net(4, seed=7), first), seed=1)
    made, tensors = plan("coherent", source, target)
    target.load_state_dict(tensors)
    images = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(target(images), source(images.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-5)
    row = next(row for row in made.rows if row.tensor == f"{first}.weight")
    assert row.parameters == {"colours": "sum"}
    assert row.reason.endswith("colours added up")
    refuse_misfit(made, TensorsInMemory(source.state_dict()).specs, tuple(graph_of_module(target).tensors()))


def test_grey_images_take_all_colours_of_a_source_that_is_known_by_names_alone() -> None:
    source, target = plain_net((4, 6)), with_grey_images(plain_net((8, 6), seed=3), "0")
    made = _plan_blind(source, target)
    tensors = dict(execute(made, TensorsInMemory(source.state_dict()), target.state_dict()))
    wanted = source.state_dict()["0.weight"].sum(1, keepdim=True).repeat_interleave(2, 0)
    torch.testing.assert_close(tensors["0.weight"], wanted)


def test_another_number_of_classes_keeps_the_targets_head(plan: Planner) -> None:
    source, target = plain_net((4, 6), num_classes=5), plain_net((8, 6), num_classes=3, seed=3)
    made, tensors = plan("coherent", source, target)
    assert torch.equal(tensors["8.weight"], target.state_dict()["8.weight"])
    assert {row.tensor for row in made.rows if row.operation == "keep"} == {"8.weight", "8.bias"}


def _plan_blind(source: nn.Module, target: nn.Module) -> TransferPlan:
    tensors, state = TensorsInMemory(source.state_dict()), target.state_dict()
    graphs = graph_of_tensors(tensors.specs), graph_of_module(target)
    return plan_coherent(tensors, graphs[0], state, graphs[1], options=CoherentOptions(), seed=0)


def test_names_alone_tell_a_family_and_a_warning_says_so() -> None:
    made = _plan_blind(plain_net((4, 6)), plain_net((8, 6), seed=3))
    assert "known by names and shapes alone" in made.warnings[0]
    assert "every dimension by itself" in made.warnings[0]
    assert made.arrays["3.weight:index1"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert made.arrays["3.weight:scale1"].tolist() == [0.5] * 8
    assert {row.operation for row in _plan_blind(odd_net(), odd_net(5)).rows} == {"copy"}


def test_shapes_alone_are_matched_as_dpiat_does() -> None:
    made = _plan_blind(odd_net(), Padded(4))
    assert made.warnings[0].endswith("layers matched by shape, as dpiat does")
    assert any(row.source for row in made.rows)
