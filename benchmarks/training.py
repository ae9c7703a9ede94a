"""`tlv train` beside a loop wired as torchvision's reference script and one of timm's parts: images per second, memory.

`python -m benchmarks.training [--quick] [--data ROOT]`, about 15 minutes on two cores. Every contender is a process of
its own, with the number of workers that was fastest for it among 0, 1 and 2 (ours also: its own choice); then in turns,
medians of three rounds. The rate leaves start-up out: epochs after the first, of training alone. The whole rate has
everything in it: imports, the first decoding, validation and saving after every epoch.

The probe freezes all but the last layer, without augmentation; ours computes the features in its first epoch.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.measure import show
from benchmarks.peers.case import Answer, Case
from benchmarks.process_tree import watch
from benchmarks.real_data import default_root, find_data, sample_images

OURS = "tlv"
PEERS = {"torchvision reference": "torchvision_reference", "timm parts": "timm_parts"}
WORKERS = (0, 1, 2)


@dataclass(frozen=True)
class Workload:
    """A network on so many training and validation images of a data set; a probe has one peer."""

    name: str
    arch: str
    data: str
    image_size: int
    batch_size: int
    images: tuple[int, int]
    epochs: int
    probe: bool = False


@dataclass(frozen=True)
class Measured:
    """One process: images per second after the first epoch, and over the whole process; memory in MB."""

    rate: float
    whole_rate: float
    peak_mb: float
    device_mb: float | None


def workloads(*, quick: bool, cuda: bool) -> list[Workload]:
    """Return what is measured; a card is fed more."""
    scale = 4 if cuda else 1
    if quick:
        return [
            Workload("shufflenet, 32 px PNG", "shufflenet_v2_x0_5", "cifar10", 32, 128, (1000 * scale, 200), 3),
            Workload("resnet18 probe, 224 px", "resnet18", "hymenoptera", 224, 32, (32, 16), 3, probe=True),
        ]
    photographs = (224, 128) if cuda else (96, 32)
    return [
        Workload("resnet18, 224 px photographs", "resnet18", "hymenoptera", 224, 32, photographs, 2 * scale),
        Workload("resnet18, 32 px PNG", "resnet18", "cifar10", 32, 128, (1280 * scale, 320), 3),
        Workload("shufflenet, 32 px PNG", "shufflenet_v2_x0_5", "cifar10", 32, 128, (5000 * scale, 1000), 3),
        Workload("resnet18 probe, 224 px", "resnet18", "hymenoptera", 224, 32, photographs, 10, probe=True),
    ]


def run(*, quick: bool = False, root: Path | None = None, rounds: int | None = None) -> list[dict[str, Any]]:
    """Measure, print and return the rows."""
    device = _device()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for workload in workloads(quick=quick, cuda=device == "cuda"):
            source = find_data(root or default_root(), workload.data, folder / "unpacked")
            parts = {
                "train": ("train", workload.images[0]),
                "val": ("test" if workload.data == "cifar10" else "val", workload.images[1]),
            }
            data = sample_images(source, folder / f"data{len(rows)}", parts)
            rows += _measure(workload, data, device, folder, rounds=rounds or (1 if quick else 3), quick=quick)
    shown = [{key: value for key, value in row.items() if key != "rates"} for row in rows]
    show(f"Training on {device} (ratios to the faster peer)", shown)
    return rows


def _measure(
    workload: Workload, data: Path, device: str, folder: Path, *, rounds: int, quick: bool
) -> list[dict[str, Any]]:
    peers = dict(list(PEERS.items())[:1]) if workload.probe else PEERS
    contenders = {OURS: "tlv", **peers}
    case = Case(
        arch=workload.arch,
        data=str(data),
        out="",
        image_size=workload.image_size,
        batch_size=workload.batch_size,
        epochs=workload.epochs,
        workers=0,
        device=device,
        probe=workload.probe,
    )
    short = replace(case, epochs=min(case.epochs, 3))
    workers = {
        name: _fastest_workers(module, short, folder, ours=name == OURS, quick=quick)
        for name, module in contenders.items()
    }
    measured: dict[str, list[Measured]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, module in contenders.items():
            measured[name].append(_run(module, replace(case, workers=workers[name]), folder))
    return _rows(workload, measured, workers)


def _fastest_workers(module: str, case: Case, folder: Path, *, ours: bool, quick: bool) -> int | None:
    """Return the number of worker processes with the highest rate; None stands for our own choice."""
    if quick:
        return None if ours else 0
    choices: list[int | None] = [*([None] if ours else []), *WORKERS]
    rates = {workers: _run(module, replace(case, workers=workers), folder).rate for workers in choices}
    return max(rates, key=lambda workers: rates[workers])


def _run(module: str, case: Case, folder: Path) -> Measured:
    with tempfile.TemporaryDirectory(dir=folder) as out:
        # A cache of its own, or features would be there from the round before.
        caches = {"TLV_CACHE": f"{out}/cache", "XDG_CACHE_HOME": f"{out}/cache"}
        command = ["-m", f"benchmarks.peers.{module}", json.dumps(asdict(replace(case, out=out)))]
        watched = watch(command, caches)
    answer = Answer(**json.loads(watched.stdout.splitlines()[-1]))
    # Harmonic: images over seconds, for epochs have equally many images.
    rate = statistics.harmonic_mean(answer.rates[1:])
    return Measured(rate, answer.images / watched.seconds, watched.peak_mb, answer.device_mb)


def _rows(
    workload: Workload, measured: Mapping[str, Sequence[Measured]], workers: Mapping[str, int | None]
) -> list[dict[str, Any]]:
    def median(name: str, key: str) -> float:
        return float(statistics.median(getattr(one, key) for one in measured[name]))

    best = {key: max(median(name, key) for name in measured if name != OURS) for key in ("rate", "whole_rate")}
    return [
        {
            "case": workload.name,
            "contender": name,
            "workers": "own choice" if workers[name] is None else workers[name],
            "images/s": median(name, "rate"),
            "ratio": median(name, "rate") / best["rate"],
            "whole images/s": median(name, "whole_rate"),
            "whole ratio": median(name, "whole_rate") / best["whole_rate"],
            "peak MB": median(name, "peak_mb"),
            "device MB": None if runs[0].device_mb is None else median(name, "device_mb"),
            "rates": [one.rate for one in runs],  # one per round
        }
        for name, runs in measured.items()
    ]


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, one round, no search for workers")
    parser.add_argument("--data", type=Path, help="folder with cifar10 and hymenoptera, or their archives")
    parser.add_argument("--rounds", type=int, help="default: 3, quick: 1")
    parser.add_argument("--json", type=Path, help="file for the rows")
    arguments = parser.parse_args()
    found = run(quick=arguments.quick, root=arguments.data, rounds=arguments.rounds)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")
