"""What images show: labels by a checkpoint, or the features that its classifier gets."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tlvcli import __version__
from tlvcli.core.errors import TlvError
from tlvcli.core.processes import find_processes
from tlvcli.core.report import InputInfo, OutputInfo, Report
from tlvcli.core.runtime import Stopwatch, choose_device
from tlvcli.core.wording import counted
from tlvcli.data.image_dataset import ImageDataset
from tlvcli.data.named_images import LIST, name_images
from tlvcli.data.order import num_evaluation_batches
from tlvcli.data.partial_batches import PartialBatch, partial_batches
from tlvcli.io.atomic import refuse_existing
from tlvcli.io.csv_files import Cell, write_csv
from tlvcli.pipelines.first_look import look_at_checkpoint
from tlvcli.pipelines.outputs import refuse_inputs, refuse_same, refuse_suffix
from tlvcli.pipelines.predicting.answers import answer_batches
from tlvcli.pipelines.predicting.config import PredictConfig
from tlvcli.pipelines.predicting.features import write_features
from tlvcli.pipelines.predicting.listing import read_list
from tlvcli.pipelines.predicting.network import PredictingNetwork, open_network
from tlvcli.pipelines.predicting.result import FeaturesWritten, Prediction, PredictResult
from tlvcli.pipelines.predicting.tally import Tally
from tlvcli.pipelines.progress import Progress, Silence

SCHEMA = "tlv.predict/1"
# As in the table of `tlv eval`: as far as batches leave a probability alone.
_DIGITS = 6

# Given the predictions of one batch after the other, in the order of the images.
Consumer = Callable[[Sequence[Prediction]], None]


def run(
    config: PredictConfig,
    *,
    standard_input: BinaryIO | None = None,
    progress: Progress | None = None,
    each: Consumer | None = None,
) -> Report[PredictResult]:
    """Predict every image once, in the order in which they are named; one that cannot be read holds up no other.

    `standard_input` is read where `images` holds `-`; `each` gets the predictions as they come.

    Raises:
        TlvError: whatever is wrong with the checkpoint, the names or the outputs.
    """
    watch = Stopwatch()
    progress = progress or Silence()
    _refuse_several_processes()
    outputs = _refuse_outputs(config)
    listed = read_list(standard_input, null=config.null) if standard_input and LIST in config.images else []
    dataset = name_images(config.images, listed)
    look_at_checkpoint(config.checkpoint, config.arch)
    device = choose_device(config.device)
    network = open_network(config, dataset, device)
    refuse_inputs(outputs, _inputs(network, dataset) if any(output.exists() for output in outputs) else ())
    progress.start(num_evaluation_batches(len(dataset), config.batch_size), f"predict {counted(len(dataset), 'image')}")
    tally = Tally(progress, keeps=not (config.csv or config.jsonl or config.features))
    started = time.perf_counter()
    done = _predict(config, network, dataset, tally, progress, each)
    seconds = time.perf_counter() - started
    return Report[PredictResult](
        schema_id=SCHEMA,
        tlv_version=__version__,
        run=watch.run_info(device),
        inputs=[network.opened.info, _describe_images(config, dataset)],
        config=config.model_dump(mode="json"),
        result=PredictResult(
            images=len(dataset),
            unreadable=tally.unreadable,
            classes=tally.classes(),
            predictions=tally.predictions,
            features=done.features,
            images_per_second=len(dataset) / seconds,
            num_classes=network.architecture.num_classes,
            labels_from=network.labels_from,
            architecture=network.architecture,
            preprocessing=network.preprocessing,
            precision=network.precision,
        ),
        outputs=list(done.outputs),
        warnings=list(network.warnings),
    )


@dataclass(frozen=True)
class _Done:
    outputs: tuple[OutputInfo, ...] = ()
    features: FeaturesWritten | None = None


def _predict(
    config: PredictConfig,
    network: PredictingNetwork,
    dataset: ImageDataset,
    tally: Tally,
    progress: Progress,
    each: Consumer | None,
) -> _Done:
    batches = partial_batches(
        dataset,
        network.preprocessing,
        batch_size=config.batch_size,
        workers=config.workers,
        device=network.device,
    )
    with closing(batches):
        counted_batches = _advancing(batches, progress)
        if config.features:
            features, output = write_features(config, network, dataset, counted_batches, tally)
            return _Done((output,), features)
        answers = _passed_on(answer_batches(network, dataset, counted_batches, top=config.top), tally, each)
        if config.csv:
            rows = (_csv_row(prediction, config.top) for prediction in answers)
            return _Done((write_csv(Path(config.csv), _csv_header(config.top), rows, force=config.force),))
        for _ in answers:
            pass
    return _Done()


def _advancing(batches: Iterable[PartialBatch], progress: Progress) -> Iterator[PartialBatch]:
    for batch in batches:
        yield batch
        progress.advance()


def _passed_on(answers: Iterable[list[Prediction]], tally: Tally, each: Consumer | None) -> Iterator[Prediction]:
    for predictions in answers:
        tally.add(predictions)
        if each is not None:
            each(predictions)
        yield from predictions


def _csv_header(top: int) -> list[str]:
    further = [f"{name}_{rank}" for rank in range(2, top + 1) for name in ("prediction", "probability")]
    return ["path", "prediction", "probability", *further, "error"]


def _csv_row(prediction: Prediction, top: int) -> list[Cell]:
    cells: list[Cell] = [cell for one in prediction.top for cell in (one.label, round(one.probability, _DIGITS))]
    return [prediction.path, *cells, *[None] * (2 * top - len(cells)), prediction.error]


def _refuse_several_processes() -> None:
    processes = find_processes()
    if processes.several:
        raise TlvError(
            "processes-unsupported",
            f"tlv predict runs as one process, not as {processes.world_size} under torchrun",
            "start it by itself, on a part of the list for each GPU: split -n l/4 LIST, then --device cuda:N",
        )


def _refuse_outputs(config: PredictConfig) -> list[Path]:
    """Return the files to write, or raise what forbids one of them; before the work, not after it."""
    outputs = [Path(name) for name in (config.csv, config.features) if name]
    refuse_same(outputs)
    if config.features:
        refuse_suffix(Path(config.features))
    for output in outputs:
        refuse_existing(output, force=config.force)
    return outputs


def _inputs(network: PredictingNetwork, dataset: ImageDataset) -> Iterator[Path]:
    yield from network.opened.files
    yield from (Path(dataset.where(position)) for position in range(len(dataset)))


def _describe_images(config: PredictConfig, dataset: ImageDataset) -> InputInfo:
    more = len(config.images) - 1
    path = f"{config.images[0]} and {more:,} more" if more else config.images[0]
    return InputInfo(role="data", path=path, format=dataset.kind, images=len(dataset))
