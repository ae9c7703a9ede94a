from __future__ import annotations

import numpy as np
import torch

from tlvcli.data.order import deal, deal_whole, epoch_order, num_batches, num_evaluation_batches

LABELS = [0] * 900 + [1] * 90 + [2] * 10


def test_orders() -> None:
    assert epoch_order(LABELS, "in-order", 0, 1).tolist() == list(range(1000))
    assert epoch_order(LABELS, "repeated", 0, 1).tolist() == epoch_order(LABELS, "repeated", 0, 2).tolist()
    assert epoch_order(LABELS, "repeated", 0, 1).tolist() != list(range(1000))
    shuffled = [epoch_order(LABELS, "shuffled", seed, epoch) for seed, epoch in ((0, 1), (0, 2), (1, 1))]
    for order in shuffled:
        assert order.sort().values.tolist() == list(range(1000))
    assert len({tuple(order.tolist()) for order in shuffled}) == 3
    assert torch.equal(shuffled[0], epoch_order(LABELS, "shuffled", 0, 1))


def test_balanced_draws_each_class_equally_often() -> None:
    orders = [epoch_order(LABELS, "balanced", 0, epoch) for epoch in range(1, 21)]
    drawn = torch.cat(orders)
    assert len(drawn) == 20_000
    counts = np.bincount(np.array(LABELS)[drawn.numpy()])
    # Three standard deviations of a binomial with p = 1/3.
    assert np.abs(counts - 20_000 / 3).max() < 3 * np.sqrt(20_000 * 2 / 9)
    of_last_class = np.bincount(drawn[drawn >= 990] - 990)
    assert np.abs(of_last_class - 2000 / 3).max() < 4 * np.sqrt(2000 / 3)
    assert not torch.equal(orders[0], orders[1])
    assert torch.equal(orders[0], epoch_order(LABELS, "balanced", 0, 1))


def test_a_class_without_images_is_never_drawn() -> None:
    order = epoch_order([0, 0, 2], "balanced", 0, 1)
    assert set(order.tolist()) <= {0, 1, 2}


def test_deals_name_places_and_positions() -> None:
    order = torch.tensor([5, 3, 1, 0, 2, 4, 6])
    dealt = list(deal(order, epoch=2, batch_size=2, batches=2, rank=1, world_size=2))
    assert [(list(one.places), one.positions.tolist(), one.global_size, one.epoch) for one in dealt] == [
        ([1, 3], [3, 0], 4, 2),
        ([5], [4], 3, 2),
    ]
    later = list(deal(order, epoch=2, batch_size=2, batches=2, first=1, rank=1, world_size=2))
    assert [one.positions.tolist() for one in later] == [[4]]


def test_whole_batches_are_those_of_one_process() -> None:
    order = torch.tensor([5, 3, 1, 0, 2, 4, 6, 8, 7])
    alone = list(deal(order, epoch=1, batch_size=2, batches=5))
    for rank, expected in enumerate((alone[0::2], alone[1::2])):
        dealt = list(deal_whole(order, epoch=1, batch_size=2, rank=rank, world_size=2))
        assert [(one.places, one.positions.tolist(), one.global_size) for one in dealt] == [
            (one.places, one.positions.tolist(), one.global_size) for one in expected
        ]


def test_numbers_of_batches_agree_with_what_is_dealt() -> None:
    for num_images in range(1, 30):
        order = torch.arange(num_images)
        for world_size in (1, 2, 3):
            training = num_batches(num_images, 4, drop_single=True, world_size=world_size)
            for rank in range(world_size):
                batches = deal(order, epoch=1, batch_size=4, batches=training, rank=rank, world_size=world_size)
                assert all(len(one.positions) > 1 for one in batches)
            evaluation = [
                one.positions
                for rank in range(world_size)
                for one in deal(
                    order,
                    epoch=1,
                    batch_size=4,
                    batches=num_evaluation_batches(num_images, 4, rank=rank, world_size=world_size),
                    rank=rank,
                    world_size=world_size,
                )
            ]
            assert all(len(positions) for positions in evaluation)
            assert torch.cat(evaluation).sort().values.tolist() == list(range(num_images))
