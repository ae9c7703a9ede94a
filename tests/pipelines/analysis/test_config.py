"""One question at a time, and what contradicts itself is refused."""

from __future__ import annotations

from typing import Any

import pytest

from tlvcli.core.config import parse_config
from tlvcli.core.errors import TlvError
from tlvcli.pipelines.analysis.config import AnalyzeStatsConfig


def _parse(**values: Any) -> AnalyzeStatsConfig:
    return parse_config(AnalyzeStatsConfig, {"checkpoint": "net.pt", **values})


@pytest.mark.parametrize(
    ("values", "mode"),
    [
        ({"source": "a", "target": "b"}, "shift"),
        ({"against": "other.pt", "data": "a"}, "similarity"),
        ({"against": ["b.pt", "c.pt"], "data": "a", "score": "leep,logme"}, "scores"),
        ({"score": ["leep", "nce"], "data": "a"}, "scores"),
        ({"weights": True}, "weights"),
    ],
)
def test_the_question_follows_from_what_is_given(values: dict[str, Any], mode: str) -> None:
    config = _parse(**values)
    assert config.mode == mode
    # What a report says repeats the run.
    assert parse_config(AnalyzeStatsConfig, config.model_dump()) == config


def test_words_may_be_repeated_or_joined_by_commas() -> None:
    assert _parse(score="leep, logme", data="a").score == ["leep", "logme"]
    assert _parse(source="a", target="b", statistic=["js,ks", "welch-t"]).statistic == ["js", "ks", "welch-t"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "nothing to analyse"),
        ({"source": "a"}, "target is missing"),
        ({"target": "a"}, "source is missing"),
        ({"against": "b.pt"}, "data is missing"),
        ({"score": "leep"}, "data is missing"),
        ({"against": ["b.pt", "c.pt"], "data": "a"}, "between two checkpoints"),
        ({"weights": True, "score": "leep", "data": "a"}, "two questions"),
        ({"weights": True, "data": "a"}, "data belongs to --against or --score"),
        ({"source": "a", "data": "b", "against": "c.pt"}, "source belongs to --source and --target"),
        ({"against": "b.pt", "data": "a", "mask": "m.safetensors"}, "mask belongs to"),
        ({"source": "a", "target": "b", "alpha": 0.1, "threshold": 1.0}, "threshold and alpha are two rules"),
        ({"source": "a", "target": "b", "max_shift": 1.5}, "max_shift"),
    ],
)
def test_contradictions_are_errors(values: dict[str, Any], said: str) -> None:
    with pytest.raises(TlvError, match=said) as caught:
        _parse(**values)
    assert caught.value.error_id == "config-invalid"
