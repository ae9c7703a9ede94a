"""What is kept of predictions as they pass: how often each class, which images failed, and all of them on request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from tlvcli.pipelines.predicting.result import ClassCount, Prediction, UnreadableImage
from tlvcli.pipelines.progress import Progress


class Tally:
    """Counts predictions; those that go to a file or a pipe are not held."""

    def __init__(self, progress: Progress, *, keeps: bool) -> None:
        self._progress = progress
        self._images = Counter[tuple[int, str]]()
        self.unreadable: list[UnreadableImage] = []
        self.predictions: list[Prediction] | None = [] if keeps else None

    def add(self, predictions: Iterable[Prediction]) -> None:
        """Count one batch, and tell of each image that cannot be read."""
        for prediction in predictions:
            if prediction.error is not None:
                self.fail(prediction.path, prediction.error)
            elif prediction.index is not None and prediction.label is not None:
                self._images[prediction.index, prediction.label] += 1
            if self.predictions is not None:
                self.predictions.append(prediction)

    def fail(self, path: str, error: str) -> None:
        """Note an image that cannot be read."""
        self._progress.message(error)
        self.unreadable.append(UnreadableImage(path=path, error=error))

    def classes(self) -> list[ClassCount]:
        """Return the classes that were predicted, the most frequent first, then by index."""
        ordered = sorted(self._images.items(), key=lambda item: (-item[1], item[0]))
        return [ClassCount(label=label, index=index, images=images) for (index, label), images in ordered]
