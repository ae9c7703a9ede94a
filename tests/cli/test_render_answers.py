"""Screens of `analyze-stats` for two networks, for scores and for weights: what they say, and that they fit."""

from __future__ import annotations

import re
from io import StringIO

import pytest
from rich.console import Console

from tlvcli.cli.render_scores import render_scores
from tlvcli.cli.render_similarity import render_similarity
from tlvcli.cli.render_weights import render_weights
from tlvcli.core.provenance import Architecture, Preprocessing
from tlvcli.pipelines.analysis.scores_result import ScoredCheckpoint, ScoresSection
from tlvcli.pipelines.analysis.similarity_result import ComparedLayer, ComparedNetwork, SimilaritySection
from tlvcli.pipelines.analysis.weights_result import LayerKernels, WeightsSection

PREPROCESSING = Preprocessing(image_size=16, resize_size=16, mean=(0.5,) * 3, std=(0.5,) * 3)
ARCHITECTURE = Architecture(name="net", num_classes=10)
LONG = "features.denseblock4.denselayer16.conv"


def _console() -> tuple[Console, StringIO]:
    stream = StringIO()
    return Console(file=stream, width=80, force_terminal=True, no_color=True, highlight=False), stream


def _plain(stream: StringIO) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())


def _network(name: str, *layers: ComparedLayer) -> ComparedNetwork:
    return ComparedNetwork(
        checkpoint=name, architecture=ARCHITECTURE, preprocessing=PREPROCESSING, layers=list(layers), left_out=[]
    )


def _layer(name: str, best: str | None, cka: float | None, same: float | None = None) -> ComparedLayer:
    return ComparedLayer(name=name, stage="output", best=best, best_cka=cka, same_cka=same)


def _similarity(same: float | None = None) -> SimilaritySection:
    first = _network("a.pt", _layer(f"{LONG}1", f"{LONG}2", 0.5, same), _layer("dead", None, None))
    second = _network("b.pt", _layer(f"{LONG}2", f"{LONG}1", 0.5, same))
    return SimilaritySection(
        networks=[first, second], split="test", images=40, skipped=[], batch_size=40, cka=[[0.5], [None]]
    )


def test_partners_are_shown_and_fit() -> None:
    console, stream = _console()
    render_similarity(_similarity(), console)
    head, row, dead = _plain(stream).splitlines()[1:4]
    assert (head.split()[:2], "same name" in head) == (["layer", "best"], False)
    assert "…" in row
    assert row.endswith("0.500  █████")
    assert len(row) <= 80
    assert dead.startswith("dead ")
    assert "the same for every image" in dead
    assert "a.pt (net) and b.pt (net): 2 x 1 layers on 40 images (test)" in _plain(stream)


def test_layers_of_the_same_name_get_a_column() -> None:
    console, stream = _console()
    render_similarity(_similarity(0.25), console, verbose=True)
    lines = _plain(stream).splitlines()
    assert sum("same name" in line and line.startswith("layer") for line in lines) == 2
    assert max(len(line) for line in lines[1:] if line.startswith(("layer", "features"))) <= 80
    assert any("1 layers, CKA 0.250 in the mean" in line for line in lines)


def _scored(name: str, scores: dict[str, float], ranks: dict[str, int]) -> ScoredCheckpoint:
    return ScoredCheckpoint(
        checkpoint=name,
        architecture=ARCHITECTURE,
        preprocessing=PREPROCESSING,
        features_before="fc",
        dimensions=4,
        bytes=160,
        scores=scores,
        ranks=ranks,
    )


@pytest.mark.parametrize("verbose", [False, True])
def test_the_best_checkpoint_comes_first_for_each_score(verbose: bool) -> None:
    console, stream = _console()
    one = _scored("one.pt", {"logme": 0.1, "nce": -0.5}, {"logme": 2, "nce": 1})
    two = _scored("two.pt", {"logme": 0.2, "nce": -1.5}, {"logme": 1, "nce": 2})
    section = ScoresSection(split="test", images=10, classes=2, scores=["logme", "nce"], checkpoints=[one, two])
    render_scores(section, console, verbose=verbose)
    rows = [line.split() for line in _plain(stream).splitlines() if ".pt " in line and " net " in line]
    assert [row[0] for row in rows] == ["two.pt", "one.pt", "one.pt", "two.pt"]
    assert [row[2:] for row in rows[:2]] == [["logme", "0.2", "1"], ["logme", "0.1", "2"]]
    assert "one.pt in 1 of 2 scores; two.pt in 1 of 2 scores" in _plain(stream)
    assert ("Bayesian" in _plain(stream)) == verbose


def test_one_checkpoint_has_no_rank() -> None:
    console, stream = _console()
    section = ScoresSection(
        split="all", images=10, classes=2, scores=["nce"], checkpoints=[_scored("one.pt", {"nce": -0.5}, {"nce": 1})]
    )
    render_scores(section, console)
    assert "rank" not in _plain(stream)


def _kernels(name: str, *, dead: list[int], copies: dict[int, int]) -> LayerKernels:
    return LayerKernels(
        name=name,
        kind="conv2d",
        weight=f"{name}.weight",
        shape=(3, 2, 1, 1),
        dtype="float32",
        spectral_norm=2.0,
        stable_rank=1.5,
        effective_rank=1.75,
        largest_rank=2,
        variance=[0.5, 0.25, None],
        l1=[1.0, 1.0, None],
        l2=[1.0, 1.0, None],
        dead=dead,
        copies=copies,
    )


def test_layers_and_what_is_wrong_with_their_kernels() -> None:
    console, stream = _console()
    layers = [_kernels(f"{LONG}1", dead=[1], copies={}), _kernels("b", dead=[], copies={})]
    render_weights(WeightsSection(layers=layers, without_kernels=["bn"], kernels=6, dead=1, copies=0), console)
    lines = _plain(stream).splitlines()
    assert lines[0].split() == ["layer", "kernels", "variance", "spectral", "stable", "effective", "of", "dead"]
    assert lines[2].split() == ["b", "3", "0.375", "2", "1.5", "1.75", "2"]
    assert all(len(line) <= 80 for line in lines[:3])
    assert "6 in 2 layers: 1 dead, 0 copies" in _plain(stream)
    assert "dead         features.denseblock4.denselayer16.conv1: 1" in lines
    assert "no kernels   bn" in lines
