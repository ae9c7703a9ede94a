"""What the labels decide: stratified samples and hold-outs, the same for the same generator; weights of classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def stratified_sample(
    labels: Sequence[int], num_images: int, generator: torch.Generator, *, keep_one: bool = False
) -> list[int]:
    """Return `num_images` positions, sorted, with every class in proportion (largest remainder).

    With `keep_one` no class gives its last image; where that leaves too few, fewer come back.
    """
    import torch

    by_class: dict[int, list[int]] = {}
    for position, label in enumerate(labels):
        by_class.setdefault(label, []).append(position)
    classes = sorted(by_class)
    ceilings = [len(by_class[label]) - keep_one for label in classes]
    # Equal remainders are settled by lot, lest small samples always show the first classes.
    lot = torch.randperm(len(classes), generator=generator).tolist()
    counts = _largest_remainder(ceilings, min(num_images, sum(ceilings)), lot)
    taken: list[int] = []
    for label, count in zip(classes, counts, strict=True):
        positions = by_class[label]
        order = torch.randperm(len(positions), generator=generator)[:count].tolist()
        taken += [positions[place] for place in order]
    return sorted(taken)


def hold_out(labels: Sequence[int], share: float, generator: torch.Generator) -> tuple[list[int], list[int]]:
    """Return the positions that stay and those held out: a stratified `share`, one image at the least."""
    held_out = stratified_sample(labels, max(1, round(share * len(labels))), generator, keep_one=True)
    taken = set(held_out)
    return [position for position in range(len(labels)) if position not in taken], held_out


def class_weights(labels: Sequence[int], num_classes: int) -> Tensor:
    """Return weights [num_classes] that give each class the same say, 1 in the mean over the images.

    n / (k * images of the class), with k the classes that have images; the others weigh 0.
    """
    import torch

    counts = torch.bincount(torch.tensor(labels), minlength=num_classes)
    weights = len(labels) / (counts.count_nonzero() * counts)
    return weights.where(counts > 0, 0.0)


def _largest_remainder(sizes: Sequence[int], total: int, lot: Sequence[int]) -> list[int]:
    """Divide `total` in proportion to `sizes`; no share exceeds its size, because total <= sum(sizes)."""
    whole = sum(sizes)
    # In integers: a float's rounding must not decide who gets an image.
    quotas = [divmod(size * total, whole) if whole else (0, 0) for size in sizes]
    counts = [quota for quota, _ in quotas]
    by_remainder = sorted(range(len(sizes)), key=lambda place: (-quotas[place][1], lot[place]))
    for place in by_remainder[: total - sum(counts)]:
        counts[place] += 1
    return counts
