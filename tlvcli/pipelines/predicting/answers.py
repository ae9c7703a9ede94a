"""From batches of images to what each of them shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from tlvcli.core.errors import TlvError
from tlvcli.core.file_names import as_text
from tlvcli.data.image_dataset import ImageDataset
from tlvcli.data.partial_batches import PartialBatch
from tlvcli.methods.metrics.image_scores import TOP
from tlvcli.pipelines.predicting.network import PredictingNetwork
from tlvcli.pipelines.predicting.result import Candidate, Prediction

if TYPE_CHECKING:
    from torch import Tensor


def answer_batches(
    network: PredictingNetwork, dataset: ImageDataset, batches: Iterable[PartialBatch], *, top: int
) -> Iterator[list[Prediction]]:
    """Yield for every batch its predictions, those of unreadable images among them, in the order of the data set.

    Raises:
        TlvError: `classifier-missing`, where the network does not score its classes; `outputs-not-finite`.
    """
    for batch in batches:
        paths = {position: dataset.where(position) for position in batch.positions}
        read = [path for position, path in paths.items() if position not in batch.unreadable]
        found = iter(() if batch.images is None else _predict(network, batch.images, read, top))
        yield [
            Prediction(path=as_text(path), error=as_text(batch.unreadable[position]))
            if position in batch.unreadable
            else next(found)
            for position, path in paths.items()
        ]


def outputs_not_finite(network: PredictingNetwork, path: str) -> TlvError:
    """Return the error about a network that gives no number for an image."""
    return TlvError(
        "outputs-not-finite",
        f"{network.opened.reference} gives NaN or infinity for {path}",
        "tlv inspect --stats shows whether the weights are finite; in half precision, try --precision fp32",
    )


def _predict(network: PredictingNetwork, images: Tensor, paths: Sequence[str], top: int) -> Iterator[Prediction]:
    import torch

    with torch.inference_mode():
        with network.autocast:
            logits = network.module(images)
        _refuse_other_outputs(network, logits)
        broken = (~logits.isfinite()).any(dim=1).cpu()
        if broken.any():
            raise outputs_not_finite(network, paths[int(broken.nonzero()[0])])
        # In double precision and as many classes as `tlv eval` looks at: where classes tie, both name the same one.
        logits = logits.double()
        indices = logits.topk(min(max(top, TOP), logits.shape[1]), dim=1).indices[:, :top]
        probabilities = logits.log_softmax(dim=1).gather(1, indices).exp()
    for path, row, values in zip(paths, indices.tolist(), probabilities.tolist(), strict=True):
        candidates = [
            Candidate(label=network.labels[index], index=index, probability=probability)
            for index, probability in zip(row, values, strict=True)
        ]
        first = candidates[0]
        yield Prediction(
            path=as_text(path), label=first.label, index=first.index, probability=first.probability, top=candidates
        )


def _refuse_other_outputs(network: PredictingNetwork, outputs: Tensor | Sequence[Tensor]) -> None:
    import torch

    num_classes = network.architecture.num_classes
    if isinstance(outputs, torch.Tensor) and outputs.ndim == 2 and outputs.shape[1] == num_classes:
        return
    shape = list(outputs.shape[1:]) if isinstance(outputs, torch.Tensor) else f"a {type(outputs).__name__}"
    raise TlvError(
        "classifier-missing",
        f"{network.opened.reference} gives {shape} per image, not a score for each of {num_classes} classes",
        "--features OUT.safetensors writes what its last layers get",
    )
