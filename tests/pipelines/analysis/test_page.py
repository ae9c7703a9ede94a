"""The page of an analysis: what it looks at again, against plain formulas, and what is in the file."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.pages.page_parts import PageParts
from tlvcli.core.errors import TlvError
from tlvcli.core.graph import Layer
from tlvcli.models.activation_trace import find_taps
from tlvcli.models.activations import watched
from tlvcli.models.graph import graph_of_module
from tlvcli.pages.svg import figure_text
from tlvcli.pipelines.analysis.config import AnalyzeStatsConfig
from tlvcli.pipelines.analysis.images import open_images
from tlvcli.pipelines.analysis.networks import open_networks
from tlvcli.pipelines.analysis.page_choice import candidates, choose_shown
from tlvcli.pipelines.analysis.page_kernels import show_photograph
from tlvcli.pipelines.analysis.page_looks import Pictures, Scene, sample_kernels, take_pictures
from tlvcli.pipelines.analysis.result import LayerStatistic, ShiftedLayer
from tlvcli.pipelines.analyze_stats import run
from tlvcli.pipelines.page_origin import command_line

Write = Callable[..., str]


@pytest.fixture
def settings(network: str, pictures: Write, tmp_path: Path) -> dict[str, Any]:
    return {
        "checkpoint": network,
        "source": pictures("source", 20),
        "target": pictures("target", 12, brightness=60),
        "image_size": 16,
        "device": "cpu",
        "splits": 20,
        "html": str(tmp_path / "page.html"),
    }


def _scene(settings: dict[str, Any]) -> Scene:
    config = AnalyzeStatsConfig(**settings)
    dataset, _ = open_images(settings["source"], data_seed=0, download=False)
    (network,) = open_networks(config, dataset, torch.device("cpu"))
    layers: list[Layer] = list(graph_of_module(network.module).of_kind("conv2d"))
    taps = find_taps(network.module, layers, (3, 16, 16), at="post")
    return Scene(config, network, taps, torch.device("cpu"))


def test_a_sample_holds_distributions_and_means_of_the_chosen_kernels(settings: dict[str, Any]) -> None:
    scene = _scene(settings)
    dataset, _ = open_images(settings["source"], data_seed=0, download=False)
    sample = sample_kernels(scene, {"0": [3, 5], "3": [0]}, dataset)
    pictures = take_pictures(scene, {"0": [3, 5], "3": [0]}, dataset, range(len(dataset)))
    kept: dict[str, torch.Tensor] = {}
    pixels = pictures.images.permute(0, 3, 1, 2) / 255
    prepared = scene.network.preprocessing
    images = (pixels - torch.tensor(prepared.mean)[:, None, None]) / torch.tensor(prepared.std)[:, None, None]
    with (
        torch.inference_mode(),
        watched(scene.network.module, scene.taps, lambda name, a: kept.update({name: a.clone()})),
    ):
        scene.network.module(images)
    values = kept["0"][:, [3, 5]]
    assert sample.positions != tuple(range(20))
    assert sorted(sample.positions) == list(range(20))
    wanted = (values.double().abs() + 1e-4).log().mean((2, 3))[list(sample.positions)]
    torch.testing.assert_close(sample.layers["0"].log_means, wanted, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(pictures.maps["0"], values.abs(), atol=1e-5, rtol=1e-4)
    zeros = (values.abs() < 2**-13).double().mean((0, 2, 3))
    torch.testing.assert_close(sample.layers["0"].zeros.double(), zeros, atol=1e-4, rtol=0)
    density = sample.layers["0"].density[0].double().numpy()
    edges = 2.0 ** np.arange(-13, 12)  # octaves, each of four bins
    counts, _ = np.histogram(values[:, 0].abs().numpy(), edges)
    widths = np.diff(np.log10([*(edges[:-1, None] * np.array([1, 1.25, 1.5, 1.75])).flatten(), 2.0**11]))
    octaves = (density * widths).reshape(-1, 4).sum(-1)
    np.testing.assert_allclose(octaves, counts / values[:, 0].numel(), atol=2e-3)


def test_the_page_needs_nothing_else_and_repeats_to_the_byte(settings: dict[str, Any], tmp_path: Path) -> None:
    report = run(AnalyzeStatsConfig(**settings, statistic=["lognormal-kl", "frechet"]))
    text = Path(settings["html"]).read_text()
    page = PageParts(text)
    assert page.addresses
    assert all(address.startswith("data:image/") for address in page.addresses)
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert "http://" not in text
    assert "https://" not in text
    assert [output.role for output in report.outputs] == ["page"]
    again = {**settings, "statistic": ["lognormal-kl", "frechet"], "force": True}
    second = run(AnalyzeStatsConfig(**again))
    assert second.outputs[0].sha256 == report.outputs[0].sha256
    assert second.result == report.result
    without = run(AnalyzeStatsConfig(**{**again, "html": None}))
    assert without.result == report.result  # looking again changes nothing


def test_the_page_says_what_the_report_says(settings: dict[str, Any]) -> None:
    report = run(AnalyzeStatsConfig(**settings))
    shift = report.result.shift
    assert shift is not None
    text = " ".join(" ".join(PageParts(Path(settings["html"]).read_text()).texts).split())
    overall = shift.overall
    assert f"{overall.shifted} of {overall.kernels} kernels ({overall.share:.0%})" in text
    assert overall.advice in text
    for layer in shift.layers:
        kernels = layer.statistics[0].kernels
        assert kernels is not None
        for kernel, distance in enumerate(kernels):
            word = "specific" if kernel in layer.specific else "general"
            told = rf"kernel {kernel}: {re.escape(figure_text(distance))}, [\d.,e+-]+ × threshold, {word}"
            assert re.search(told, text), told
    assert "images that" not in text
    assert "Images that drive the shift" in text


def test_the_image_that_is_unlike_the_others_drives_the_shift(
    settings: dict[str, Any], pictures: Write, tmp_path: Path
) -> None:
    target = pictures("alike", 12)
    Image.fromarray(np.full((16, 16, 3), 255, dtype=np.uint8)).save(Path(target) / "white.png")
    run(AnalyzeStatsConfig(**{**settings, "target": target, "fraction": 0.5}))
    text = Path(settings["html"]).read_text()
    assert "alike/white.png" in re.findall(r"<figcaption>([^<]+)<", text)


def test_a_distance_of_layers_alone_has_a_page_without_kernels(settings: dict[str, Any]) -> None:
    run(AnalyzeStatsConfig(**settings, statistic=["frechet"]))
    page = PageParts(Path(settings["html"]).read_text())
    assert any("kernels are not told apart" in text for text in page.texts)
    assert page.tags.count("img") == 0


def test_an_existing_page_is_refused_before_the_work(settings: dict[str, Any], tmp_path: Path) -> None:
    Path(settings["html"]).write_text("mine")
    with pytest.raises(TlvError) as error:
        run(AnalyzeStatsConfig(**settings))
    assert error.value.error_id == "output-exists"
    assert Path(settings["html"]).read_text() == "mine"


def test_names_are_text_not_markup(settings: dict[str, Any], pictures: Write) -> None:
    run(AnalyzeStatsConfig(**{**settings, "target": pictures("<b>&", 12)}))
    page = PageParts(Path(settings["html"]).read_text())
    assert page.tags.count("b") == 4  # the kernels' own titles: two of two layers
    assert any("<b>&" in text for text in page.texts)


def test_two_networks_have_a_page_with_all_pairs(network: str, pictures: Write, tmp_path: Path) -> None:
    report = run(
        AnalyzeStatsConfig(
            checkpoint=network,
            against=[network],
            data=pictures("data", 12),
            image_size=16,
            device="cpu",
            html=str(tmp_path / "page.html"),
        )
    )
    similarity = report.result.similarity
    assert similarity is not None
    text = (tmp_path / "page.html").read_text()
    page = PageParts(text)
    for layer, other, value in similarity.pairs():
        assert f"{layer} and {other}: {value:.3f}" in page.texts
    assert all(address.startswith("data:image/png") for address in page.addresses)
    assert [output.role for output in report.outputs] == ["page"]


def test_the_command_line_is_what_was_given() -> None:
    config = AnalyzeStatsConfig(
        checkpoint="a b.pt", source="x", target="y", statistic="js,ks", skip_corrupt=True, threshold=0.5, force=True
    )
    assert command_line("analyze-stats", config) == (
        "tlv analyze-stats 'a b.pt' --source x --target y --statistic js --statistic ks --threshold 0.5 --skip-corrupt"
    )


def _layer(name: str, share: float) -> ShiftedLayer:
    return ShiftedLayer(
        name=name,
        kind="conv2d",
        stage="output",
        weight=name,
        channels=100,
        values_per_image=1,
        shifted=round(100 * share),
        share=share,
        specific=[],
        statistics=[],
    )


def test_layers_are_chosen_from_end_to_end_with_the_extremes() -> None:
    layers = [_layer(str(place), share) for place, share in enumerate([0.5] * 5 + [1.0] + [0.5] * 4 + [0.1, 0.5])]
    assert choose_shown(layers) == ["0", "4", "5", "7", "10", "11"]
    assert choose_shown(layers[:1]) == ["0"]


def test_candidates_leave_out_what_is_silent_on_both_sets() -> None:
    def statistic(values: list[float]) -> LayerStatistic:
        return LayerStatistic(
            name="js", distance=0, null=None, threshold=None, shifted=None, kernels=values,
            p_values=None, q_values=None, effect_sizes=None,
        )  # fmt: skip

    assert candidates(statistic([0.3, 0.0, 0.9, 0.1]), larger_is_shifted=True) == [2, 3, 0]
    assert candidates(statistic([0.3, 0.7, 0.2]), larger_is_shifted=False) == [2, 1, 0]
    assert candidates(statistic([0.0, 0.0]), larger_is_shifted=True) == [1, 0]
    assert candidates(statistic([0.4]), larger_is_shifted=True) == [0]


def test_grey_images_are_shown_grey() -> None:
    levels = torch.arange(0, 256, 4, dtype=torch.uint8).expand(64, 64)[None, ..., None]
    shown = show_photograph(Pictures((3,), levels, {}), 3)
    image = Image.open(BytesIO(base64.b64decode(shown.partition(",")[2])))
    assert (image.mode, image.size) == ("L", (64, 64))
    assert np.abs(np.asarray(image).astype(int) - levels[0, ..., 0].numpy().astype(int)).max() < 8
