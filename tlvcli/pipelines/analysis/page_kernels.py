"""The kernels of a page: their distributions, their maps, and the images that drive them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Literal

from tlvcli.data.image_dataset import ImageDataset
from tlvcli.pages.distribution_chart import Distribution
from tlvcli.pages.pictures import colour_map, photograph
from tlvcli.pages.values import DrivingImage, KernelView, LayerKernels
from tlvcli.pipelines.analysis.page_choice import candidates, choose_general
from tlvcli.pipelines.analysis.page_looks import KernelSample, Pictures, Sample, Scene, sample_kernels, take_pictures
from tlvcli.pipelines.analysis.result import ShiftedLayer

if TYPE_CHECKING:
    from torch import Tensor

_PHOTOGRAPHS, _DRIVING = 4, 3
_ROLES: tuple[Literal["source"], Literal["target"]] = ("source", "target")
_MAP_SIDE, _PHOTOGRAPH_SIDE = 56, 112
_BRIGHTEST = 0.995


@dataclass(frozen=True)
class KernelPages:
    """What the page shows closely: images of both sets, some layers with maps, the others without."""

    source_photographs: tuple[str, ...]
    target_photographs: tuple[str, ...]
    shown: tuple[LayerKernels, ...]
    folded: tuple[LayerKernels, ...]


@dataclass(frozen=True)
class _Chosen:
    """Two kernels of a layer: their numbers, and where they are in the samples; the most shifted first."""

    layer: ShiftedLayer
    numbers: tuple[int, ...]
    places: tuple[int, ...]


def look_at_kernels(
    scene: Scene,
    layers: Sequence[ShiftedLayer],
    statistic: int,
    shown: Sequence[str],
    source: ImageDataset,
    target: ImageDataset,
    *,
    larger_is_shifted: bool,
) -> KernelPages:
    """Look again at some images of both sets; the kernels are those that statistic number `statistic` names."""
    numbers = {
        layer.name: candidates(layer.statistics[statistic], larger_is_shifted=larger_is_shifted) for layer in layers
    }
    samples = sample_kernels(scene, numbers, source), sample_kernels(scene, numbers, target)
    chosen = [_choose(layer, numbers[layer.name], samples) for layer in layers]
    close = [each for each in chosen if each.layer.name in shown]
    driving = {each.layer.name: _driving(each, samples) for each in close}
    wanted = {each.layer.name: each.numbers for each in close}
    spread = [_spread(sample.positions) for sample in samples]
    pictures = []
    for side, dataset in enumerate((source, target)):
        far = [position for sides in driving.values() for position, _ in sides[side]]
        pictures.append(take_pictures(scene.only(shown), wanted, dataset, [*spread[side], *far]))
    photographs = [
        tuple(show_photograph(each, position) for position in positions)
        for each, positions in zip(pictures, spread, strict=True)
    ]
    views = {each.layer.name: _view(each, statistic, samples) for each in chosen}
    for each in close:
        name = each.layer.name
        views[name] = _with_maps(views[name], pictures, spread, driving[name], (source, target))
    return KernelPages(
        source_photographs=photographs[0],
        target_photographs=photographs[1],
        shown=tuple(views[name] for name in wanted),
        folded=tuple(view for name, view in views.items() if name not in wanted),
    )


def _choose(layer: ShiftedLayer, numbers: Sequence[int], samples: tuple[Sample, Sample]) -> _Chosen:
    general = choose_general(*(sample.layers[layer.name] for sample in samples))
    places = (0,) if general is None else (0, general)
    return _Chosen(layer, tuple(numbers[place] for place in places), places)


def _spread(positions: Sequence[int]) -> list[int]:
    """Return a few from the front of the set to its end, where folders of other classes are."""
    ordered = sorted(positions)
    count = min(_PHOTOGRAPHS, len(ordered))
    return [ordered[(2 * number + 1) * len(ordered) // (2 * count)] for number in range(count)]


def _driving(chosen: _Chosen, samples: Sequence[Sample]) -> list[list[tuple[int, float]]]:
    """Return of either set the images whose mean of log|a| is farthest from the other set's, and the factor of |a|."""
    means = [sample.layers[chosen.layer.name].log_means[:, chosen.places[0]] for sample in samples]
    found = []
    for own, other, sample in zip(means, reversed(means), samples, strict=True):
        gaps = own - other.mean()
        order = gaps.abs().argsort(descending=True, stable=True)[:_DRIVING]
        found.append([(sample.positions[place], gaps[place].exp().item()) for place in order.tolist()])
    return found


def _view(chosen: _Chosen, statistic: int, samples: tuple[Sample, Sample]) -> LayerKernels:
    layer = chosen.layer
    source, target = (sample.layers[layer.name] for sample in samples)
    distances = layer.statistics[statistic].kernels
    assert distances is not None
    kernels = [
        KernelView(
            number=number,
            role=role,
            distance=distances[number],
            is_specific=number in layer.specific,
            source=_distribution(source, place),
            target=_distribution(target, place),
        )
        for number, place, role in zip(chosen.numbers, chosen.places, ("most shifted", "least shifted"), strict=False)
    ]
    return LayerKernels(layer.name, layer.share, kernels)


def _distribution(sample: KernelSample, place: int) -> Distribution:
    return Distribution(sample.zeros[place].item(), tuple(sample.density[place].tolist()))


def _with_maps(
    view: LayerKernels,
    pictures: Sequence[Pictures],
    spread: Sequence[Sequence[int]],
    driving: Sequence[Sequence[tuple[int, float]]],
    datasets: Sequence[ImageDataset],
) -> LayerKernels:
    if view.name not in pictures[0].maps:
        return view
    kernels = []
    for place, kernel in enumerate(view.kernels):
        maps = [_maps(each, view.name, place) for each in pictures]
        near = _draw(maps, spread)
        far = driving if place == 0 else ((), ())
        of_far = _draw(maps, [[position for position, _ in found] for found in far])
        images = [
            DrivingImage(
                role=_ROLES[side],
                where=_name(datasets[side], position),
                photograph=show_photograph(pictures[side], position),
                map=address,
                times=times,
            )
            for side in (0, 1)
            for (position, times), address in zip(far[side], of_far[side], strict=True)
        ]
        kernels.append(replace(kernel, source_maps=near[0], target_maps=near[1], driving=images))
    return LayerKernels(view.name, view.share, kernels)


def _maps(pictures: Pictures, layer: str, place: int) -> Mapping[int, Tensor]:
    from torch.nn.functional import adaptive_avg_pool2d

    maps = pictures.maps[layer][:, place]
    height, width = (min(_MAP_SIDE, side) for side in maps.shape[-2:])
    return dict(zip(pictures.positions, adaptive_avg_pool2d(maps, (height, width)), strict=True))


def _draw(maps: Sequence[Mapping[int, Tensor]], wanted: Sequence[Sequence[int]]) -> list[list[str]]:
    """Return the addresses of the maps of both sets at the wanted positions, on one scale from 0."""
    import torch

    drawn = [[values[position] for position in positions] for values, positions in zip(maps, wanted, strict=True)]
    values = [each.flatten() for side in drawn for each in side]
    # A few outliers should not darken all the rest.
    brightest = torch.cat(values).quantile(_BRIGHTEST).item() if values else 0.0
    return [[colour_map(each.numpy(), 0, brightest) for each in side] for side in drawn]


def show_photograph(pictures: Pictures, position: int) -> str:
    """Return the address of the image at a position, smaller and in colour or grey."""
    import numpy as np
    from PIL import Image

    pixels = pictures.images[pictures.positions.index(position)].numpy()
    image = Image.fromarray(pixels if pixels.shape[-1] == 3 else pixels[..., 0])
    image.thumbnail((_PHOTOGRAPH_SIDE, _PHOTOGRAPH_SIDE))
    return photograph(np.asarray(image))


def _name(dataset: ImageDataset, position: int) -> str:
    """Return the end of an image's path, which tells it within its set."""
    return "/".join(PurePath(dataset.where(position)).parts[-2:])
