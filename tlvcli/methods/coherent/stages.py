"""Which block of the source feeds which block of the target: in order, and stage by stage where stages agree."""

from __future__ import annotations

from collections.abc import Sequence

from tlvcli.methods.coherent.blocks import Block
from tlvcli.methods.coherent.pairs import spread


def match_blocks(source: Sequence[Block], target: Sequence[Block]) -> list[Block | None]:
    """Return the source block of each target block; None where the target has more of them.

    With as many stages on both sides a stage feeds its counterpart, else all blocks are one sequence. Where the source
    has more blocks than the target, they are chosen evenly, from the first.
    """
    stages, own_stages = (list(dict.fromkeys(block.stage for block in blocks)) for blocks in (source, target))
    if len(stages) != len(own_stages):
        return spread(source, len(target))
    fed: list[Block | None] = []
    for stage, own in zip(stages, own_stages, strict=True):
        have = [block for block in source if block.stage == stage]
        fed += spread(have, sum(block.stage == own for block in target))
    return fed
