"""Images that are much smaller than what they are enlarged to."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tlvcli.core.provenance import Preprocessing
from tlvcli.data.digits import open_digits
from tlvcli.data.named_images import name_images
from tlvcli.data.transforms import default_preprocessing
from tlvcli.pipelines.preparation import enlargement

USUAL = Preprocessing(image_size=224, resize_size=256, mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2))


@pytest.mark.parametrize(
    ("size", "side"), [((32, 32), "32"), ((120, 64), "64"), ((160, 120), None), ((500, 375), None)]
)
def test_thumbnails_that_become_photographs_are_told(tmp_path: Path, size: tuple[int, int], side: str | None) -> None:
    Image.new("L", size).save(tmp_path / "a.png")
    said = enlargement(USUAL, name_images([str(tmp_path)], []))
    width, height = size
    wanted = f"; --image-size {side} --resize {side} takes the first image, {width}x{height} px, as it is"
    assert said == (wanted if side else "")


def test_a_set_of_one_size_says_what_is_usual() -> None:
    digits, flags = open_digits("test"), ["--image-size"]
    assert enlargement(USUAL, digits, flags=flags) == "; --image-size 32 is usual for the data"
    assert enlargement(default_preprocessing(digits.traits), digits, flags=flags) == ""


def test_an_image_that_cannot_be_read_is_told_in_its_turn(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("nothing")
    assert enlargement(USUAL, name_images([str(tmp_path / "a.png")], [])) == ""
