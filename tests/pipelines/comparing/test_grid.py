"""Which cells a grid has, and what is said of one that cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tlvcli.core.errors import TlvError
from tlvcli.pipelines.comparing.config import CompareConfig
from tlvcli.pipelines.comparing.folder import CompareFolder
from tlvcli.pipelines.comparing.grid import Grid, make_grid, short_cell_names, source_labels
from tlvcli.pipelines.comparing.grid_keys import full_key, parse_axes


def _config(**given: Any) -> CompareConfig:
    return CompareConfig(**{"source": "vgg16.pth", "target_arch": "resnet18", "data": "digits", "out": "cmp", **given})


def _grid(**given: Any) -> Grid:
    return make_grid(_config(**given))


def test_a_grid_is_the_product_of_its_axes() -> None:
    grid = _grid(methods="he,tlv", strategies="full,two-rate", grid=["lr=0.1,0.01", "mixup=0,0.2"], seeds=3)
    assert [variant.name for variant in grid.variants] == [
        "vgg16/he/full",
        "vgg16/he/two-rate",
        "vgg16/tlv/full",
        "vgg16/tlv/two-rate",
    ]
    assert [point.text for point in grid.points[grid.variants[0]]] == [
        "lr=0.1,mixup=0",
        "lr=0.1,mixup=0.2",
        "lr=0.01,mixup=0",
        "lr=0.01,mixup=0.2",
    ]
    assert len(grid.cells) == len(set(grid.cells)) == 4 * 4 * 3
    assert grid.baseline == grid.variants[0]


def test_the_cells_of_a_grid_have_folders_of_their_own() -> None:
    grid = _grid(
        source=["a/net.pth", "b/net.pth", "resnet18@random"],
        methods="he,tlv,coherent",
        strategies="full,non-binary",
        grid=["new-layers=1,2", "label-smoothing=0,0.1", 'augment=["none", "rand-m9-inc1", "rand/m9 inc1"]'],
    )
    places = [CompareFolder(Path("out")).cell(cell).path for cell in grid.cells]
    assert len(set(places)) == len(places)
    assert all(" " not in str(place) and ".." not in place.parts for place in places)


def test_a_key_is_searched_only_where_it_is_taken() -> None:
    grid = _grid(
        methods="he,tlv", strategies="full,non-binary", grid=["num-lowlrs=1,2", "mapping.keep=interleaved,random"]
    )
    sizes = {variant.name: len(points) for variant, points in grid.points.items()}
    assert sizes == {
        "vgg16/he/full": 1,
        "vgg16/he/non-binary": 2,
        "vgg16/tlv/full": 2,
        "vgg16/tlv/non-binary": 4,
    }


def test_a_start_that_reads_no_source_is_run_once() -> None:
    grid = _grid(source=["a.pth", "b.pth"], methods="he,tlv")
    assert [variant.name for variant in grid.variants] == ["a/he/full", "a/tlv/full", "b/tlv/full"]


def test_what_follows_a_mapping_makes_another_start() -> None:
    grid = _grid(methods="he,he+calibrate,coherent+calibrate+fit,coherent+fit+calibrate", source=["a.pth", "b.pth"])
    assert [variant.name for variant in grid.variants] == [
        "a/he/full",
        "a/he+calibrate/full",
        "a/coherent+fit+calibrate/full",
        "b/coherent+fit+calibrate/full",
    ]


def test_a_choice_of_a_step_is_searched_only_where_the_step_is_taken() -> None:
    grid = _grid(methods="coherent,coherent+fit", grid=["fit.ridge=0.1,1"])
    assert [len(points) for points in grid.points.values()] == [1, 2]
    with pytest.raises(TlvError) as raised:
        _grid(methods="coherent,coherent+calibrate", grid=["fit.ridge=0.1,1"])
    assert raised.value.error_id == "grid-key-not-taken"


def test_a_step_that_is_none_is_named() -> None:
    with pytest.raises(TlvError) as raised:
        _grid(methods="he,coherent+calibrat")
    assert raised.value.error_id == "step-unknown"
    assert "coherent+calibrat" in raised.value.message
    assert "calibrate" in str(raised.value.hint)


def test_without_a_target_the_sources_are_fine_tuned() -> None:
    grid = _grid(target_arch=None, source=["a.pth", "resnet18@random"], strategies="full,linear-probe")
    assert [variant.name for variant in grid.variants] == [
        "a/full",
        "a/linear-probe",
        "resnet18@random/full",
        "resnet18@random/linear-probe",
    ]
    with pytest.raises(TlvError) as caught:
        _grid(target_arch=None, grid=["mapping.keep=interleaved,random"])
    assert caught.value.error_id == "grid-key-not-taken"


@pytest.mark.parametrize(
    ("asked", "found"),
    [("tlv", "vgg16/tlv/full"), ("two-rate", "vgg16/he/two-rate"), ("tlv/two-rate", "vgg16/tlv/two-rate")],
)
def test_a_baseline_is_the_first_row_with_its_words(asked: str, found: str) -> None:
    assert _grid(methods="he,tlv", strategies="full,two-rate", baseline=asked).baseline.name == found


def test_sources_of_one_name_are_told_apart() -> None:
    assert list(source_labels(["a/x.pth", "b/x.pt", "x@random", "c/x.bin"]).values()) == ["x", "x~2", "x@random", "x~3"]


@pytest.mark.parametrize(
    ("key", "full"),
    [
        ("lr", "train.lr"),
        ("train.weight-decay", "train.weight_decay"),
        ("keep", None),
        ("mapping.keep", "transfer.mapping.keep"),
        ("transfer.mapping.keep", "transfer.mapping.keep"),
        ("num-classes", "transfer.num_classes"),
        ("train.image-size", "train.image_size"),
    ],
)
def test_a_key_belongs_to_the_command_that_has_it(key: str, full: str | None) -> None:
    if full is not None:
        assert full_key(key) == full
        return
    with pytest.raises(TlvError) as caught:
        full_key(key)
    assert caught.value.error_id == "grid-key-unknown"
    assert "mapping.keep" in caught.value.hint


@pytest.mark.parametrize(
    ("given", "error_id", "said"),
    [
        (["mixpu=0.1,0.2"], "grid-key-unknown", "did you mean mixup?"),
        (["image-size=16,32"], "grid-key-ambiguous", "train.image_size"),
        (["seed=1,2"], "grid-key-not-free", "leave it out"),
        (["train.strategy=full,lp-ft"], "grid-key-not-free", "leave it out"),
        (["lr"], "grid-invalid", "KEY=V1,V2"),
        (["lr=0.1,,0.2"], "grid-invalid", "lr=V1,V2"),
        (["lr=0.1", "train.lr=0.2"], "grid-invalid", "once"),
    ],
)
def test_a_key_that_cannot_be_searched_is_refused(given: list[str], error_id: str, said: str) -> None:
    with pytest.raises(TlvError) as caught:
        parse_axes(given)
    assert caught.value.error_id == error_id
    assert said in caught.value.hint


def test_a_key_that_no_strategy_takes_names_those_that_do() -> None:
    with pytest.raises(TlvError) as caught:
        _grid(strategies="full,two-rate", grid=["num-lowlrs=1,2,4"])
    assert caught.value.error_id == "grid-key-not-taken"
    assert "non-binary" in caught.value.hint


def test_values_are_read_as_set_reads_them() -> None:
    axes = parse_axes(
        ["lr=0.01,1e-3", "balanced=true,false", 'milestones=["3,6", [4, 8]]', "augment=none,rand-m9-inc1"]
    )
    assert axes == {
        "train.lr": (0.01, "1e-3"),
        "train.balanced": (True, False),
        "train.milestones": ("3,6", (4, 8)),
        "train.augment": ("none", "rand-m9-inc1"),
    }
    assert parse_axes({"lr": [0.01, 0.1], "train.mixup": 0.2}) == {"train.lr": (0.01, 0.1), "train.mixup": (0.2,)}
    assert parse_axes(axes) == axes  # as the report's config gives it back


def test_an_unknown_baseline_is_refused() -> None:
    with pytest.raises(TlvError) as caught:
        _grid(methods="he,tlv", baseline="tvl")
    assert (caught.value.error_id, caught.value.hint) == ("baseline-unknown", "did you mean tlv?")


def test_short_names_leave_out_what_all_cells_have_in_common() -> None:
    several = _grid(methods="he,tlv", grid=["mapping.keep=interleaved,random"], seeds=1)
    assert list(short_cell_names(several).values()) == [
        "he seed 0",
        "tlv keep=interleaved seed 0",
        "tlv keep=random seed 0",
    ]
    two = _grid(methods="he", source=["a.pth", "b.pth"], strategies="full,two-rate", seeds=1)
    assert list(short_cell_names(two).values()) == ["full seed 0", "two-rate seed 0"]
    assert list(short_cell_names(_grid(methods="he", seeds=2)).values()) == ["seed 0", "seed 1"]
