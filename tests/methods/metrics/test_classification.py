"""Every measure against scikit-learn, or a plain loop, on the same answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torch import Tensor

from tlvcli.methods.metrics.classification import (
    NUM_BINS,
    averages,
    f1_by_class,
    occurring_classes,
    precision_by_class,
    recall_by_class,
    sum_once,
    sum_up,
)
from tlvcli.methods.metrics.image_scores import ImageScores, join_scores, score_logits

CLASSES = 12


def _answers(images: int = 400, *, absent: tuple[int, ...] = ()) -> tuple[Tensor, Tensor]:
    """Logits that are right for most images, and labels of which some classes have none."""
    generator = torch.Generator().manual_seed(3)
    present = torch.tensor([number for number in range(CLASSES) if number not in absent])
    labels = present[torch.randint(len(present), (images,), generator=generator)]
    logits = 2 * torch.randn(images, CLASSES, generator=generator)
    logits[torch.arange(images), labels] += 2.5
    return logits, labels


def _score(logits: Tensor, labels: Tensor) -> ImageScores:
    return score_logits(logits, labels, torch.arange(len(labels)))


@pytest.fixture(params=[(), (2, 7)], ids=["all classes", "two without images"])
def answers(request: pytest.FixtureRequest) -> tuple[Tensor, Tensor]:
    return _answers(absent=request.param)


def test_shares_and_losses(answers: tuple[Tensor, Tensor]) -> None:
    logits, labels = answers
    scores = _score(logits, labels)
    probabilities = logits.double().softmax(dim=1).numpy()
    truth, known = labels.numpy(), list(range(CLASSES))
    found = averages(sum_once(scores))
    assert float(scores.correct.double().mean()) == sk.accuracy_score(truth, probabilities.argmax(axis=1))
    assert float(scores.top5_correct.double().mean()) == sk.top_k_accuracy_score(
        truth, probabilities, k=5, labels=known
    )
    assert float(found["loss"]) == pytest.approx(sk.log_loss(truth, probabilities, labels=known), rel=1e-12)
    assert float(found["brier"]) == pytest.approx(
        float(((probabilities - np.eye(CLASSES)[truth]) ** 2).sum(axis=1).mean()), rel=1e-12
    )
    np.testing.assert_allclose(scores.probability.numpy(), probabilities.max(axis=1), rtol=1e-12)
    np.testing.assert_allclose(
        scores.label_probability.numpy(), probabilities[np.arange(len(truth)), truth], rtol=1e-12
    )


def test_measures_of_classes(answers: tuple[Tensor, Tensor]) -> None:
    logits, labels = answers
    scores = _score(logits, labels)
    truth, predicted = labels.numpy(), logits.argmax(dim=1).numpy()
    classes, _, _ = occurring_classes(scores)
    assert classes.tolist() == sorted({*truth.tolist(), *predicted.tolist()})
    sums = sum_once(scores)
    expected = sk.precision_recall_fscore_support(truth, predicted, labels=classes.numpy(), zero_division=0.0)
    measures = (precision_by_class(sums), recall_by_class(sums), f1_by_class(sums), sums.labelled)
    for found, wanted in zip(measures, expected, strict=True):
        np.testing.assert_allclose(found[:, 0].numpy(), wanted, rtol=1e-12)
    present = np.unique(truth)
    wanted = sk.precision_recall_fscore_support(truth, predicted, labels=present, average="macro", zero_division=0.0)
    found = averages(sums)
    names = ("macro-precision", "balanced-accuracy", "macro-f1")
    assert [float(found[name]) for name in names] == pytest.approx(list(wanted[:3]), rel=1e-12)


def test_calibration_is_that_of_a_plain_loop(answers: tuple[Tensor, Tensor]) -> None:
    scores = _score(*answers)
    confidence, right = scores.probability.numpy(), scores.correct.numpy()
    gaps, weights = [], []
    for number in range(NUM_BINS):
        inside = (confidence > number / NUM_BINS) & (confidence <= (number + 1) / NUM_BINS)
        if inside.any():
            gaps.append(abs(confidence[inside].mean() - right[inside].mean()))
            weights.append(inside.mean())
    found = averages(sum_once(scores))
    assert float(found["ece"]) == pytest.approx(float(np.dot(gaps, weights)), rel=1e-12)
    assert float(found["mce"]) == pytest.approx(max(gaps), rel=1e-12)


def test_a_certain_answer_falls_into_the_last_bin() -> None:
    sums = sum_once(_score(torch.tensor([[200.0, 0.0], [0.0, 200.0]]), torch.tensor([0, 0])))
    assert sums.bin_images[:, 0].tolist() == [0.0] * (NUM_BINS - 1) + [2.0]
    assert float(averages(sums)["ece"]) == pytest.approx(0.5)


def test_a_class_that_is_never_predicted_has_precision_0() -> None:
    logits = torch.tensor([[3.0, 1.0, 0.0], [3.0, 1.0, 0.0], [2.0, 0.0, 1.0]])
    sums = sum_once(_score(logits, torch.tensor([0, 1, 1])))
    assert precision_by_class(sums)[:, 0].tolist() == [pytest.approx(1 / 3), 0.0]
    assert f1_by_class(sums)[:, 0].tolist() == [0.5, 0.0]


def test_weights_count_images() -> None:
    logits, labels = _answers(60)
    counts = torch.randint(4, (60, 3), generator=torch.Generator().manual_seed(0))
    found = averages(sum_up(_score(logits, labels), counts.double()))
    for column in range(3):
        chosen = torch.arange(60).repeat_interleave(counts[:, column])
        expected = averages(sum_once(_score(logits[chosen], labels[chosen])))
        for name, value in expected.items():
            assert float(found[name][column]) == pytest.approx(float(value), rel=1e-12), name


def test_parts_join_in_the_order_of_the_data() -> None:
    logits, labels = _answers(50)
    whole = _score(logits, labels)
    places = torch.randperm(50, generator=torch.Generator().manual_seed(1))
    parts = [score_logits(logits[some], labels[some], some) for some in places.split(7)]
    joined = join_scores(parts)
    assert joined.positions.equal(whole.positions)
    assert joined.top.equal(whole.top)
    torch.testing.assert_close(joined.loss, whole.loss, rtol=1e-14, atol=0)


def test_an_image_costs_less_than_100_bytes() -> None:
    scores = _score(*_answers(10))
    columns = [scores.positions, scores.labels, scores.top, scores.probability, scores.loss, scores.brier]
    assert sum(column.element_size() * column[0].numel() for column in columns) == 60


def test_fewer_than_five_classes() -> None:
    scores = _score(torch.tensor([[0.0, 2.0, 1.0]]), torch.tensor([0]))
    assert scores.top.tolist() == [[1, 2, 0]]
    assert scores.top5_correct.tolist() == [True]
