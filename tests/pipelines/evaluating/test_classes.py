"""Classes of the data and outputs of the network: by name, ImageNet's numbers, the output's number, or a map."""

from __future__ import annotations

import pytest

from tlvcli.core.errors import TlvError
from tlvcli.models.imagenet import imagenet_class_names, imagenet_wnids
from tlvcli.pipelines.evaluating.classes import match_classes

ANT, BEE = 310, 309


def test_wnids_and_names_are_in_the_order_of_the_outputs() -> None:
    wnids, names = imagenet_wnids(), imagenet_class_names()
    assert len(set(wnids)) == len(set(names)) == 1000
    assert list(wnids) == sorted(wnids)
    assert (wnids[0], names[0]) == ("n01440764", "tench")
    assert (names[ANT], names[BEE], wnids[ANT]) == ("ant", "bee", "n02219486")


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(
    ("folders", "matched_by"),
    [
        (("ant", "bee"), "name"),
        (("n02219486", "n02206856"), "wnid"),
        (("ant", "n02206856"), "wnid"),
        (("310", "309"), "index"),
    ],
)
def test_an_imagenet_head(folders: tuple[str, ...], matched_by: str, named: bool) -> None:
    names = imagenet_class_names() if named else None
    matched = match_classes(names, 1000, folders, "photos")
    assert matched.outputs == (ANT, BEE)
    assert matched.matched_by == matched_by
    assert [matched.names[output] for output in matched.outputs] == ["ant", "bee"]
    assert any("took those of ImageNet" in warning for warning in matched.warnings) == (not named)
    assert any("2 of the checkpoint's 1,000 classes" in warning for warning in matched.warnings)


def test_folders_of_all_1000_outputs_are_sorted_as_numbers() -> None:
    folders = tuple(sorted(map(str, range(1000))))
    assert folders[2] == "10"
    assert match_classes(None, 1000, folders, "photos").outputs[2] == 10


def test_names_win_over_numbers() -> None:
    matched = match_classes(("2", "1", "0"), 3, ("0", "1", "2"), "photos")
    assert (matched.outputs, matched.matched_by) == ((2, 1, 0), "name")
    matched = match_classes(("ant", "bee", "fly"), 3, ("0", "2"), "photos")
    assert (matched.outputs, matched.matched_by) == ((0, 2), "index")


def test_without_names_as_many_classes_are_in_the_order_of_the_folders() -> None:
    folders = tuple(sorted(map(str, range(12))))
    matched = match_classes(None, 12, folders, "photos")
    assert (matched.outputs, matched.names, matched.matched_by) == (tuple(range(12)), folders, "index")
    fewer = match_classes(None, 12, ("10", "3"), "photos")
    assert fewer.outputs == (10, 3)
    assert fewer.names[3:5] == ("3", "4")


@pytest.mark.parametrize(
    "class_map", [{"ants": 310, "bees": 309}, {"ants": "ant", "bees": "n02206856"}, {"ants": "310", "bees": "bee"}]
)
def test_a_map_names_outputs(class_map: dict[str, str | int]) -> None:
    matched = match_classes(None, 1000, ("ants", "bees"), "photos", class_map)
    assert (matched.outputs, matched.matched_by) == ((ANT, BEE), "map")


def test_what_the_map_leaves_out_keeps_its_name() -> None:
    matched = match_classes(("ant", "bee"), 2, ("ants", "bee"), "photos", {"ants": "ant", "wasps": 1})
    assert matched.outputs == (0, 1)
    assert matched.warnings == ("the class map names wasps, which photos does not have",)


def test_several_folders_of_one_class() -> None:
    matched = match_classes(("cat", "dog"), 2, ("lion", "tiger", "dog"), "zoo", {"lion": "cat", "tiger": "cat"})
    assert matched.outputs == (0, 0, 1)
    assert matched.warnings == ()


@pytest.mark.parametrize(
    ("class_map", "says", "hint"),
    [
        ({"ants": 2}, "ants is mapped to 2, and", "an output from 0 to 1"),
        ({"ants": -1}, "ants is mapped to -1, and", "an output from 0 to 1"),
        ({"ants": "amt"}, "ants is mapped to amt, and", "did you mean ant?"),
        ({}, "ants is not in the map, and", "did you mean ant?"),
    ],
)
def test_a_map_to_no_class_is_refused(class_map: dict[str, str | int], says: str, hint: str) -> None:
    with pytest.raises(TlvError, match=says) as caught:
        match_classes(("ant", "bee"), 2, ("ants",), "photos", class_map)
    assert caught.value.error_id == "class-map-invalid"
    assert hint in caught.value.hint


def test_a_mismatch_names_the_classes_and_the_nearest_one() -> None:
    with pytest.raises(TlvError, match=r"photos has ants, xq; the checkpoint knows only ImageNet's 1,000") as caught:
        match_classes(None, 1000, ("ants", "bee", "xq"), "photos")
    assert caught.value.error_id == "classes-mismatch"
    assert "if ants is ant, say so" in caught.value.hint
    with pytest.raises(TlvError, match="the checkpoint has 3 classes, photos has 2"):
        match_classes(None, 3, ("ant", "bee"), "photos")


@pytest.mark.parametrize(("names", "num_classes"), [(None, 1000), (None, 3), (("ant", "bee", "fly"), 3)])
def test_numbers_outside_the_head_are_named_alone(names: tuple[str, ...] | None, num_classes: int) -> None:
    outside = f"photos has 1310; the checkpoint's outputs are 0 to {num_classes - 1}"
    with pytest.raises(TlvError, match=outside) as caught:
        match_classes(names, num_classes, ("0", "1310"), "photos")
    assert caught.value.error_id == "classes-mismatch"


def test_numbers_beside_names_are_refused() -> None:
    with pytest.raises(TlvError, match="photos names some classes and numbers others: 309") as caught:
        match_classes(None, 1000, ("ant", "309"), "photos")
    assert "a line 309: 309" in caught.value.hint
    assert match_classes(None, 1000, ("ant", "309"), "photos", {"309": 309}).outputs == (ANT, BEE)
