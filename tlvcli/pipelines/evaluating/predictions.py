"""What the network answers to every image, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tlvcli.core.report import OutputInfo
from tlvcli.data.image_dataset import ImageDataset
from tlvcli.io.csv_files import write_csv
from tlvcli.methods.metrics.image_scores import ImageScores

HEADER = ("path", "label", "prediction", "probability", "label_probability", "top5")
# As far as batches and processes leave a probability alone.
_DIGITS = 6


def write_predictions(
    path: Path, scores: ImageScores, names: Sequence[str], dataset: ImageDataset, *, force: bool
) -> OutputInfo:
    """Write a row for each image in the order of the data; `top5` joins the likeliest classes by `|`."""
    columns = (scores.positions, scores.labels, scores.top, scores.probability, scores.label_probability)
    rows = (
        (
            dataset.where(position),
            names[label],
            names[top[0]],
            round(probability, _DIGITS),
            round(label_probability, _DIGITS),
            "|".join(names[output] for output in top),
        )
        for position, label, top, probability, label_probability in zip(
            *(column.tolist() for column in columns), strict=True
        )
    )
    return write_csv(path, HEADER, rows, force=force).model_copy(update={"role": "predictions"})
