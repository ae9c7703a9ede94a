"""Numbers in sentences."""

from __future__ import annotations

from tlvcli.core.wording import counted, rate


def test_one_is_singular_and_thousands_are_separated() -> None:
    assert [counted(number, "image") for number in (0, 1, 2, 1234)] == [
        "0 images",
        "1 image",
        "2 images",
        "1,234 images",
    ]
    assert [counted(number, "class", "classes") for number in (1, 10)] == ["1 class", "10 classes"]


def test_a_low_rate_has_a_digit_more() -> None:
    assert [rate(value) for value in (0.04, 0.4, 9.4, 12.6, 1250.4)] == ["0.0", "0.4", "9.4", "13", "1,250"]
