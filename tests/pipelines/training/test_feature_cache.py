"""Features of a frozen backbone: the same numbers as without the cache, kept under a name that fits nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from safetensors.torch import load_file

from tlvcli.core.processes import Processes
from tlvcli.core.provenance import Architecture, MadeBy, Preprocessing
from tlvcli.data.datasets import TrainingData, open_training_data
from tlvcli.data.loading import evaluation_batches, training_batches
from tlvcli.data.order import Sampling
from tlvcli.data.reference import parse_data_reference
from tlvcli.methods.finetuning.table import find_strategy
from tlvcli.models.builders import build
from tlvcli.models.feature_split import head_module
from tlvcli.pipelines.train import run
from tlvcli.pipelines.training import feature_cache as feature_cache_module
from tlvcli.pipelines.training.config import TrainConfig
from tlvcli.pipelines.training.feature_cache import (
    feature_batches,
    open_feature_cache,
    uses_feature_cache,
    why_not_cached,
)
from tlvcli.pipelines.training.job import TrainingJob
from tlvcli.pipelines.training.modes import set_modes
from tlvcli.pipelines.training.plan import plan_finetuning
from tlvcli.pipelines.training.resolve import resolve

CPU = torch.device("cpu")


class Messages:
    def __init__(self) -> None:
        self.texts: list[str] = []
        self.batches = 0

    def start(self, total: int, description: str) -> None:
        pass

    def advance(self) -> None:
        self.batches += 1

    def message(self, text: str) -> None:
        self.texts.append(text)


@pytest.fixture(scope="module")
def data() -> TrainingData:
    whole = open_training_data(parse_data_reference("digits"), data_seed=0)
    return TrainingData(whole.train.subset(range(150)), whole.val.subset(range(40)))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TLV_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "features"


@pytest.fixture
def job(small_network: str, data: TrainingData) -> TrainingJob:
    return make_job(small_network, data)


def make_job(name: str, data: TrainingData, seed: int = 0, **settings: Any) -> TrainingJob:
    chosen: dict[str, Any] = {"strategy": "linear-probe", "augment": "none", "batch_size": 32, **settings}
    strategy = find_strategy(chosen["strategy"])
    config, options = resolve(TrainConfig(checkpoint="x", data="digits", out="run", workers=0, **chosen), strategy)
    architecture = Architecture(name=name, num_classes=10, in_chans=1)
    module = build(architecture, seed=seed)
    plan = plan_finetuning(config, strategy, options, module, architecture, fresh=frozenset(), image_size=16)
    return TrainingJob(
        config=config,
        module=module,
        architecture=architecture,
        made_by=MadeBy(command="train", method="linear-probe", tlv_version="0"),
        data=data,
        preprocessing=Preprocessing(image_size=16, resize_size=16, mean=(0.5,), std=(0.25,), channels=1),
        plan=plan,
        device=CPU,
        precision="fp32",
        drop_single=False,
    )


@pytest.mark.parametrize("sampling", ["shuffled", "in-order", "balanced"])
def test_batches_are_those_of_the_images_and_so_are_the_outputs(job: TrainingJob, sampling: Sampling) -> None:
    cached = open_feature_cache(job, Messages())
    assert cached is not None
    common: dict[str, Any] = {"batch_size": 32, "epochs": 2, "seed": 3, "sampling": sampling, "device": CPU}
    of_features = feature_batches(cached.train, job.data.train, **common)
    of_images = training_batches(
        job.data.train,
        job.preprocessing,
        workers=0,
        drop_single=False,
        augmentation=job.augmentation,
        **common,
    )
    # As an epoch of training begins; the probe turns the dropout before the head off.
    set_modes(job.module, job.plan.phases[0])
    head = head_module(job.module, cached.split)
    batches = 0
    for feature_batch, image_batch in zip(of_features, of_images, strict=True):
        assert torch.equal(feature_batch.positions, image_batch.positions)
        assert torch.equal(feature_batch.labels, image_batch.labels)
        assert feature_batch.global_size == image_batch.global_size
        with torch.no_grad():
            torch.testing.assert_close(head(feature_batch.images), job.module(image_batch.images), rtol=1e-5, atol=1e-5)
        batches += 1
    assert batches == 10


def test_runs_with_and_without_it_agree(small_network: str, tmp_path: Path) -> None:
    reports, messages = [], Messages()
    for kept in (True, False):
        config = TrainConfig(
            checkpoint=f"{small_network}@random",
            data="digits@train:200",
            out=str(tmp_path / f"{kept}"),
            strategy="linear-probe",
            augment="none",
            epochs=2,
            workers=0,
            precision="fp32",
            device="cpu",
            feature_cache=kept,
        )
        reports.append(run(config, progress=messages))
    assert sum("computed once" in text for text in messages.texts) == 2
    of_cache, of_none = (report.result.seconds_features for report in reports)
    assert of_cache > 0.001 > of_none
    with_cache, without = (load_file(tmp_path / f"{kept}" / "last.safetensors") for kept in (True, False))
    for name, tensor in with_cache.items():
        torch.testing.assert_close(tensor, without[name], rtol=1e-4, atol=1e-5)
    with_losses, losses = ([epoch.val_loss for epoch in report.result.epochs] for report in reports)
    assert with_losses == pytest.approx(losses, rel=1e-5)
    assert losses[1] < losses[0]


def test_a_probe_of_varied_images_says_once_that_it_could_be_cheaper(small_network: str, tmp_path: Path) -> None:
    messages = Messages()
    config = TrainConfig(
        checkpoint=f"{small_network}@random",
        data="digits@train:40",
        out=str(tmp_path / "run"),
        strategy="linear-probe",
        epochs=1,
        workers=0,
        device="cpu",
    )
    run(config, progress=messages)
    assert sum("--augment none" in text for text in messages.texts) == 1


def test_a_run_goes_on_in_mid_epoch_and_leaves_out_a_last_single_image(data: TrainingData) -> None:
    images = data.train.subset(range(9))
    features = torch.arange(9.0)[:, None]
    common: dict[str, Any] = {"batch_size": 4, "seed": 0, "sampling": "shuffled", "device": CPU, "drop_single": True}
    whole = list(feature_batches(features, images, epochs=3, **common))
    assert [len(batch.images) for batch in whole] == [4, 4] * 3
    rest = list(feature_batches(features, images, epochs=3, first_epoch=2, first_step=1, **common))
    assert [batch.images.tolist() for batch in rest] == [batch.images.tolist() for batch in whole[3:]]


def test_passes_over_val_are_those_of_evaluation(job: TrainingJob) -> None:
    cached = open_feature_cache(job, Messages())
    assert cached is not None
    of_features = feature_batches(
        cached.val, job.data.val, batch_size=16, epochs=1, seed=0, sampling="in-order", device=CPU
    )
    of_images = evaluation_batches(job.data.val, job.preprocessing, batch_size=16, workers=0, device=CPU)
    for feature_batch, image_batch in zip(of_features, of_images, strict=True):
        assert torch.equal(feature_batch.positions, image_batch.positions)
        assert torch.equal(feature_batch.labels, image_batch.labels)


def test_a_second_run_finds_the_features_whatever_its_head_and_its_batches(job: TrainingJob, cache: Path) -> None:
    first, second = Messages(), Messages()
    computed = open_feature_cache(job, first)
    head = cast(torch.nn.Linear, job.module.get_submodule("9"))
    torch.nn.init.zeros_(head.weight)
    other = replace(job, config=job.config.model_copy(update={"batch_size": 7, "epochs": 5, "seed": 9}))
    found = open_feature_cache(other, second)
    assert computed is not None
    assert found is not None
    assert torch.equal(found.train, computed.train)
    assert torch.equal(found.val, computed.val)
    files = sorted(cache.iterdir())
    assert len(files) == 2
    assert first.batches == 3 + 1
    assert second.batches == 0
    assert first.texts[0].startswith("features of 150 images of train, 0.1 MB: computed once, kept in ")
    assert second.texts[1].startswith("features of 40 images of val, 0.0 MB: found in ")


def test_whatever_the_numbers_depend_on_names_another_file(job: TrainingJob, small_network: str, cache: Path) -> None:
    open_feature_cache(job, Messages())
    taller = job.preprocessing.model_copy(update={"mean": (0.4,)})
    relabelled = replace(job.data.train, labels=tuple(reversed(job.data.train.labels)))
    changed = [
        make_job(small_network, job.data, seed=1),
        replace(job, preprocessing=taller),
        replace(job, data=replace(job.data, train=relabelled)),
        replace(job, precision="bf16"),
    ]
    for number, other in enumerate(changed, start=1):
        messages = Messages()
        open_feature_cache(other, messages)
        assert messages.texts[0].split(": ")[1].startswith("computed"), number
    code = Path(small_network.rpartition(":")[0])
    code.write_text(code.read_text() + "# another forward pass, perhaps\n")
    messages = Messages()
    open_feature_cache(job, messages)
    assert all("computed" in text for text in messages.texts)


def test_a_damaged_file_is_computed_again(job: TrainingJob, cache: Path) -> None:
    computed = open_feature_cache(job, Messages())
    assert computed is not None
    expected = computed.train.clone()
    for file in cache.iterdir():
        content = bytearray(file.read_bytes())
        content[-100] ^= 255
        file.write_bytes(content)
    messages = Messages()
    again = open_feature_cache(job, messages)
    assert again is not None
    assert torch.equal(again.train, expected)
    assert all("computed once, kept in" in text for text in messages.texts)


def test_a_folder_that_takes_no_file(job: TrainingJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TLV_CACHE", str(tmp_path / "file"))
    messages = Messages()
    kept = open_feature_cache(job, messages)
    monkeypatch.setenv("TLV_CACHE", str(tmp_path / "elsewhere"))
    on_disk = open_feature_cache(job, Messages())
    assert kept is not None
    assert on_disk is not None
    assert torch.equal(kept.train, on_disk.train)
    assert all("in memory" in text for text in messages.texts)
    monkeypatch.setenv("TLV_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(feature_cache_module, "_FEW_BYTES", 10)
    assert open_feature_cache(job, messages) is None


def test_features_beyond_the_bound_are_not_kept(job: TrainingJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_cache_module, "MOST_BYTES", 1000)
    messages = Messages()
    assert open_feature_cache(job, messages) is None
    assert "too many to keep" in messages.texts[0]


def test_a_network_that_cannot_be_cut(data: TrainingData, tmp_path: Path) -> None:
    path = tmp_path / "net.py"
    path.write_text("""
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes, in_chans):
        super().__init__()
        self.stem = nn.Conv2d(in_chans, 4, 3)
        self.fc = nn.Linear(4, num_classes)

    def forward(self, x):
        return self.fc(self.stem(x).mean((2, 3))).relu()
""")
    messages = Messages()
    assert open_feature_cache(make_job(f"{path}:Net", data), messages) is None
    assert messages.texts == [f"{path}:Net cannot be cut before its head: every epoch computes the features"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, True),
        ({"feature_cache": False}, False),
        ({"augment": "standard"}, False),
        ({"mixup": 0.2}, False),
        ({"erasing": 0.5}, False),
        ({"crossover": "source.pth"}, False),
        ({"strategy": "full"}, False),
        ({"strategy": "lp-ft"}, False),
    ],
)
def test_which_runs_use_it(small_network: str, data: TrainingData, settings: dict[str, Any], expected: bool) -> None:
    assert uses_feature_cache(make_job(small_network, data, **settings)) is expected


@pytest.mark.parametrize(
    ("settings", "processes", "said"),
    [
        ({}, 1, None),
        ({"augment": "standard"}, 1, "--augment none computes them once"),
        ({"augment": "standard", "feature_cache": False}, 1, None),
        ({"augment": "standard", "strategy": "full"}, 1, None),
        # Without the policy, these would still vary.
        ({"augment": "standard", "mixup": 0.2}, 1, None),
        ({"augment": "standard", "crossover": "source.pth"}, 1, None),
        ({}, 2, "under torchrun"),
        ({"feature_cache": False}, 2, None),
    ],
)
def test_what_keeps_features_from_being_computed_once_is_said(
    small_network: str, data: TrainingData, settings: dict[str, Any], processes: int, said: str | None
) -> None:
    job = replace(make_job(small_network, data, **settings), processes=Processes(world_size=processes))
    reason = why_not_cached(job)
    assert (reason is None) if said is None else (reason is not None and said in reason)


def test_the_module_is_left_as_it_was(job: TrainingJob) -> None:
    set_modes(job.module, job.plan.phases[0])
    modes = [part.training for part in job.module.modules()]
    state = {name: tensor.clone() for name, tensor in job.module.state_dict().items()}
    open_feature_cache(job, Messages())
    assert [part.training for part in job.module.modules()] == modes
    assert all(torch.equal(tensor, state[name]) for name, tensor in job.module.state_dict().items())
