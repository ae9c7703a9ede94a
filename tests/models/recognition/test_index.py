"""The shipped index and catalogue are what this torchvision and this timm make."""

from __future__ import annotations

import lzma
from collections.abc import Iterable, Iterator
from importlib import resources

import pytest

from tests.models.recognition.conftest import ShapesOf
from tlvcli.models.builders import classifier_names
from tlvcli.models.recognition.catalogue import templates_of
from tlvcli.models.recognition.index import Family, Part, Sums, format_index, known_names, load_index
from tlvcli.models.recognition.make import Skeleton, compress, find_open, make_catalogue, make_index, read_skeleton

# One of each way in which stems and heads differ, and one that runs a part of itself while it is built.
TIMM_SAMPLE = [
    "timm:resnet18d",
    "timm:vit_base_patch16_224",
    "timm:deit_base_distilled_patch16_224",
    "timm:levit_128s",
    "timm:maxvit_tiny_tf_224",
    "timm:mobilenetv3_small_100",
    "timm:tresnet_m",
    "timm:swinv2_cr_tiny_224",
    "timm:vit_small_r26_s32_224",
    "timm:samvit_base_patch16",
    "timm:naflexvit_base_patch16_gap",
]


@pytest.fixture(scope="module")
def skeletons(shapes_of: ShapesOf) -> dict[str, Skeleton]:
    return {name: find_open(name, shapes_of(name, 1000, 3), shapes_of(name, 10, 4)) for name in classifier_names()}


def records(families: Iterable[Family]) -> Iterator[tuple[str, tuple[int, tuple[Part, ...], tuple[Sums, ...]]]]:
    for family in families:
        for trunk, entries in family.entries.items():
            for entry in entries:
                yield from ((name, (trunk, family.parts, entry.parts)) for name in entry.names)


def test_torchvisions_part_is_fresh(skeletons: dict[str, Skeleton]) -> None:
    shipped, here = dict(records(load_index("torchvision"))), dict(records(make_index(skeletons.values())))
    # Another torchvision may have more architectures; those that both know must agree.
    common = shipped.keys() & here.keys()
    assert {name: shipped[name] for name in common} == {name: here[name] for name in common}
    assert len(common) >= 80


def test_the_catalogue_is_fresh(skeletons: dict[str, Skeleton]) -> None:
    shipped = lzma.decompress(
        resources.files("tlvcli.models.recognition").joinpath("torchvision_tensors.txt.xz").read_bytes()
    )
    here = make_catalogue(skeletons.values())
    blocks = set(shipped.decode().split("\n\n"))
    assert len(blocks & set(here.split("\n\n"))) >= 80
    assert lzma.decompress(compress(here)).decode() == here


def test_no_two_classifiers_of_torchvision_have_the_same_tensors() -> None:
    entries = [
        entry for family in load_index("torchvision") for entries in family.entries.values() for entry in entries
    ]
    assert {len(entry.names) for entry in entries} == {1}


def test_a_sample_of_timms_part_is_fresh() -> None:
    pytest.importorskip("timm")
    shipped, here = dict(records(load_index("timm"))), dict(records(make_index(map(read_skeleton, TIMM_SAMPLE))))
    assert {name: shipped[name] for name in TIMM_SAMPLE} == here
    assert len(shipped) >= 1300


@pytest.mark.slow
def test_timms_part_is_fresh() -> None:
    timm = pytest.importorskip("timm")
    shipped = dict(records(load_index("timm")))
    names = sorted(shipped.keys() & {f"timm:{name}" for name in timm.list_models()})
    here = dict(records(make_index(map(read_skeleton, names))))
    assert {name: shipped[name] for name in names} == here


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_the_index_reads_what_it_writes(library: str) -> None:
    families = load_index(library)  # type: ignore[arg-type]
    text = resources.files("tlvcli.models.recognition").joinpath(f"{library}.txt").read_text()
    assert format_index(families) == text
    names = list(known_names(library))  # type: ignore[arg-type]
    assert len(names) == len(set(names))


def test_the_catalogue_knows_order_and_open_dimensions() -> None:
    tensors = templates_of("resnet18")
    assert list(tensors)[:3] == ["conv1.weight", "bn1.weight", "bn1.bias"]
    assert tensors["conv1.weight"] == (64, "channels", 7, 7)
    assert (tensors["fc.weight"], tensors["fc.bias"]) == (("classes", 512), ("classes",))
    assert (len(tensors), tensors["bn1.num_batches_tracked"]) == (122, ())
