from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tlvcli.core.provenance import Preprocessing
from tlvcli.data.loading import evaluation_batches
from tlvcli.data.named_images import name_images
from tlvcli.data.partial_batches import partial_batches

WriteClasses = Callable[[Path, dict[str, int]], Path]
PREPROCESSING = Preprocessing(image_size=8, resize_size=10, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
CPU = torch.device("cpu")


def test_the_pixels_are_those_of_evaluation(tmp_path: Path, write_classes: WriteClasses) -> None:
    dataset = name_images([str(write_classes(tmp_path, {"a": 5}))], ())
    partial = partial_batches(dataset, PREPROCESSING, batch_size=2, workers=0, device=CPU)
    whole = evaluation_batches(dataset, PREPROCESSING, batch_size=5, workers=0, device=CPU)
    images = [batch.images for batch in partial if batch.images is not None]
    assert torch.equal(torch.cat(images), next(whole).images)


@pytest.mark.parametrize("workers", [0, 2])
def test_unreadable_images_have_their_place(tmp_path: Path, write_classes: WriteClasses, workers: int) -> None:
    folder = write_classes(tmp_path, {"a": 6})
    for broken in (1, 2, 3):
        (folder / "a" / f"00{broken}.png").write_bytes(b"no image")
    dataset = name_images([str(folder)], ())
    batches = list(partial_batches(dataset, PREPROCESSING, batch_size=2, workers=workers, device=CPU))
    assert [batch.positions for batch in batches] == [range(2), range(2, 4), range(4, 6)]
    assert [list(batch.unreadable) for batch in batches] == [[1], [2, 3], []]
    assert [None if batch.images is None else len(batch.images) for batch in batches] == [1, None, 2]
    assert batches[0].unreadable[1].startswith(f"cannot read {folder}/a/001.png: UnidentifiedImageError")
