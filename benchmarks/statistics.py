"""`tlv analyze-stats` against the floor: the same network and images through the same loader, without hooks."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.measure import medians, processes, show

NETWORKS = ("squeezenet1_1", "resnet18", "resnet50", "mobilenet_v3_small")
STATISTICS: tuple[tuple[str, ...], ...] = (("lognormal-kl",), ("js",), ("welch-t",))
NUM_IMAGES, BATCH_SIZE, SIDE = 128, 32, 256
FEW, MANY, SMALL_SIDE = 500, 10_000, 32


def run() -> list[dict[str, Any]]:
    """Measure, print and return the rows."""
    rows = [_measure(name) for name in NETWORKS]
    show("Activation statistics of all convolutions (rate as a share of the bare forward pass)", rows)
    memory = [_measure_memory()]
    show(f"Peak memory of {MANY:,} images against {FEW}", memory)
    return rows + memory


def _measure(name: str) -> dict[str, Any]:
    import torch

    from tlvcli.core.provenance import Architecture, Preprocessing
    from tlvcli.data.loading import Batch, evaluation_batches
    from tlvcli.data.unlabelled import open_unlabelled
    from tlvcli.methods.statistics.table import find_statistic, parts_of
    from tlvcli.models.activation_trace import find_taps
    from tlvcli.models.builders import build
    from tlvcli.models.graph import graph_of_module
    from tlvcli.pipelines.analysis.shift import choose_layers
    from tlvcli.pipelines.analysis.summaries import summarise_activations

    architecture = Architecture(name=name, num_classes=1000)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    module = build(architecture, seed=0).to(device).eval()
    layers = choose_layers(graph_of_module(module), architecture, ())
    preprocessing = Preprocessing(
        image_size=224, resize_size=SIDE, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
    )
    with tempfile.TemporaryDirectory() as folder:
        _write_images(Path(folder), NUM_IMAGES, SIDE)
        dataset = open_unlabelled(Path(folder))

        def batches() -> Iterator[Batch]:
            loaded = evaluation_batches(dataset, preprocessing, batch_size=BATCH_SIZE, workers=None, device=device)
            with closing(loaded):
                yield from loaded

        def forward() -> None:
            with torch.inference_mode():
                for batch in batches():
                    module(batch.images)
            if device.type == "cuda":
                torch.cuda.synchronize()

        def analysis(names: tuple[str, ...]) -> Callable[[], object]:
            parts = parts_of(find_statistic(statistic) for statistic in names)
            taps = find_taps(module, layers, (3, 224, 224), at="post")
            return lambda: summarise_activations(module, taps, batches(), parts=parts, seed=0, device=device)

        functions = {"forward": forward, **{", ".join(names): analysis(names) for names in STATISTICS}}
        seconds = medians(functions, rounds=5)
    rates = {statistics: seconds["forward"] / seconds[statistics] for statistics in list(functions)[1:]}
    return {"network": name, "layers": len(layers), "forward, images/s": NUM_IMAGES / seconds["forward"], **rates}


def _measure_memory() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        commands = {}
        for count in (FEW, MANY):
            images = Path(folder, str(count))
            images.mkdir()
            _write_images(images, count, SMALL_SIDE)
            arguments = ["-m", "tlvcli", "analyze-stats", "squeezenet1_1@random", "--source", str(images)]
            commands[str(count)] = [
                *arguments,
                "--target",
                str(images),
                "--image-size",
                "64",
                "--workers",
                "0",
                "--device",
                "cpu",
                "--quiet",
            ]
        measured = processes(commands, rounds=1)
    few, many = (measured[str(count)].peak_mb for count in (FEW, MANY))
    return {"network": "squeezenet1_1", f"{FEW}, MB": few, f"{MANY}, MB": many, "ratio": many / few}


def _write_images(folder: Path, count: int, side: int) -> None:
    import numpy as np
    from PIL import Image

    noise = np.random.default_rng(0)
    for number in range(count):
        coarse = noise.integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC).save(folder / f"{number:05}.jpg")
