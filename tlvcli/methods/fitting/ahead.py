"""What the source computes, for several turns in one pass: for as many as there is memory to hold it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tlvcli.methods.fitting.observe import Place, observe

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tlvcli.methods.fitting.replay import Values


@dataclass(frozen=True, eq=False)
class Errand:
    """What one turn needs: places in the source, and what it makes of their values.

    Of every image `made_bytes` are made, and `own_bytes` of the target are held beside them while the turn lasts.
    """

    places: Collection[Place]
    make: Callable[[Mapping[Place, Tensor], int], Values]
    made_bytes: int
    own_bytes: int


def looking_ahead(
    source: nn.Module, errands: Sequence[Errand], *, num_images: int, room: int
) -> Callable[[int, int, Tensor], Values]:
    """Return what gives a turn, by its number, what it needs of a batch, by its number and images.

    Turns come in order, and ask for the same batches. A pass that must be goes on to the places of the turns after it,
    as far as what is made of all `num_images` fits into `room` bytes; they take it from there, and it is gone.
    """
    ends = stretches([errand.made_bytes * num_images for errand in errands], _own(errands, num_images), room)
    stored: dict[tuple[int, int], Values] = {}

    def values(turn: int, number: int, images: Tensor) -> Values:
        for past in [key for key in stored if key[0] < turn]:
            del stored[past]
        if (turn, number) in stored:
            return stored.pop((turn, number))
        later = [other for other in range(turn + 1, ends[turn]) if (other, number) not in stored]
        places = {place for each in (turn, *later) for place in errands[each].places}
        found = observe(source, images, places)
        stored.update(((each, number), errands[each].make(found, len(images))) for each in later)
        return errands[turn].make(found, len(images))

    return values


def stretches(made: Sequence[int], own: Sequence[int], room: int) -> list[int]:
    """Return for each turn the end of the stretch of turns that one pass serves, at least the turn itself.

    At each of its turns what is `made` for it and those after it, and its `own`, all in bytes, must fit into the room.
    """
    ends: list[int] = []
    while len(ends) < len(made):
        start, end = len(ends), len(ends) + 1
        while end < len(made) and all(own[t] + sum(made[t : end + 1]) <= room for t in range(start, end + 1)):
            end += 1
        ends += [end] * (end - start)
    return ends


def _own(errands: Sequence[Errand], num_images: int) -> list[int]:
    return [errand.own_bytes * num_images for errand in errands]
