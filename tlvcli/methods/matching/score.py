"""How alike two layers are."""

from __future__ import annotations

from tlvcli.methods.matching.items import Form


def shape_score(source: Form | None, target: Form | None) -> float:
    """Return the product over dimensions of the smaller size over the larger; 0 for different groups or ranks (DPIAT).

    1 is the same shape; 64x64x3x3 against 128x64x3x3 is 0.5; an empty tensor is like nothing.
    """
    if source is None or target is None or source.group != target.group:
        return 0.0
    assert source.shape is not None
    assert target.shape is not None
    if len(source.shape) != len(target.shape):
        return 0.0
    score = 1.0
    for have, want in zip(source.shape, target.shape, strict=True):
        score *= min(have, want) / max(have, want, 1)
    return score
