"""Two sets of images through one network: figures against stored activations, selections, files, bad input."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from tests.pipelines.analysis.conftest import Pictures
from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Architecture, MadeBy, Provenance
from tlvcli.core.report import Report
from tlvcli.data.loading import evaluation_batches
from tlvcli.data.unlabelled import open_unlabelled
from tlvcli.methods.statistics.seed_kl import DEFAULT_THRESHOLD, UPPER_END
from tlvcli.models.builders import build
from tlvcli.pipelines.analysis.config import AnalyzeStatsConfig
from tlvcli.pipelines.analysis.overall import describe_overall
from tlvcli.pipelines.analysis.result import Rule, ShiftedLayer, ShiftSection
from tlvcli.pipelines.analyze_stats import AnalyzeStatsResult, run
from tlvcli.pipelines.train import run as train
from tlvcli.pipelines.training.config import TrainConfig


def _analyze(checkpoint: str, source: str, target: str, **settings: Any) -> Report[AnalyzeStatsResult]:
    settings = {"image_size": 16, "device": "cpu", "workers": 0, **settings}
    return run(AnalyzeStatsConfig(checkpoint=checkpoint, source=source, target=target, **settings))


def _shift(*arguments: Any, **settings: Any) -> ShiftSection:
    section = _analyze(*arguments, **settings).result.shift
    assert section is not None
    return section


def _inputs(section: ShiftSection, folder: str) -> torch.Tensor:
    cpu = torch.device("cpu")
    batches = evaluation_batches(
        open_unlabelled(Path(folder)), section.preprocessing, batch_size=100, workers=0, device=cpu
    )
    return torch.cat([batch.images for batch in batches])


def _module(network: str) -> torch.nn.Module:
    return build(Architecture(name=network.removesuffix("@random"), num_classes=2), seed=0).eval()


def test_distances_are_those_of_the_stored_activations(network: str, pictures: Pictures) -> None:
    source, target = pictures("source", 12), pictures("target", 9, brightness=60)
    section = _shift(network, source, target, batch_size=5, statistic=["lognormal-kl", "welch-t"])
    module = _module(network)
    fits, means = [], []
    with torch.no_grad():
        for folder in (source, target):
            maps = module[:3](_inputs(section, folder)).double()
            logs = (maps.abs() + 1e-4).log().transpose(0, 1).flatten(1)
            fits.append((logs.mean(1), logs.var(1, correction=0)))
            means.append(maps.mean((2, 3)))
    (m1, v1), (m2, v2) = fits
    wanted = ((v1 + (m1 - m2) ** 2) / v2 + (v2 + (m1 - m2) ** 2) / v1) / 2 - 1
    first = section.layers[0]
    assert (first.name, first.stage, first.channels, first.values_per_image) == ("0", "activated", 8, 64)
    assert first.statistics[0].kernels == pytest.approx(wanted.tolist(), rel=1e-4)
    assert first.statistics[0].distance == pytest.approx(float(wanted.quantile(0.5)), rel=1e-4)
    from scipy.stats import ttest_ind

    test = ttest_ind(means[1].numpy(), means[0].numpy(), equal_var=False)
    assert first.statistics[1].p_values == pytest.approx(test.pvalue.tolist(), rel=1e-3, abs=1e-12)
    assert first.statistics[1].effect_sizes is not None
    assert len(first.statistics[1].effect_sizes) == 8


def test_another_brightness_is_found_and_the_same_images_are_not(network: str, pictures: Pictures) -> None:
    source, alike = pictures("source", 40), pictures("alike", 40)
    far = _shift(network, source, pictures("far", 20, brightness=90)).overall
    near = _shift(network, source, alike).overall
    assert far.share >= 0.6
    assert near.share < 0.3
    assert near.share < far.share
    assert "want" in far.advice or "train" in far.advice


@pytest.mark.parametrize("settings", [{"batch_size": 1}, {"batch_size": 7}, {"workers": 2}])
def test_batches_and_workers_change_nothing(network: str, pictures: Pictures, settings: dict[str, int]) -> None:
    source, target = pictures("source", 12), pictures("target", 10, brightness=30)
    usual, other = (_shift(network, source, target, **changed) for changed in ({}, settings))
    for one, two in zip(usual.layers, other.layers, strict=True):
        assert one.statistics[0].kernels == pytest.approx(two.statistics[0].kernels, rel=1e-5)
        assert one.statistics[0].threshold == pytest.approx(two.statistics[0].threshold, rel=1e-4)
        assert one.specific == two.specific


def test_the_classifier_is_looked_at_only_when_it_is_named(network: str, pictures: Pictures) -> None:
    source, target = pictures("source", 8), pictures("target", 8)
    assert [layer.name for layer in _shift(network, source, target).layers] == ["0", "3"]
    named = _shift(network, source, target, layers=["1", "7"], at="pre").layers
    assert [(layer.name, layer.kind, layer.stage) for layer in named] == [
        ("1", "batch-norm", "normalised"),
        ("7", "linear", "output"),
    ]


def test_the_same_preprocessing_for_both_sets_and_a_warning_where_one_would_differ(
    network: str, pictures: Pictures
) -> None:
    report = _analyze(network, pictures("source", 8), "digits@test:20", image_size=None)
    assert any("digits@test:20 would be at 32 px" in warning for warning in report.warnings)
    assert report.result.shift is not None
    assert report.result.shift.preprocessing.image_size == 224


def test_rules_for_what_is_shifted(network: str, pictures: Pictures) -> None:
    source, target = pictures("source", 16), pictures("target", 16, brightness=40)
    everything = _shift(network, source, target, threshold=0.0)
    assert (everything.rule, everything.overall.expected_share) == ("threshold", None)
    for layer in everything.layers:
        distances = layer.statistics[0].kernels
        assert distances is not None
        assert layer.specific == [kernel for kernel, distance in enumerate(distances) if distance > 0]
    quarter = _shift(network, source, target, fraction=0.25)
    assert (quarter.rule, quarter.overall.shifted) == ("fraction", 5)
    believed = _shift(network, source, target, alpha=0.05)
    assert believed.rule == "alpha"
    for layer in believed.layers:
        q_values = layer.statistics[0].q_values
        assert q_values is not None
        assert layer.specific == [kernel for kernel, q in enumerate(q_values) if q <= 0.05]
    layers = _shift(network, source, target, select="layers").layers
    assert all(layer.shifted in (0, layer.channels) for layer in layers)


def test_a_statistic_without_a_null_may_stand_beside_the_one_that_decides(network: str, pictures: Pictures) -> None:
    source, target = pictures("source", 8), pictures("target", 8)
    names = ["js", "seed-kl", "frechet", "channel-gram"]
    first = _shift(network, source, target, statistic=names).layers[0]
    assert [statistic.name for statistic in first.statistics] == names
    assert [statistic.shifted is None for statistic in first.statistics] == [False, True, False, True]
    assert [statistic.kernels is None for statistic in first.statistics] == [False, False, True, True]
    with pytest.raises(TlvError) as caught:
        _shift(network, source, target, statistic=["channel-gram"])
    assert caught.value.error_id == "null-missing"


@pytest.mark.parametrize(("threshold", "low"), [(None, DEFAULT_THRESHOLD), (0.5, 0.5)])
def test_the_window_of_seed_kl_is_a_rule_of_its_own(
    network: str, pictures: Pictures, tmp_path: Path, threshold: float | None, low: float
) -> None:
    source, target = pictures("source", 8), pictures("target", 8, brightness=60)
    page = tmp_path / "page.html"
    section = _shift(network, source, target, statistic=["seed-kl", "js"], threshold=threshold, html=str(page))
    assert (section.rule, section.overall.expected_share) == ("seed-kl", None)
    for layer in section.layers:
        similarities = layer.statistics[0].kernels
        assert similarities is not None
        assert layer.specific == [kernel for kernel, value in enumerate(similarities) if not low < value < UPPER_END]
    assert section.overall.general_layers == [layer.name for layer in section.layers if not layer.specific]
    text = page.read_text()
    assert f"beyond its window, {low:g} to {UPPER_END:g}" in text
    assert "layers without a shifted kernel" in text
    assert "beyond the 95th percentile" not in text
    assert "beyond the threshold given" not in text
    assert "by chance" not in text


def test_seed_kl_may_be_judged_by_a_fraction_and_its_window_begins_below_its_end(
    network: str, pictures: Pictures
) -> None:
    source, target = pictures("source", 8), pictures("target", 8)
    assert _shift(network, source, target, statistic=["seed-kl"], fraction=0.5).rule == "fraction"
    with pytest.raises(ValueError, match="window ends at 1"):
        _shift(network, source, target, statistic=["seed-kl"], threshold=1.0)


@pytest.mark.parametrize(("rule", "found"), [("threshold", "Nothing is"), ("alpha", "No more is shifted than chance")])
def test_chance_explains_only_where_the_rule_knows_of_it(rule: Rule, found: str) -> None:
    layer = ShiftedLayer(
        name="0", kind="conv2d", stage="output", weight="0.weight", channels=4, values_per_image=1, shifted=0,
        share=0, specific=[], statistics=[],
    )  # fmt: skip
    config = AnalyzeStatsConfig(checkpoint="net.pt", source="a", target="b")
    assert describe_overall([layer], config, rule).advice.startswith(found)


def test_few_images_are_no_proof_of_a_shift(network: str, pictures: Pictures) -> None:
    source, one, few, enough = (pictures(f"set{number}", number) for number in (9, 1, 7, 8))
    (warning,) = _few(_analyze(network, source, one, splits=20))
    assert warning.startswith(f"{one}: only 1 image; ")
    (warning,) = _few(_analyze(network, source, few, splits=20))
    assert warning.startswith(f"{few}: only 7 images; ")
    assert not _few(_analyze(network, source, enough, splits=20))
    assert len(_few(_analyze(network, few, one, threshold=1.0))) == 2


def _few(report: Report[AnalyzeStatsResult]) -> list[str]:
    return [warning for warning in report.warnings if "look like a shift" in warning]


def test_kernels_read_at_the_same_place_count_once(network: str, pictures: Pictures, tmp_path: Path) -> None:
    source, target, mask = pictures("source", 8), pictures("target", 8, brightness=60), tmp_path / "mask.safetensors"
    both = _analyze(network, source, target, layers=["0", "1", "3"], splits=20, mask=str(mask))
    default = _shift(network, source, target, layers=["0", "3"], splits=20)
    assert both.result.shift is not None
    assert both.result.shift.layers == default.layers
    assert both.result.shift.overall == default.overall
    assert "read at the same place, so counted once, as the first: 0 and 1" in both.warnings
    with safe_open(mask, framework="pt") as file:
        assert set(file.keys()) == {"0.weight", "3.weight"}
    alone = _analyze(network, source, target, layers=["1"], splits=20)
    assert alone.result.shift is not None
    assert [layer.weight for layer in alone.result.shift.layers] == ["1.weight"]
    apart = _shift(network, source, target, layers=["0", "1"], splits=20, at="pre").layers
    assert [layer.name for layer in apart] == ["0", "1"]


def test_the_gate(network: str, pictures: Pictures) -> None:
    source, target = pictures("source", 8), pictures("target", 8)
    met, failed = (
        _analyze(network, source, target, fraction=0.5, max_shift=share).gates[0].met for share in (0.5, 0.4)
    )
    assert (met, failed) == (True, False)


def test_training_obeys_the_mask(network: str, pictures: Pictures, tmp_path: Path) -> None:
    source, target = pictures("source", 12), pictures("target", 12, brightness=60, classes=2)
    mask = tmp_path / "mask.safetensors"
    report = _analyze(network, source, target, fraction=0.5, mask=str(mask), layers=["0", "3", "7"])
    assert [output.role for output in report.outputs] == ["mask"]
    assert report.warnings[-1] == "not in the mask: 7, the classifier"
    assert report.result.shift is not None
    specific = {layer.weight: layer.specific for layer in report.result.shift.layers}
    with safe_open(mask, framework="pt") as file:
        metadata = file.metadata()
        frozen = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert metadata["tlv_kind"] == "mask"
    assert Provenance.model_validate_json(metadata["tlv"]).made_by.method == "lognormal-kl"
    assert {name: (1 - rows).nonzero().flatten().tolist() for name, rows in frozen.items()} == {
        name: rows for name, rows in specific.items() if name != "7.weight"
    }
    settings = {"epochs": 1, "lr": 0.1, "warmup_epochs": 0.0, "image_size": 16, "device": "cpu", "workers": 0}
    train(
        TrainConfig(
            checkpoint=network,
            data=f"{target}@all",
            out=str(tmp_path / "run"),
            mask=str(mask),
            batch_size=4,
            **settings,
        )
    )
    start = _module(network).state_dict()
    with safe_open(tmp_path / "run" / "last.safetensors", framework="pt") as file:
        for name, rows in frozen.items():
            changed = (file.get_tensor(name) != start[name]).flatten(1).any(1)
            assert not changed[rows.bool()].any()
            assert changed[~rows.bool()].any()


def test_the_table_has_a_row_for_each_kernel(network: str, pictures: Pictures, tmp_path: Path) -> None:
    table = tmp_path / "kernels.csv"
    statistics = ["welch-t", "frechet"]
    section = _shift(network, pictures("source", 8), pictures("target", 8), csv=str(table), statistic=statistics)
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20
    welch, frechet = section.layers[1].statistics
    assert welch.kernels is not None
    assert welch.p_values is not None
    last = rows[-1]
    assert (last["layer"], last["kernel"], last["shifted"]) == ("3", "11", str(int(11 in section.layers[1].specific)))
    assert float(last["welch-t distance"]) == welch.kernels[11]
    assert float(last["welch-t p"]) == welch.p_values[11]
    assert float(last["frechet distance"]) == frechet.distance


def test_pictures_are_drawn(network: str, pictures: Pictures, tmp_path: Path) -> None:
    report = _analyze(network, pictures("source", 8), pictures("target", 8), plots=str(tmp_path / "plots"))
    assert [Path(output.path).name for output in report.outputs] == ["layers.png", "kernels.png"]
    for output in report.outputs:
        with Image.open(output.path) as image:
            assert len(image.convert("L").getcolors(1 << 20) or ()) > 10


def test_the_network_is_not_changed(network: str, pictures: Pictures, monkeypatch: pytest.MonkeyPatch) -> None:
    from tlvcli.pipelines.analysis import networks

    seen: list[tuple[torch.nn.Module, dict[str, torch.Tensor]]] = []
    load = networks.load_module

    def remember(*arguments: Any, **settings: Any) -> Any:
        loaded = load(*arguments, **settings)
        seen.append((loaded[0], {name: tensor.clone() for name, tensor in loaded[0].state_dict().items()}))
        return loaded

    monkeypatch.setattr(networks, "load_module", remember)
    _shift(network, pictures("source", 8), pictures("target", 8))
    ((module, before),) = seen
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())


def test_odd_images_are_taken(network: str, pictures: Pictures, tmp_path: Path) -> None:
    target = pictures("target", 6)
    noise = np.random.default_rng(0)
    Image.fromarray(noise.integers(0, 256, (20, 24), dtype=np.uint8)).save(f"{target}/grey.png")
    Image.fromarray(noise.integers(0, 256, (20, 24, 4), dtype=np.uint8), "RGBA").save(f"{target}/alpha.png")
    Image.fromarray(noise.integers(0, 65536, (20, 24), dtype=np.uint16)).save(f"{target}/deep.png")
    assert _shift(network, pictures("source", 8), target).target.images == 9


def test_corrupt_images_stop_the_run_or_are_named(network: str, pictures: Pictures) -> None:
    source, target = pictures("source", 8), pictures("target", 8)
    Path(target, "003.png").write_bytes(b"no picture")
    with pytest.raises(TlvError) as caught:
        _analyze(network, source, target)
    assert caught.value.error_id == "image-unreadable"
    report = _analyze(network, source, target, skip_corrupt=True, batch_size=3)
    assert report.result.shift is not None
    assert report.result.shift.target.images == 7
    assert [Path(place).name for place in report.result.shift.target.skipped] == ["003.png"]
    assert any("skipped 1 image, as" in warning for warning in report.warnings)
    for path in Path(target).iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(TlvError) as caught:
        _analyze(network, source, target, skip_corrupt=True)
    assert caught.value.error_id == "data-no-images"


@pytest.mark.parametrize(
    ("settings", "error_id"),
    [
        ({"layers": ["features.*"]}, "layers-unknown"),
        ({"statistic": ["lognormal"]}, "statistic-unknown"),
        ({"mask": "mask.pt"}, "output-not-safetensors"),
        ({"source": "few"}, "too-few-images-for-a-null"),
        ({"target": "one", "statistic": ["welch-t"]}, "too-few-images-for-a-statistic"),
        ({"target": "empty"}, "data-no-images"),
        ({"checkpoint": "net.pt"}, "architecture-needed"),
    ],
)
def test_bad_input_is_an_error_with_a_name(
    network: str, pictures: Pictures, tmp_path: Path, settings: dict[str, Any], error_id: str
) -> None:
    folders = {"few": pictures("few", 3), "one": pictures("one", 1), "empty": str(tmp_path / "empty")}
    (tmp_path / "empty").mkdir()
    torch.save({"a.weight": torch.zeros(3, 5)}, tmp_path / "net.pt")
    given: dict[str, Any] = {"source": pictures("source", 8), "target": pictures("target", 8), **settings}
    given = {name: folders.get(value, value) if isinstance(value, str) else value for name, value in given.items()}
    checkpoint = str(tmp_path / "net.pt") if given.pop("checkpoint", None) else network
    with pytest.raises(TlvError) as caught:
        _analyze(checkpoint, given.pop("source"), given.pop("target"), **given)
    assert caught.value.error_id == error_id


def test_activations_that_are_not_finite(network: str, pictures: Pictures, tmp_path: Path) -> None:
    module = _module(network)
    with torch.no_grad():
        module[3].weight[2, 0] = float("nan")
    torch.save(module.state_dict(), tmp_path / "net.pt")
    with pytest.raises(TlvError, match="3: an activation is NaN") as caught:
        _analyze(
            str(tmp_path / "net.pt"), pictures("source", 8), pictures("target", 8), arch=network.removesuffix("@random")
        )
    assert caught.value.error_id == "activations-not-finite"


def test_a_made_up_start_has_no_ancestor(network: str, pictures: Pictures, tmp_path: Path) -> None:
    mask = tmp_path / "mask.safetensors"
    _analyze(network, pictures("source", 8), pictures("target", 8), mask=str(mask))
    with safe_open(mask, framework="pt") as file:
        made_by = Provenance.model_validate_json(file.metadata()["tlv"]).made_by
    assert made_by == MadeBy(command="analyze-stats", method="lognormal-kl", tlv_version=made_by.tlv_version)
