"""Values of all batches, again and again: what there is room for is kept, the rest is computed anew."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

Batch = TypeVar("Batch")
Values = Mapping[str, "Tensor"]


def replayed(
    batches: Callable[[], Iterable[Batch]],
    values_of: Callable[[int, Batch], Values],
    *,
    names: Collection[str],
    keep_bytes: int,
) -> Callable[[], Iterator[Values]]:
    """Return a function that iterates over the values of every batch, in the same order each time.

    `values_of` is given a batch's number and the batch. The first time there are all values, later those of these
    `names`. No more than `keep_bytes` are held, whatever the number of batches; where all are, the images are not
    read again.
    """
    kept: dict[int, Values] = {}
    room = [keep_bytes]
    is_complete: list[bool] = []

    def iterate() -> Iterator[Values]:
        if is_complete == [True]:
            yield from kept.values()
            return
        has_all = True
        for number, batch in enumerate(batches()):
            if number in kept:
                yield kept[number]
                continue
            values = values_of(number, batch)
            yield values
            again = {name: tensor for name, tensor in values.items() if name in names}
            has_all &= num_bytes(again) <= room[0]
            if num_bytes(again) <= room[0]:
                kept[number] = again
                room[0] -= num_bytes(again)
        is_complete[:] = [has_all]

    return iterate


def num_bytes(values: Values) -> int:
    """Return the memory that values take; a tensor with two names counts once."""
    return sum({tensor.data_ptr(): tensor.nbytes for tensor in values.values()}.values())
