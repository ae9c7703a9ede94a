"""Numbers in sentences."""

from __future__ import annotations

from tlvcli.core.wording import counted


def test_one_is_singular_and_thousands_are_separated() -> None:
    assert [counted(number, "image") for number in (0, 1, 2, 1234)] == [
        "0 images",
        "1 image",
        "2 images",
        "1,234 images",
    ]
