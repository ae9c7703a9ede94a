"""Every score against its published formula in plain numpy, with fewer and with more images than dimensions."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf

from tlvcli.core.errors import TlvError
from tlvcli.methods.scores.table import SCORES, Score, find_score

Array = NDArray[np.float64]
SHAPES = [(60, 8), (20, 35)]
CLASSES = 4


def _labels(num_images: int) -> torch.Tensor:
    return torch.arange(num_images) * 7 % CLASSES


def _features(num_images: int, num_dimensions: int, *, signal: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(CLASSES, num_dimensions, generator=generator)
    noise = torch.randn(num_images, num_dimensions, generator=generator)
    return (signal * means[_labels(num_images)] + noise + 1).double()


def _probabilities(num_images: int, num_old: int, *, signal: float = 1.0) -> torch.Tensor:
    return _features(num_images, num_old, signal=signal).softmax(dim=1)


def _logme(f: Array, y: NDArray[np.int64]) -> float:
    n, d = f.shape
    evidences = []
    for label in range(CLASSES):
        target = (y == label).astype(float)
        eigenvalues = np.clip(np.linalg.eigvalsh(f.T @ f), 0, None)  # all d of them
        a = b = 1.0
        for _ in range(11):
            old = a / b
            gamma = sum(s / (s + a / b) for s in eigenvalues)
            m = b * np.linalg.solve(a * np.eye(d) + b * f.T @ f, f.T @ target)
            residual = np.sum((target - f @ m) ** 2)
            a, b = gamma / (m @ m), (n - gamma) / residual
            if abs(a / b - old) / old < 1e-2:
                break
        determinant = sum(math.log(a + b * s) for s in eigenvalues)
        evidence = d / 2 * math.log(a) + n / 2 * math.log(b) - determinant / 2
        evidence -= b / 2 * residual + a / 2 * (m @ m) + n / 2 * math.log(2 * math.pi)
        evidences.append(evidence / n)
    return float(np.mean(evidences))


def _leep(p: Array, y: NDArray[np.int64]) -> float:
    joint = np.zeros((CLASSES, p.shape[1]))
    for row, label in zip(p, y, strict=True):
        joint[label] += row / len(y)
    total = 0.0
    for row, label in zip(p, y, strict=True):
        total += math.log(sum(joint[label, z] / joint[:, z].sum() * row[z] for z in range(len(row)) if row[z] > 0))
    return total / len(y)


def _nce(p: Array, y: NDArray[np.int64]) -> float:
    old = [int(np.argmax(row)) for row in p]
    total = 0.0
    for z in set(old):
        members = [label for label, first in zip(y, old, strict=True) if first == z]
        for label in set(members):
            share = members.count(label) / len(members)
            total += len(members) / len(y) * share * math.log(share)
    return total


def _class_means(f: Array, y: NDArray[np.int64]) -> Array:
    means = np.zeros_like(f)
    for label in range(CLASSES):
        means[y == label] = f[y == label].mean(axis=0)
    return means


def _hscore(f: Array, y: NDArray[np.int64]) -> float:
    between = np.cov(_class_means(f, y), rowvar=False)
    return float(np.trace(np.linalg.pinv(np.cov(f, rowvar=False), rcond=1e-12) @ between))


def _regularised(f: Array, y: NDArray[np.int64]) -> float:
    fitted = LedoitWolf().fit(f)
    between = (1 - fitted.shrinkage_) * np.cov(_class_means(f, y), rowvar=False)
    return float(np.trace(np.linalg.inv(fitted.covariance_) @ between))


def _transrate(f: Array, y: NDArray[np.int64]) -> float:
    def rate(part: Array) -> float:
        return np.linalg.slogdet(np.eye(part.shape[1]) + part.T @ part / (len(part) * 1e-4))[1] / 2

    centred = f - f.mean(axis=0)
    return rate(centred) - float(np.mean([rate(centred[y == label]) for label in range(CLASSES)]))


FORMULAS: dict[str, Callable[[Array, NDArray[np.int64]], float]] = {
    "logme": _logme,
    "leep": _leep,
    "nce": _nce,
    "hscore": _hscore,
    "hscore-regularised": _regularised,
    "transrate": _transrate,
}


def _input(score: Score, shape: tuple[int, int], *, signal: float = 1.0) -> torch.Tensor:
    return (_features if score.needs == "features" else _probabilities)(*shape, signal=signal)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("score", SCORES, ids=lambda score: score.name)
def test_against_the_published_formula(score: Score, shape: tuple[int, int]) -> None:
    given, labels = _input(score, shape), _labels(shape[0])
    before = given.clone()
    found = score.load_function()(given, labels)
    assert found == pytest.approx(FORMULAS[score.name](given.numpy(), labels.numpy()), rel=1e-6, abs=1e-8)
    assert torch.equal(given, before)


@pytest.mark.parametrize("score", SCORES, ids=lambda score: score.name)
def test_classes_that_lie_apart_score_higher(score: Score) -> None:
    low, high = (score.load_function()(_input(score, (60, 8), signal=signal), _labels(60)) for signal in (0.0, 3.0))
    assert high > low


@pytest.mark.parametrize("name", ["leep", "nce"])
def test_an_old_class_without_mass_takes_no_part(name: str) -> None:
    given, labels = _probabilities(60, 8), _labels(60)
    wider = torch.cat([given, torch.zeros(60, 3, dtype=torch.float64)], dim=1)
    score = find_score(name).load_function()
    assert score(wider, labels) == pytest.approx(score(given, labels))


def test_old_classes_that_tell_the_new_ones_leave_nothing_open() -> None:
    labels = _labels(40)
    certain = torch.nn.functional.one_hot(labels, 6).double()
    assert find_score("leep").load_function()(certain, labels) == pytest.approx(0, abs=1e-12)
    assert find_score("nce").load_function()(certain, labels) == pytest.approx(0, abs=1e-12)
    constant = torch.full((40, 6), 1 / 6, dtype=torch.float64)
    assert find_score("leep").load_function()(constant, labels) == pytest.approx(-math.log(CLASSES))
    assert find_score("nce").load_function()(constant, labels) == pytest.approx(-math.log(CLASSES))


def test_dimensions_that_repeat_others_change_no_h_score() -> None:
    features, labels = _features(60, 8), _labels(60)
    repeated = torch.cat([features, features[:, :3]], dim=1)
    score = find_score("hscore").load_function()
    assert score(repeated, labels) == pytest.approx(score(features, labels))


def test_with_fewer_images_than_dimensions_the_h_score_says_nothing_and_the_regularised_one_does() -> None:
    labels = _labels(20)
    plain, regularised = (find_score(name).load_function() for name in ("hscore", "hscore-regularised"))
    noise, signal = _features(20, 35, signal=0), _features(20, 35, signal=3)
    assert plain(noise, labels) == pytest.approx(CLASSES - 1) == pytest.approx(plain(signal, labels))
    assert regularised(noise, labels) < 0.5 * regularised(signal, labels)


def test_unknown_score_gets_a_hint() -> None:
    with pytest.raises(TlvError, match="no score is called logmee") as raised:
        find_score("logmee")
    assert "logme" in raised.value.hint
