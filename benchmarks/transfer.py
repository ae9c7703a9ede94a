"""`tlv transfer` against the floor: hash the source, read what the plan needs once, write and flush the output once."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import iatransfer_peer
from benchmarks.measure import medians, processes, show

METHODS = ("tlv", "tlv-reference", "dpiat", "dpiat-reference")
# The authors of TLV have no answer for ConvNeXt's kernels; the last two methods stay within a family.
CASES = {
    ("vgg16", "resnet18"): METHODS,
    ("resnet50", "resnet18"): METHODS,
    ("resnet18", "resnet34"): (*METHODS, "net2net"),
    ("resnet34", "resnet18"): ("weight-selection",),
    ("resnet50", "convnext_tiny"): ("tlv", "dpiat", "dpiat-reference"),
}


def run() -> list[dict[str, Any]]:
    """Measure, print and return the rows."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for (source_name, target_name), methods in CASES.items():
            source = _make_source(source_name, Path(folder))
            rows += [_measure(source, source_name, target_name, method, Path(folder)) for method in methods]
            source.unlink()
    show("Transfer (ratios to the floor of the same run)", rows)
    return rows + iatransfer_peer.run()


def _make_source(name: str, folder: Path) -> Path:
    from safetensors.torch import save_file

    from tlvcli.core.provenance import Architecture
    from tlvcli.models.builders import build

    path = folder / f"{name}.safetensors"
    save_file(build(Architecture(name=name, num_classes=1000), seed=0).state_dict(), path)
    return path


def _measure(source: Path, source_name: str, target_name: str, method: str, folder: Path) -> dict[str, Any]:
    from tlvcli.pipelines.transfer import TransferConfig, run

    out = folder / "out.safetensors"
    config = TransferConfig(
        source=str(source), target_arch=target_name, out=str(out), num_classes=10, method=method, force=True
    )
    report = run(config)
    needed = {row.source for row in report.result.rows if row.source}
    if any(row.operation == "normal" for row in report.result.rows):
        needed |= _linear_weights(source)
    seconds = medians(
        {
            "whole": lambda: run(config),
            "floor": _floor(source, needed, out.stat().st_size, folder),
            "plan and map": _plan_and_map(source, target_name, method),
        },
        rounds=3,
    )
    # Once a pair: two processes that import everything take longer than all else.
    memory = _peak_memory(source, target_name, method, folder) if method == METHODS[0] else None
    return {
        "pair": f"{source_name} -> {target_name}",
        "method": method,
        "coverage": report.result.coverage,
        "seconds": seconds["whole"],
        "floor": seconds["floor"],
        "ratio": seconds["whole"] / seconds["floor"],
        "plan and map": seconds["plan and map"],
        "peak / (target + 2 largest)": memory,
    }


def _linear_weights(source: Path) -> set[str]:
    from safetensors import safe_open

    with safe_open(source, framework="pt") as file:
        return {name for name in file.keys() if len(file.get_slice(name).get_shape()) == 2}  # noqa: SIM118


def _floor(source: Path, needed: set[str], output_bytes: int, folder: Path) -> Callable[[], None]:
    from safetensors import safe_open

    data = os.urandom(output_bytes)
    out = folder / "floor"

    def floor() -> None:
        with source.open("rb") as stream:
            digest = hashlib.sha256()
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
        with safe_open(source, framework="pt") as file:
            for name in needed:
                file.get_tensor(name).clone()
        with out.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())

    return floor


def _plan_and_map(source: Path, target_name: str, method: str) -> Callable[[], None]:
    """Planning and mapping alone: both models stand, nothing is hashed or written."""
    from tlvcli.core.provenance import Architecture
    from tlvcli.methods.execute import execute
    from tlvcli.methods.recipe import make_recipe
    from tlvcli.methods.table import find_method
    from tlvcli.models.builders import build
    from tlvcli.models.graph import graph_of_module
    from tlvcli.pipelines.checkpoints import open_reference
    from tlvcli.pipelines.transferring.inputs import source_graph

    opened = open_reference(str(source), role="source", key=None, arch=None, offline=True, seed=0)
    module = build(Architecture(name=target_name, num_classes=10), seed=0)
    target, recipe = module.state_dict(), make_recipe(find_method(method), {}, {})

    def plan_and_map() -> None:
        graph, _ = source_graph(opened)
        plan = recipe.plan(opened.tensors, graph, target, graph_of_module(module), seed=0)
        for _ in execute(plan, opened.tensors, target):
            pass

    return plan_and_map


def _peak_memory(source: Path, target_name: str, method: str, folder: Path) -> float:
    """Return what a whole transfer takes above imports, over target + 2 largest tensors of either side."""
    from safetensors import safe_open

    arguments = ["transfer", str(source), target_name, str(folder / "memory.safetensors"), "--num-classes", "10"]
    imports = "import tlvcli.cli.app, tlvcli.pipelines.transfer, torchvision, tlvcli.methods.execute, rich.console"
    measured = processes(
        {
            "base": ["-c", imports],
            "whole": ["-m", "tlvcli", *arguments, "--method", method, "--quiet", "--force"],
        },
        rounds=1,
    )
    sizes: list[int] = []
    for path in (source, folder / "memory.safetensors"):
        with safe_open(path, framework="pt") as file:
            sizes += [file.get_tensor(name).nbytes for name in file.keys()]  # noqa: SIM118
    allowed = ((folder / "memory.safetensors").stat().st_size + 2 * max(sizes)) / 1e6
    return (measured["whole"].peak_mb - measured["base"].peak_mb) / allowed
