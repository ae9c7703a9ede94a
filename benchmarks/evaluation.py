"""`tlv eval` beside the loop that one writes first and one of timm's parts: images per second, the whole command.

`python -m benchmarks.evaluation [--quick] [--data ROOT]`, about 10 minutes on two cores. Each contender is a process of
its own, with the number of workers that was fastest for it among 0, 1 and 2 (ours also: its own choice); then in turns,
medians of five rounds. The rate is that of the loop with reading the images; the whole has imports and loading the
weights in it, once on all images and once on 200 of them, where it is mostly starting up.

All evaluate the same resnet18 on CIFAR-10's test images as PNG files, and must find the same top-1.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import show
from benchmarks.peers.validation import Validation
from benchmarks.process_tree import watch
from benchmarks.real_data import default_root, find_data, sample_images

OURS = "tlv eval"
PEERS = {"bare loop": "bare", "timm parts": "timm"}
WORKERS = (0, 1, 2)
ARCH, IMAGE_SIZE, BATCH_SIZE = "resnet18", 32, 128
START_UP_IMAGES = 200


@dataclass(frozen=True)
class Measured:
    """One process: images per second of its loop, seconds of all of it, peak memory in MB, and what it found."""

    rate: float
    seconds: float
    peak_mb: float
    top1: float


def run(*, quick: bool = False, root: Path | None = None, rounds: int | None = None) -> list[dict[str, Any]]:
    """Measure, print and return the rows."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = find_data(root or default_root(), "cifar10", folder / "unpacked")
        weights = _write_weights(folder)
        images = {"": 1000 if quick else 10_000, f", {START_UP_IMAGES} images": START_UP_IMAGES}
        rows = []
        for case, number in images.items():
            data = sample_images(source, folder / f"data{number}", {"test": ("test", number)}) / "test"
            rows += _measure(
                f"{ARCH}, {IMAGE_SIZE} px{case}", weights, data, device, rounds or (1 if quick else 5), quick
            )
    show(f"Evaluation on {device} (ratios to the faster peer)", rows)
    return rows


def _write_weights(folder: Path) -> Path:
    """Write weights that nobody trained; how fast they are is the same."""
    import torch
    from torchvision.models import get_model

    torch.manual_seed(0)
    torch.save(get_model(ARCH, weights=None, num_classes=10).state_dict(), folder / "weights.pt")
    return folder / "weights.pt"


def _measure(case: str, weights: Path, data: Path, device: str, rounds: int, quick: bool) -> list[dict[str, Any]]:
    names = (OURS, *PEERS)
    workers = {name: _fastest_workers(name, weights, data, device, quick=quick) for name in names}
    measured: dict[str, list[Measured]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            measured[name].append(_run(name, weights, data, device, workers[name]))
    found = {round(one.top1, 3) for runs in measured.values() for one in runs}
    if len(found) > 1:
        raise RuntimeError(f"{case}: the contenders found {sorted(found)}")
    return _rows(case, measured, workers)


def _fastest_workers(name: str, weights: Path, data: Path, device: str, *, quick: bool) -> int | None:
    """Return the number of worker processes with which the whole is fastest; None stands for our own choice."""
    if quick:
        return None if name == OURS else 0
    choices: list[int | None] = [*([None] if name == OURS else []), *WORKERS]
    seconds = {workers: _run(name, weights, data, device, workers).seconds for workers in choices}
    return min(seconds, key=lambda workers: seconds[workers])


def _run(name: str, weights: Path, data: Path, device: str, workers: int | None) -> Measured:
    if name == OURS:
        # Images as large as they are, without the margin that a checkpoint of unknown origin gets.
        told = ["--arch", ARCH, "--image-size", str(IMAGE_SIZE), "--resize", str(IMAGE_SIZE), "--device", device]
        reading = [] if workers is None else ["--workers", str(workers)]
        flags = [*told, *reading, "--batch-size", str(BATCH_SIZE), "--json", "--quiet"]
        watched = watch(["-m", "tlvcli", "eval", str(weights), "--data", str(data), *flags])
        result = json.loads(watched.stdout)["result"]
        return Measured(result["images_per_second"], watched.seconds, watched.peak_mb, result["top1"])
    case = Validation(ARCH, str(weights), str(data), IMAGE_SIZE, BATCH_SIZE, workers or 0, device)
    watched = watch(["-m", "benchmarks.peers.validation", PEERS[name], json.dumps(asdict(case))])
    answer = json.loads(watched.stdout.splitlines()[-1])
    return Measured(answer["rate"], watched.seconds, watched.peak_mb, answer["top1"])


def _rows(case: str, measured: Mapping[str, list[Measured]], workers: Mapping[str, int | None]) -> list[dict[str, Any]]:
    def median(name: str, key: str) -> float:
        return float(statistics.median(getattr(one, key) for one in measured[name]))

    rate = max(median(name, "rate") for name in PEERS)
    seconds = min(median(name, "seconds") for name in PEERS)
    return [
        {
            "case": case,
            "contender": name,
            "workers": "own choice" if workers[name] is None else workers[name],
            "images/s": median(name, "rate"),
            "ratio": median(name, "rate") / rate,
            "whole s": median(name, "seconds"),
            "whole ratio": seconds / median(name, "seconds"),
            "peak MB": median(name, "peak_mb"),
        }
        for name in measured
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="1,000 images, one round, no search for workers")
    parser.add_argument("--data", type=Path, help="folder with cifar10, or its archive")
    parser.add_argument("--rounds", type=int, help="default: 5, quick: 1")
    parser.add_argument("--json", type=Path, help="file for the rows")
    arguments = parser.parse_args()
    found = run(quick=arguments.quick, root=arguments.data, rounds=arguments.rounds)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")
