"""Fits of tiny networks: what can be recovered is, and what cannot is said."""

from __future__ import annotations

import weakref

import pytest
import torch
from torch import nn

from tests.methods.fitting.nets import Batches, Residual, chain, fitted, images, seeded, spoil, started, with_state
from tlvcli.core.errors import TlvError
from tlvcli.methods.fitting.sight import Sight


def test_a_spoilt_copy_computes_what_the_source_computes_again() -> None:
    source, target = seeded(Residual, 2), seeded(Residual, 2, seed=1)
    plan = started(source, target)
    spoil(target, ["blocks.0.conv1", "blocks.0.conv2", "blocks.1.conv2", "head"])
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    fitting = fitted(target, source, plan, images())
    assert all(torch.equal(tensor, before[name]) for name, tensor in target.state_dict().items())
    rows = {row.layer: row for row in fitting.layers}
    assert rows["stem"].note == "left as it is: it gives what the source gives"
    assert rows["blocks.0.conv2"].r2_before < 0.9
    assert all(row.r2 > 1 - 1e-6 for row in fitting.layers)
    new = images(5, 12) + 1
    assert float((with_state(target, fitting)(new) - source(new)).abs().max()) < 1e-3


def test_grouped_depthwise_strided_and_linear_layers_are_recovered() -> None:
    source, target = seeded(chain), seeded(chain, seed=1)
    plan = started(source, target)
    spoil(target, ["0", "2", "5", "10", "12"])
    fitting = fitted(target, source, plan, images())
    assert [row.layer for row in fitting.layers] == ["0", "2", "5", "10", "12"]
    # Behind a ReLU that lets little through, equations are near singular; what it gives is what counts.
    assert all(row.r2 > 1 - 1e-4 for row in fitting.layers)
    assert float((with_state(target, fitting)(images()) - source(images())).abs().max()) < 2e-2


def test_half_the_blocks_come_nearer_to_the_source_than_copies_of_half_of_them() -> None:
    source, target = seeded(Residual, 4, 6), seeded(Residual, 2, 6, seed=1)
    plan = started(source, target)
    shown = images(100)
    copied = float((target(shown) - source(shown)).square().mean())
    fitting = fitted(target, source, plan, shown, ridge="auto")
    for row in fitting.layers[1:]:
        assert row.r2 > row.r2_before
    assert float((with_state(target, fitting)(shown) - source(shown)).square().mean()) < 0.5 * copied
    assert "6 channels of 2 layers" in next(row.note for row in fitting.layers if row.layer == "blocks.0.conv1")


def test_a_normalisation_has_the_statistics_of_what_it_reads() -> None:
    source, target = seeded(Residual, 4, 6), seeded(Residual, 2, 6, seed=1)
    plan = started(source, target)
    spread = float(target.blocks[0].conv1.weight.std(correction=0))
    net = with_state(target, fitted(target, source, plan, images()))
    seen: list[torch.Tensor] = []
    net.blocks[0].conv1.register_forward_hook(lambda _module, _args, output: seen.append(output))
    net(images())
    torch.testing.assert_close(net.blocks[0].bn1.running_mean, seen[0].mean((0, 2, 3)), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        net.blocks[0].bn1.running_var, seen[0].var((0, 2, 3), correction=0), atol=1e-4, rtol=1e-4
    )
    assert float(net.blocks[0].conv1.weight.std(correction=0)) == pytest.approx(spread, rel=1e-4)


def test_mirrored_images_are_twice_as_many() -> None:
    source, target = seeded(Residual, 2), seeded(Residual, 1, seed=1)
    plan = started(source, target)
    plain, mirrored = (fitted(target, source, plan, images(20), flip=flip).layers[-1] for flip in (False, True))
    assert (plain.num_samples, mirrored.num_samples) == (20, 40)


def test_batches_and_memory_change_how_it_is_computed_and_not_what() -> None:
    source, target = seeded(Residual, 2), seeded(Residual, 1, seed=1)
    plan = started(source, target)
    shown = images()
    kept, anew = Batches(shown), Batches(shown, 7)
    with_room = fitted(target, source, plan, kept, ridge=1e-3)
    without = fitted(target, source, plan, anew, ridge=1e-3, keep_mb=0)
    assert set(with_room.state) == set(without.state)
    for name, tensor in with_room.state.items():
        torch.testing.assert_close(tensor, without.state[name], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(("keep_mb", "grows"), [(0, False), (64, True)])
def test_values_of_batches_are_kept_only_where_there_is_room(
    keep_mb: int, grows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = seeded(Residual, 2), seeded(Residual, 1, seed=1)
    plan = started(source, target)
    refs: list[weakref.ref[torch.Tensor]] = []
    num_alive: list[int] = []
    values_of = Sight.own

    def watched(self: Sight, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        num_alive.append(sum(ref() is not None for ref in refs))
        found = values_of(self, batch)
        refs.extend(weakref.ref(tensor) for tensor in found.values())
        return found

    monkeypatch.setattr(Sight, "own", watched)
    most = []
    for num in (60, 160):
        refs.clear()
        num_alive.clear()
        fitted(target, source, plan, Batches(images(num), 20), keep_mb=keep_mb)
        most.append(max(num_alive))
    assert (most[1] > most[0]) == grows


def test_too_few_images_say_how_many_it_needs() -> None:
    source, target = seeded(Residual, 2), seeded(Residual, 1, seed=1)
    plan = started(source, target)
    target.stem.weight.data += 0.1
    with pytest.raises(TlvError, match="5 would do for one layer, 10 for all") as caught:
        fitted(target, source, plan, images(2, 2))
    assert caught.value.error_id == "fit-too-few-images"
    with pytest.raises(TlvError, match="no image"):
        fitted(target, source, plan, images(0))


def test_layers_with_too_few_images_are_left_alone_and_named() -> None:
    source, target = seeded(Residual, 2), seeded(Residual, 1, seed=1)
    plan = started(source, target)
    fitting = fitted(target, source, plan, images(3))
    (head,) = (row for row in fitting.layers if row.layer == "head")
    assert head.note == "too few images: 5 unknowns for each channel need 5, there are 3"
    assert "head.weight" not in fitting.state
    assert fitting.warnings == ("fit: too few images for 1 of 4 layers: head; 5 would do for all",)


def test_activations_that_are_not_finite_are_refused() -> None:
    source, target = seeded(Residual, 2), seeded(Residual, 1, seed=1)
    plan = started(source, target)
    source.blocks[0].conv1.weight.data[0] = float("nan")
    with pytest.raises(TlvError, match=r"blocks\.0\.conv2") as caught:
        fitted(target, source, plan, images())
    assert caught.value.error_id == "activations-not-finite"


def test_constant_activations_are_said() -> None:
    source, target = seeded(Residual, 2), seeded(Residual, 1, seed=1)
    plan = started(source, target)
    source.stem.weight.data[0], source.stem.bias.data[0] = 0.0, 0.0
    target.stem.weight.data[0], target.stem.bias.data[0] = 0.0, 0.0
    fitting = fitted(target, source, plan, images(), ridge=1e-3)
    note = next(row.note for row in fitting.layers if row.layer == "blocks.0.conv1")
    assert "9 of 36 inputs never vary" in note
    assert all(tensor.isfinite().all() for tensor in fitting.state.values())


def test_images_that_are_all_the_same_have_a_solution_and_say_so() -> None:
    source, target = seeded(Residual, 2), seeded(Residual, 1, seed=1)
    plan = started(source, target)
    fitting = fitted(target, source, plan, 30 * torch.ones_like(images()), ridge="auto")
    assert any("hardly vary" in row.note for row in fitting.layers)
    assert all(tensor.isfinite().all() for tensor in fitting.state.values())


def test_a_network_of_another_family_is_fitted_where_blocks_stand_for_blocks() -> None:
    source, target = seeded(chain), seeded(Residual, 1)
    plan = started(source, target)
    fitting = fitted(target, source, plan, images(), ridge="auto")
    assert {row.layer for row in fitting.layers} == {"stem", "blocks.0.conv1", "blocks.0.conv2", "head"}
    assert all(row.r2 is not None or row.note for row in fitting.layers)


def test_a_head_is_left_alone_where_that_is_asked_for() -> None:
    source, target = seeded(Residual, 2), seeded(Residual, 1, seed=1)
    plan = started(source, target)
    fitting = fitted(target, source, plan, images(), head=False)
    assert "head.weight" not in fitting.state
    assert fitting.layers[-1].note == "fit.head is false"


def test_the_networks_own_modes_and_gradients_stay() -> None:
    source, target = seeded(Residual, 2), seeded(Residual, 1, seed=1)
    plan = started(source, target)
    target.train()
    fitted(target, source, plan, images())
    assert target.training and not source.training
    assert all(p.requires_grad for net in (source, target) for p in net.parameters() if isinstance(p, nn.Parameter))
