"""The page of `tlv eval`: the report in pictures, and the images that are named wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath

from tlvcli.core.provenance import Preprocessing
from tlvcli.core.report import Gate, InputInfo, OutputInfo, RunInfo
from tlvcli.core.wording import counted, rate
from tlvcli.data.image_dataset import ImageDataset
from tlvcli.data.transforms import evaluation_transform
from tlvcli.io.pages import write_page
from tlvcli.methods.metrics.intervals import wilson_interval
from tlvcli.pages.evaluation import render_evaluation_page
from tlvcli.pages.evaluation_values import EvaluationPage, GateView, MistakeView
from tlvcli.pages.pictures import SMALL, thumbnail
from tlvcli.pages.reliability_chart import ReliabilityBin
from tlvcli.pages.values import Facts
from tlvcli.pipelines.evaluating.config import EvalConfig
from tlvcli.pipelines.evaluating.page_classes import show_classes, show_confusion, show_foreign, show_pairs
from tlvcli.pipelines.evaluating.page_numbers import say_calibration, say_verdict, show_numbers
from tlvcli.pipelines.evaluating.page_rivals import name_apart, show_rival_classes, show_rivals
from tlvcli.pipelines.evaluating.result import CalibrationBin, EvalResult, Mistake
from tlvcli.pipelines.page_origin import command_line, describe_origin

_PHOTOGRAPH_SIDE = 192


def write_evaluation_page(
    config: EvalConfig,
    result: EvalResult,
    dataset: ImageDataset,
    *,
    gates: Sequence[Gate],
    inputs: Sequence[InputInfo],
    warnings: Sequence[str],
    ran: RunInfo,
) -> OutputInfo:
    """Read the worst images of `dataset` again, and write the page that `config.html` names.

    Raises:
        TlvError: `output-exists` without `force`, or whatever keeps the file from being written.
    """
    assert config.html is not None
    names = name_apart([config.checkpoint, *config.against])
    every = [result, *(rival.measures for rival in result.against)]
    origin = describe_origin(
        command_line("eval", config), inputs, [each.preprocessing for each in every], warnings, ran, dated=True
    )
    page = EvaluationPage(
        checkpoint=_heading(names[0], result.architecture.name),
        data=f"{PurePath(dataset.name).name} {result.split}",
        verdict=say_verdict(result),
        numbers=show_numbers(result),
        gates=[GateView(gate.flag, gate.met, gate.message) for gate in gates],
        facts=_facts(result),
        confusion=show_confusion(result),
        pairs=show_pairs(result),
        classes=show_classes(result),
        foreign=show_foreign(result),
        bins=[_show_bin(each) for each in result.calibration.bins],
        calibration=say_calibration(result),
        mistakes=[_show_mistake(mistake, dataset, result.preprocessing) for mistake in result.worst],
        num_mistakes=result.images - round(result.top1 * result.images),
        rivals=show_rivals(result, names),
        rival_classes=show_rival_classes(result, names),
        origin=origin,
    )
    return write_page(Path(config.html), render_evaluation_page(page), force=config.force)


def _heading(checkpoint: str, architecture: str) -> str:
    network = PurePath(architecture).name
    return checkpoint if network.rpartition(":")[2] in checkpoint else f"{network} ({checkpoint})"


def _facts(result: EvalResult) -> Facts:
    with_images = sum(each.images > 0 for each in result.classes)
    facts = [
        ("images", f"{result.images:,}"),
        ("classes", f"{with_images:,}, matched by {result.classes_matched_by} with {result.num_classes:,} outputs"),
        ("network", PurePath(result.architecture.name).name),
        ("precision", result.precision),
        ("speed", f"{rate(result.images_per_second)} images/s, with reading them"),
        ("peak memory", f"{result.peak_memory_bytes / 2**20:,.0f} MiB"),
    ]
    if result.skipped:
        facts.append(("left out", f"{counted(len(result.skipped), 'image')} that could not be read"))
    return facts


def _show_bin(each: CalibrationBin) -> ReliabilityBin:
    interval = None if each.accuracy is None else wilson_interval(round(each.accuracy * each.images), each.images)
    return ReliabilityBin(each.low, each.high, each.images, each.confidence, each.accuracy, interval)


def _show_mistake(mistake: Mistake, dataset: ImageDataset, preprocessing: Preprocessing) -> MistakeView:
    """Show the image as the network gets it: what the crop takes away cannot be the reason of a mistake."""
    import numpy as np
    from PIL import Image

    image = dataset.read(mistake.position, channels=preprocessing.channels)
    pixels = evaluation_transform(preprocessing)(image).permute(1, 2, 0).numpy()
    seen = Image.fromarray(pixels if pixels.shape[-1] == 3 else pixels[..., 0])
    seen.thumbnail((_PHOTOGRAPH_SIDE, _PHOTOGRAPH_SIDE))
    return MistakeView(
        where="/".join(PurePath(mistake.path).parts[-2:]),
        true=mistake.label,
        predicted=mistake.prediction,
        probability=mistake.probability,
        true_probability=mistake.label_probability,
        photograph=thumbnail(np.asarray(seen)),
        is_small=max(seen.size) <= SMALL,
    )
