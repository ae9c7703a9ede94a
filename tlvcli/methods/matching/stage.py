"""Matching by stage: layers of one kind and one output size are paired first to first, second to second."""

from __future__ import annotations

from collections.abc import Mapping

from tlvcli.core.channels import Site


def match_by_stage(source: Mapping[str, Site], target: Mapping[str, Site]) -> dict[str, str]:
    """Return the source layer of each target layer that has one; both are in the order of the forward pass.

    A stage ends where the size of the image changes, so that a deeper target's new layers are the last of theirs.
    """
    waiting: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    for name, site in source.items():
        waiting.setdefault((site.operation, site.size), []).append(name)
    pairs: dict[str, str] = {}
    for name, site in target.items():
        queue = waiting.get((site.operation, site.size))
        if queue:
            pairs[name] = queue.pop(0)
    return pairs
