"""Configuration: every fault at once, the nearest key, dashes or underscores."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import Field

from tlvcli.core.config import Config, known_keys, parse_config
from tlvcli.core.errors import TlvError, did_you_mean, printable


class Inner(Config):
    keep: Literal["all", "none"] = "all"


class Outer(Config):
    num_classes: int = Field(ge=1)
    inner: Inner = Inner()
    note: str | None = None


def test_dashes_and_underscores_are_one() -> None:
    parsed = parse_config(Outer, {"num-classes": 3, "inner": {"keep": "none"}})
    assert parsed == Outer(num_classes=3, inner=Inner(keep="none"))


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(TlvError) as caught:
        parse_config(Outer, {"num_classes": 0, "inner": {"keep": "some"}, "nott": 1})
    assert caught.value.error_id == "config-invalid"
    for words in ("num_classes: input should be greater than or equal to 1, not 0", "inner.keep", "config key nott"):
        assert words in caught.value.message
    assert caught.value.hint == "did you mean note?"


def test_what_is_missing_is_named() -> None:
    with pytest.raises(TlvError, match="num_classes is missing"):
        parse_config(Outer, {})


def test_nested_keys_are_known_by_their_last_part() -> None:
    assert list(known_keys(Outer)) == ["num_classes", "inner.keep", "note"]
    with pytest.raises(TlvError) as caught:
        parse_config(Outer, {"num_classes": 1, "keep": "all"})
    assert caught.value.hint == "did you mean inner.keep?"


def test_a_prefix_and_further_keys_for_hints() -> None:
    with pytest.raises(TlvError) as caught:
        parse_config(Inner, {"kep": "all"}, prefix="mapping.", also_known=["seed"])
    assert caught.value.message == "unknown config key mapping.kep"
    assert caught.value.hint == "did you mean mapping.keep?"


def test_a_frozen_config_and_no_infinity() -> None:
    class Rate(Config):
        lr: float

    with pytest.raises(TlvError):
        parse_config(Rate, {"lr": float("nan")})
    with pytest.raises(ValueError, match="frozen"):
        Rate(lr=1.0).lr = 2.0  # type: ignore[misc]


def test_suggestions() -> None:
    assert did_you_mean("resnet81", ["resnet18", "vgg16"]) == "did you mean resnet18?"
    assert did_you_mean("zebra", ["b", "a"]) == "choose from a, b"
    many = [str(number) for number in range(99)]
    assert did_you_mean("zebra", many) == "--help lists the names"
    assert did_you_mean("zebra", many, listed_by="tlv inspect") == "tlv inspect lists the names"


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert printable("a\x1b[31mb\nc") == "a\ufffd[31mb\ufffdc"
