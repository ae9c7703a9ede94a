"""Closed-form fitting: each target layer in turn becomes the best linear predictor of what the source computes there.

Ours. In the order of the forward pass, on the target as it is fitted so far, so that what one layer misses the next
ones can make up for. No labels and no gradient; images are read several times and none is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch

from tlvcli.core.errors import TlvError
from tlvcli.core.graph import ModelGraph
from tlvcli.core.plan import TransferPlan
from tlvcli.methods.fitting.ahead import Errand, looking_ahead
from tlvcli.methods.fitting.options import FitOptions
from tlvcli.methods.fitting.patches import Fittable
from tlvcli.methods.fitting.points import FitPoint, Skipped, find_points
from tlvcli.methods.fitting.sight import Sight, UnseenError
from tlvcli.methods.fitting.turn import Batches, FittedLayer, take_turn
from tlvcli.models.load_state import load_state

if TYPE_CHECKING:
    from torch import Tensor, nn

_NUM_IMAGES = 64


@dataclass(frozen=True, eq=False)
class Fitting:
    """The target's changed tensors by name, what became of every layer, and what the user should know."""

    state: Mapping[str, Tensor]
    layers: tuple[FittedLayer, ...]
    warnings: tuple[str, ...]


def fit(
    target: nn.Module,
    source: nn.Module,
    batches: Batches,
    *,
    plan: TransferPlan,
    target_graph: ModelGraph,
    source_graph: ModelGraph,
    options: FitOptions,
) -> Fitting:
    """Fit the target's layers to the source's activations on images without labels; no module is written to.

    Args:
        target: the target as the plan has started it.
        source: the source, in evaluation mode.
        batches: gives pairs (images as the target takes them, the same images as the source takes them), the same in
            the same order each time.
        plan: says which channels of the source the target's are.
        target_graph: the target's, which knows the way of its channels.
        source_graph: the source's, which does, too.
        options: choices of the fit.

    Raises:
        TlvError: `fit-too-few-images`, where there are too few for any layer; `activations-not-finite`;
            `channels-unknown`, where a network cannot be traced.
    """
    assert not source.training
    work = deepcopy(target).eval().requires_grad_(False)
    num_images, one = _count(batches)
    if one is None:
        raise TlvError("fit-too-few-images", "there is no image to fit to", "a fit takes a few hundred images")
    points = find_points(plan, target_graph, source_graph)
    turns, rows = _turns(points, work, source, one, options)
    shown = partial(_small, batches, flip=options.flip)
    theirs = looking_ahead(
        source,
        [errand for _, errand in turns],
        num_images=num_images * (2 if options.flip else 1),
        room=options.keep_mb << 20,
    )
    for number, (sight, _) in enumerate(turns):
        turn = take_turn(sight, partial(theirs, number), shown, num_images, options)
        rows.update((row.layer, row) for row in turn.rows)
        load_state(work, turn.tensors)
    layers = tuple(rows[point.layer] for point in points)
    _refuse_too_few(layers)
    before = target.state_dict()
    state = {name: tensor for name, tensor in work.state_dict().items() if not torch.equal(tensor, before[name])}
    return Fitting(state, layers, _warnings(layers))


def _count(batches: Batches) -> tuple[int, tuple[Tensor, Tensor] | None]:
    """Return the number of images, and the first as both networks take it."""
    num_images, one = 0, None
    for images, source_images in batches():
        if one is None and len(images):
            one = images[:1].clone(), source_images[:1].clone()
        num_images += len(images)
    return num_images, one


def _turns(
    points: tuple[FitPoint | Skipped, ...],
    work: nn.Module,
    source: nn.Module,
    one: tuple[Tensor, Tensor],
    options: FitOptions,
) -> tuple[list[tuple[Sight, Errand]], dict[str, FittedLayer]]:
    """Return the turns in order, each with what it needs of the source, and what to say of layers that take none."""
    known = {point.layer: point for point in points if isinstance(point, FitPoint)}
    turns: list[tuple[Sight, Errand]] = []
    rows: dict[str, FittedLayer] = {}
    planned: set[str] = set()
    for point in points:
        if point.layer in planned:
            continue
        reason = _reason_to_skip(point, work, options)
        if reason or isinstance(point, Skipped):
            rows[point.layer] = FittedLayer(point.layer, (), note=reason)
            continue
        reader = known.get(point.reader or "") if options.hidden == "select" else None
        for last in (reader, point) if reader and not _reason_to_skip(reader, work, options) else (point,):
            sight = Sight(work, source, point, last)
            try:
                turns.append((sight, sight.errand(*one)))
            except UnseenError as error:
                rows[point.layer] = FittedLayer(point.layer, point.sources, note=str(error))
                continue
            planned.update(each.layer for each in sight.points)
            break
    return turns, rows


def _small(batches: Batches, *, flip: bool) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches so small that what is made of them stays near the processor; with `flip`, mirrored ones, too."""
    for images, source_images in batches():
        for start in range(0, len(images), _NUM_IMAGES):
            some = slice(start, start + _NUM_IMAGES)
            yield images[some], source_images[some]
            if flip:
                yield images[some].flip(-1), source_images[some].flip(-1)


def _reason_to_skip(point: FitPoint | Skipped, work: nn.Module, options: FitOptions) -> str:
    if isinstance(point, Skipped):
        return point.reason
    layer = work.get_submodule(point.layer)
    if not isinstance(layer, Fittable) or "weight" not in layer._parameters:
        return f"a {type(layer).__name__} is not fitted"
    if point.end.norm is not None and not work.get_submodule(point.end.norm).affine:
        return "its batch normalisation has no scale to set"
    return "fit.head is false" if point.is_head and not options.head else ""


def _refuse_too_few(layers: tuple[FittedLayer, ...]) -> None:
    """Raise `fit-too-few-images` where no layer was fitted for want of images."""
    needed = [row.num_needed for row in layers if row.num_needed is not None]
    if needed and not any(row.r2 is not None for row in layers):
        raise TlvError(
            "fit-too-few-images",
            f"too few images for a fit: {min(needed)} would do for one layer, {max(needed)} for all",
            "give more images; they need no labels",
        )


def _warnings(layers: tuple[FittedLayer, ...]) -> tuple[str, ...]:
    short = {row.layer: row.num_needed for row in layers if row.num_needed is not None}
    warnings = []
    if short:
        some = ", ".join(list(short)[:3]) + (", ..." if len(short) > 3 else "")
        counted = f"{len(short)} of {len(layers)} layers"
        warnings.append(f"fit: too few images for {counted}: {some}; {max(short.values())} would do for all")
    if all(row.r2 is None for row in layers):
        warnings.append("fit: no layer was fitted; the report says why")
    return tuple(warnings)
