"""What follows the mapping, end to end on files: --rescale, --fit and --calibrate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from tlvcli.cli.main import run as main
from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Architecture
from tlvcli.core.report import Report
from tlvcli.models.builders import build
from tlvcli.pipelines.settings import given_settings
from tlvcli.pipelines.transfer import TransferConfig, TransferResult, run

IMAGES = "digits@train:60"


@pytest.fixture
def source(tmp_path: Path, small_network: str) -> Path:
    """A network of the user's own, saved as people save it."""
    path = tmp_path / "source.pt"
    module = build(Architecture(name=small_network, num_classes=10), seed=5)
    torch.save(module.state_dict(), path)
    return path


def _transfer(source: Path, out: str, network: str, **settings: object) -> Report[TransferResult]:
    defaults = {"target_arch": network, "source_arch": network, "method": "coherent"}
    return run(TransferConfig(source=str(source), out=str(source.parent / out), **{**defaults, **settings}))


def _tensors(report: Report[TransferResult]) -> dict[str, Tensor]:
    return load_file(report.config["out"])


def _differing(one: dict[str, Tensor], other: dict[str, Tensor]) -> set[str]:
    return {name for name in one if not torch.equal(one[name], other[name])}


def test_a_copy_on_its_own_data_changes_in_its_running_statistics_alone(source: Path, small_network: str) -> None:
    report = _transfer(source, "out.safetensors", small_network, calibrate={"data": IMAGES})
    changed = _differing(torch.load(source, weights_only=True), _tensors(report))
    assert changed == {f"{layer}.{what}" for layer in ("1", "4") for what in ("running_mean", "running_var")}
    assert [(row.step, row.layer, row.note) for row in report.result.adaptation[:3]] == [
        ("calibrate", "0", "a normalisation follows"),
        ("calibrate", "3", "a normalisation follows"),
        ("calibrate", "9", "the head"),
    ]
    assert [entry.images for entry in report.inputs if entry.role == "data"] == [60]
    assert report.run.device != "none"


def test_the_same_seeds_give_the_same_file(source: Path, small_network: str) -> None:
    settings = {"method": "tlv", "rescale": True, "calibrate": {"data": IMAGES}}
    reports = [
        _transfer(source, f"{number}.safetensors", small_network, data_seed=data_seed, **settings)
        for number, data_seed in enumerate((0, 0, 1))
    ]
    digests = [report.outputs[0].sha256 for report in reports]
    assert digests[0] == digests[1] != digests[2]
    again = run(TransferConfig(**{**reports[0].config, "force": True}))
    assert again.outputs[0].sha256 == digests[0]


def test_the_file_says_what_followed_the_mapping_and_how_images_were_prepared(source: Path, small_network: str) -> None:
    settings = {"rescale": True, "calibrate": {"data": IMAGES}, "image_size": 16}
    report = _transfer(source, "out.safetensors", small_network, **settings)
    with safe_open(report.outputs[0].path, framework="pt") as file:
        said = json.loads(file.metadata()["tlv"])
    assert said["made_by"]["method"] == "coherent, rescaled, calibrated"
    assert said["preprocessing"]["image_size"] == 16
    assert report.result.method == "coherent"
    assert any("does not say how its images were prepared: took 16 px" in warning for warning in report.warnings)


def test_rescale_follows_every_method_and_a_saved_plan(source: Path, small_network: str, tmp_path: Path) -> None:
    direct = _transfer(
        source, "direct.safetensors", small_network, method="tlv", rescale=True, save_plan=str(tmp_path / "plan.yaml")
    )
    replayed = _transfer(source, "replayed.safetensors", small_network, plan=str(tmp_path / "plan.yaml"), rescale=True)
    assert not _differing(_tensors(direct), _tensors(replayed))
    weight = _tensors(direct)["3.weight"]
    assert float(weight.std(correction=0)) == pytest.approx((2 / (32 * 9)) ** 0.5, rel=1e-5)
    row = next(row for row in direct.result.adaptation if row.layer == "3")
    assert (row.step, row.measure, row.after) == ("rescale", "weight std", pytest.approx((2 / (32 * 9)) ** 0.5))


def test_layers_left_alone_are_not_adapted_either(source: Path, small_network: str) -> None:
    settings = {"rescale": True, "calibrate": {"data": IMAGES}, "skip": ["3", "4"]}
    report = _transfer(source, "out.safetensors", small_network, **settings)
    fresh = build(Architecture(name=small_network, num_classes=10), seed=0).state_dict()
    made = _tensors(report)
    assert all(torch.equal(made[name], tensor) for name, tensor in fresh.items() if name[0] in "34")
    notes = {(row.step, row.layer): row.note for row in report.result.adaptation if row.after is None}
    assert notes["rescale", "3"] == notes["calibrate", "3"] == "left alone by --skip 3"
    assert notes["calibrate", "4"] == "left alone by --skip 4"


def test_a_dry_run_carries_out_no_step(source: Path, small_network: str, tmp_path: Path) -> None:
    settings = {"rescale": True, "calibrate": {"data": IMAGES}}
    report = _transfer(source, "out.safetensors", small_network, dry_run=True, **settings)
    assert report.result.adaptation == []
    assert report.outputs == []
    assert not (tmp_path / "out.safetensors").exists()


def _photos(folder: Path, number: int) -> Path:
    folder.mkdir()
    for place in range(number):
        pixels = torch.randint(256, (20, 24, 3), generator=torch.Generator().manual_seed(place), dtype=torch.uint8)
        Image.fromarray(pixels.numpy()).save(folder / f"{place}.png")
    return folder


def test_a_folder_of_images_without_classes_will_do(source: Path, small_network: str, tmp_path: Path) -> None:
    photos = _photos(tmp_path / "photos", 5)
    report = _transfer(source, "out.safetensors", small_network, calibrate=str(photos), image_size=16)
    assert [entry.images for entry in report.inputs if entry.role == "data"] == [5]
    assert report.config["calibrate"]["data"] == str(photos)


def _fails(error_id: str, source: Path, network: str, **settings: object) -> TlvError:
    before = sorted(source.parent.rglob("*"))
    with pytest.raises(TlvError) as caught:
        _transfer(source, "out.safetensors", network, **settings)
    assert caught.value.error_id == error_id
    assert caught.value.hint
    assert sorted(source.parent.rglob("*")) == before
    return caught.value


def test_bad_input_leaves_nothing_behind(source: Path, small_network: str, tmp_path: Path) -> None:
    one = _photos(tmp_path / "one", 1)
    assert "at least 2" in _fails("images-too-few", source, small_network, calibrate=str(one)).message
    none = _photos(tmp_path / "none", 0)
    _fails("data-no-images", source, small_network, calibrate=str(none))
    _fails("data-missing", source, small_network, fit=str(tmp_path / "absent"))
    _fails("data-sample-invalid", source, small_network, calibrate="digits@train:100000")
    _fails("image-size-unsupported", source, "squeezenet1_1", calibrate=IMAGES, source_arch=None, image_size=8)
    unknown = tmp_path / "unknown.pt"
    torch.save({"a.weight": torch.randn(4, 3, 3, 3)}, unknown)
    refused = _fails("source-not-runnable", unknown, small_network, source_arch=None, fit=IMAGES, method="tlv")
    assert "--source-arch" in refused.hint


def test_nan_in_an_activation_is_an_error_that_names_the_layer(source: Path, small_network: str) -> None:
    tensors = torch.load(source, weights_only=True)
    tensors["3.weight"][0, 0, 0, 0] = float("nan")
    torch.save(tensors, source)
    refused = _fails("activations-not-finite", source, small_network, allow_nan=True, calibrate=IMAGES)
    assert refused.message.startswith("4: ")


def test_a_flag_names_the_data_and_leaves_the_choices_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("calibrate: {data: photos, batch_statistics: false}\n")
    flags = {"source": "a.pt", "target_arch": "resnet18", "out": "b.safetensors", "calibrate": {"data": "digits"}}
    given = given_settings(config_path=file, flags=flags, assignments=["calibrate.unit-variance=true"])
    settings = TransferConfig.model_validate(given).calibrate
    assert settings is not None
    assert (settings.data, settings.batch_statistics, settings.unit_variance) == ("digits", False, True)


def test_images_are_asked_for_where_their_size_is_given() -> None:
    with pytest.raises(ValueError, match="image_size needs fit or calibrate"):
        TransferConfig(source="a.pt", target_arch="resnet18", out="b.safetensors", image_size=32)
    with pytest.raises(ValueError, match="nothing is left to calibrate"):
        TransferConfig(
            source="a.pt",
            target_arch="resnet18",
            out="b.safetensors",
            calibrate={"data": "digits", "unit_variance": False, "batch_statistics": False},
        )


_NARROW = """
from torch import nn


def make(num_classes, in_chans=3):
    return nn.Sequential(
        nn.Conv2d(in_chans, 10, 3, stride=2, padding=1), nn.BatchNorm2d(10), nn.ReLU(),
        nn.Conv2d(10, 20, 3, stride=2, padding=1), nn.BatchNorm2d(20), nn.ReLU(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.1), nn.Linear(80, num_classes),
    )


def plain(num_classes, in_chans=3):
    return nn.Sequential(
        nn.Conv2d(in_chans, 10, 3, stride=2, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Linear(40, num_classes),
    )


def wide(num_classes, in_chans=3):
    return nn.Sequential(
        nn.Conv2d(in_chans, 20, 3, stride=2, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Linear(80, num_classes),
    )
"""


@pytest.fixture
def others(tmp_path: Path) -> str:
    """More networks: `FILE.py`, to which `:make`, `:plain` or `:wide` is added."""
    path = tmp_path / "others.py"
    path.write_text(_NARROW)
    return str(path)


def test_a_fit_brings_the_target_nearer_to_the_source(source: Path, small_network: str, others: str) -> None:
    settings = {"source_arch": small_network, "image_size": 16}
    mapped = _transfer(source, "mapped.safetensors", f"{others}:make", source_arch=small_network)
    fitted = _transfer(
        source, "fitted.safetensors", f"{others}:make", fit={"data": IMAGES, "positions": 256}, **settings
    )
    rows = [row for row in fitted.result.adaptation if row.after is not None]
    assert {row.step for row in rows} == {"fit"}
    assert "3" in {row.layer for row in rows}
    assert all(row.source and row.before is not None and row.before <= row.after + 1e-6 for row in rows)
    images = torch.rand(50, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    wanted = _outputs(torch.load(source, weights_only=True), small_network, images)
    errors = [
        float((_outputs(_tensors(report), f"{others}:make", images) - wanted).square().mean())
        for report in (mapped, fitted)
    ]
    assert errors[1] < 0.8 * errors[0]
    again = _transfer(source, "again.safetensors", f"{others}:make", fit={"data": IMAGES, "positions": 256}, **settings)
    assert again.outputs[0].sha256 == fitted.outputs[0].sha256


def _outputs(state: dict[str, Tensor], network: str, images: Tensor) -> Tensor:
    module = build(Architecture(name=network, num_classes=10), seed=0).eval()
    module.load_state_dict(state)
    with torch.no_grad():
        return module(images)


def test_widened_copies_that_are_scaled_are_warned_of(tmp_path: Path, others: str) -> None:
    plain = tmp_path / "plain.pt"
    torch.save(build(Architecture(name=f"{others}:plain", num_classes=10), seed=2).state_dict(), plain)
    settings = {"source_arch": f"{others}:plain", "calibrate": {"data": IMAGES}, "image_size": 16}
    report = _transfer(plain, "wide.safetensors", f"{others}:wide", **settings)
    assert any("scaled 1 weight of source channels alone" in warning for warning in report.warnings)
    assert [(row.layer, row.after) for row in report.result.adaptation] == [
        ("0", pytest.approx(1, abs=0.05)),
        ("4", None),
    ]


def test_the_screen_has_a_line_for_each_step(
    source: Path, small_network: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--source-arch", small_network, "--num-classes", "10", "--rescale", "--calibrate", IMAGES]
    choices = ["--set", "calibrate.unit-variance=false", "--set", "mean=0.5,0.5,0.5", "--set", "std=0.5,0.5,0.5"]
    out = str(tmp_path / "out.safetensors")
    assert main(["transfer", str(source), small_network, out, *flags, *choices, "-v"]) == 0
    shown = capsys.readouterr()
    assert "rescale: 3 weights, std " in shown.out
    assert "calibrate: 2 batch normalisations, running std 1 -> " in shown.out
    assert "means moved by" in shown.out
    assert "normalised as is usual" not in shown.err
    assert main(["transfer", str(source), small_network, *flags, *choices, "--dry-run"]) == 0
    assert "dry run: no checkpoint written; rescale, calibrate not carried out" in capsys.readouterr().out
