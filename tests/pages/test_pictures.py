"""Pictures inside the page, decoded again."""

from __future__ import annotations

import base64
from io import BytesIO

import numpy as np
from matplotlib import colormaps
from PIL import Image

from tlvcli.pages.pictures import colour_map, colour_ramp, photograph


def _open(address: str) -> Image.Image:
    head, _, data = address.partition(",")
    assert head in ("data:image/png;base64", "data:image/jpeg;base64")
    return Image.open(BytesIO(base64.b64decode(data)))


def test_a_map_has_the_colours_of_its_scale_and_grey_for_what_is_not_known() -> None:
    values = np.array([[0.0, 1.0, 2.0], [4.0, 9.0, np.nan]])
    pixels = np.asarray(_open(colour_map(values, 0, 4)).convert("RGB"))
    wanted = colormaps["magma"](np.array([[0, 0.25, 0.5], [1, 1, 0]]))[..., :3] * 255
    np.testing.assert_allclose(pixels[:, :2], wanted[:, :2], atol=2)
    assert pixels[1, 2].tolist() == [128, 128, 128]


def test_a_map_of_zeros_is_dark() -> None:
    assert np.asarray(_open(colour_map(np.zeros((2, 2)), 0, 0.0)).convert("RGB")).max() < 5


def test_the_ramp_grows_brighter() -> None:
    levels = np.asarray(_open(colour_ramp()).convert("L"))[0].astype(int)
    assert (np.diff(levels) >= 0).all()


def test_a_photograph_stays_what_it_is() -> None:
    pixels = np.zeros((16, 24, 3), dtype=np.uint8)
    pixels[:, 12:] = (200, 100, 50)
    read = np.asarray(_open(photograph(pixels)).convert("RGB")).astype(int)
    assert np.abs(read - pixels)[:, [2, 20]].max() < 8
    assert _open(photograph(pixels[..., 0])).mode == "L"
