"""How long it takes to recognise and describe a checkpoint from its names and shapes, in a fresh interpreter."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import show

CASES = {
    "resnet18": "resnet18",
    "vit_l_16": "vit_l_16",
    "resnet152, wrapped": "resnet152",
    "resnet50, one tensor reshaped": "resnet50",
    "timm:vit_base_patch16_224": "timm:vit_base_patch16_224",
    "timm:tf_efficientnet_l2": "timm:tf_efficientnet_l2",
}
PROGRAM = """
import json, sys, time
import tlvcli.core.report  # what every command imports
from tlvcli.core.graph import TensorSpec
specs = [TensorSpec(name, tuple(shape), "float32") for name, shape in json.load(open(sys.argv[1])).items()]
started = time.perf_counter()
from tlvcli.models.recognition.identify import identify
imported = time.perf_counter()
identify(specs)
first = time.perf_counter()
identify(specs)
again = time.perf_counter()
from tlvcli.models.recognition.describe import describe
describing = time.perf_counter()
describe(specs)
described = time.perf_counter()
print(json.dumps([imported - started, first - imported, again - first, described - describing]))
"""


def run(rounds: int = 7) -> list[dict[str, Any]]:
    """Measure, print and return the rows; medians in milliseconds."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for case, architecture in CASES.items():
            path = Path(folder) / "shapes.json"
            path.write_text(json.dumps(_shapes(case, architecture)))
            rounds_ms = [[1e3 * seconds for seconds in _measure(path)] for _ in range(rounds)]
            imports, first, again, description = map(statistics.median, zip(*rounds_ms, strict=True))
            rows.append(
                {"case": case, "import ms": imports, "first ms": first, "again ms": again, "describe ms": description}
            )
    show("Recognition", rows)
    return rows


def _shapes(case: str, architecture: str) -> dict[str, tuple[int, ...]]:
    from tlvcli.models.recognition.make import build_shapes

    shapes = build_shapes(architecture, num_classes=10, in_chans=3)
    if "wrapped" in case:
        return {f"backbone.{name}": shape for name, shape in shapes.items()}
    return {**shapes, "layer3.0.conv1.weight": (9, 9, 1, 1)} if "reshaped" in case else shapes


def _measure(path: Path) -> list[float]:
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(path)], capture_output=True, text=True, check=True)
    seconds: list[float] = json.loads(done.stdout)
    return seconds
