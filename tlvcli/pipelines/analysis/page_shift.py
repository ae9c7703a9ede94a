"""The page of a shift: the report in pictures, and a closer look at some kernels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tlvcli.core.report import InputInfo, OutputInfo
from tlvcli.core.runtime import Stopwatch
from tlvcli.core.wording import counted
from tlvcli.data.image_dataset import ImageDataset
from tlvcli.io.pages import write_page
from tlvcli.methods.statistics.bins import ACTIVATION_BINS
from tlvcli.methods.statistics.table import find_statistic
from tlvcli.pages.distance_chart import Band, LayerPoint
from tlvcli.pages.page import render_shift_page
from tlvcli.pages.values import Facts, LayerView, ShiftPage, StatisticView
from tlvcli.pipelines.analysis.page_choice import choose_shown
from tlvcli.pipelines.analysis.page_kernels import KernelPages, look_at_kernels
from tlvcli.pipelines.analysis.page_looks import SAMPLED_IMAGES, Scene
from tlvcli.pipelines.analysis.result import ImagesSeen, LayerStatistic, ShiftedLayer, ShiftSection
from tlvcli.pipelines.page_origin import command_line, describe_origin

_RULES = {
    "null percentile": "beyond the 95th percentile without a shift, per layer",
    "threshold": "beyond the threshold given",
    "fraction": "the largest distances, the share given",
    "alpha": "at the false-discovery rate given",
    "seed-kl": "beyond its window, {low:g} to 1",
}
_STAGES = {
    "pre": "a layer's own output",
    "post": "behind the normalisation and activation that follow",
}


def write_shift_page(
    scene: Scene,
    section: ShiftSection,
    images: tuple[ImageDataset, ImageDataset],
    inputs: Sequence[InputInfo],
    warnings: Sequence[str],
) -> OutputInfo:
    """Look again at some images of the two sets, and write the page that `scene.config.html` names."""
    config = scene.config
    assert config.html is not None
    names = [statistic.name for statistic in section.layers[0].statistics]
    of_kernels = [place for place, name in enumerate(names) if find_statistic(name).unit == "kernel"]
    larger_is_shifted = find_statistic(names[of_kernels[0]]).larger_is_shifted if of_kernels else True
    shown = choose_shown(section.layers) if of_kernels else []
    looked = (
        look_at_kernels(scene, section.layers, of_kernels[0], shown, *images, larger_is_shifted=larger_is_shifted)
        if of_kernels
        else KernelPages((), (), (), ())
    )
    overall = section.overall
    page = ShiftPage(
        network=section.architecture.name,
        source=_short_name(section.source),
        target=_short_name(section.target),
        verdict=(_sentence(section), overall.advice),
        facts=_facts(section, names[0]),
        statistics=[_statistic(section, place) for place in range(len(names))],
        expected_share=overall.expected_share,
        layers=[_row(layer) for layer in section.layers],
        larger_is_shifted=find_statistic(names[0]).larger_is_shifted,
        edges=ACTIVATION_BINS.edges().tolist(),
        source_photographs=looked.source_photographs,
        target_photographs=looked.target_photographs,
        shown=looked.shown,
        folded=looked.folded,
        sampled=_describe_looks(names[of_kernels[0]] if of_kernels else ""),
        origin=describe_origin(
            command_line("analyze-stats", config),
            inputs,
            [section.preprocessing],
            warnings,
            Stopwatch().run_info(scene.device),
        ),
    )
    return write_page(Path(config.html), render_shift_page(page), force=config.force)


def _sentence(section: ShiftSection) -> str:
    overall = section.overall
    expected = f"; {overall.expected_share:.0%} would be without any shift" if overall.expected_share else ""
    return (
        f"{overall.shifted:,} of {overall.kernels:,} kernels ({overall.share:.0%}) answer "
        f"{counted(section.target.images, 'image')} of {_short_name(section.target)} in another way than "
        f"{section.source.images:,} of {_short_name(section.source)}{expected}. In the first third of the layers it is "
        f"{overall.early_share:.0%}, in the last {overall.late_share:.0%}."
    )


def _facts(section: ShiftSection, statistic: str) -> Facts:
    overall = section.overall
    alike = len(overall.general_layers)
    by_chance = "without a shifted kernel" if overall.expected_share is None else "no more shifted than by chance"
    rule = _RULES[section.rule].format(low=section.layers[0].statistics[0].threshold)
    return [
        ("kernels shifted", f"{overall.shifted:,} of {overall.kernels:,}"),
        (f"layers {by_chance}", f"{alike} of {len(section.layers)}"),
        ("most shifted", ", ".join(overall.most_shifted) or "none"),
        ("distance", f"{statistic}; of a layer: the median over its kernels"),
        ("counts as shifted", f"{'layers' if section.select == 'layers' else 'kernels'} {rule}"),
        ("read at", _STAGES[section.at]),
    ]


def _statistic(section: ShiftSection, place: int) -> StatisticView:
    name = section.layers[0].statistics[place].name
    return StatisticView(
        name=name,
        meaning=find_statistic(name).summary,
        points=[_point(layer, layer.statistics[place]) for layer in section.layers],
    )


def _point(layer: ShiftedLayer, statistic: LayerStatistic) -> LayerPoint:
    null = statistic.null
    return LayerPoint(
        name=layer.name,
        distance=statistic.distance,
        band=Band(null.low, null.median, null.high) if null else None,
        share=None if statistic.shifted is None else statistic.shifted / layer.channels,
    )


def _row(layer: ShiftedLayer) -> LayerView:
    first = layer.statistics[0]
    return LayerView(
        name=layer.name,
        stage=layer.stage,
        channels=layer.channels,
        distance=first.distance,
        threshold=first.threshold,
        shifted=layer.shifted,
        share=layer.share,
        kernels=first.kernels,
        specific=layer.specific,
    )


def _short_name(seen: ImagesSeen) -> str:
    """Return the reference without the folders that lead to it."""
    return Path(seen.data).name


def _describe_looks(statistic: str) -> str:
    return (
        "Up to six layers: four from the input to the output, the most and the least shifted. Of each, the kernel that "
        f"{statistic} finds most shifted, and the least shifted one that fires on both sets. The distributions are of "
        f"up to {SAMPLED_IMAGES} images of each set. Maps show |a|, each row on one scale for both sets; the images "
        "are as the network gets them."
    )
