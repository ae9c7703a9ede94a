"""DPIAT beside its authors' package, iatransfer 1.0.3, in one process: the same bits, and the time of both."""

from __future__ import annotations

import copy
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock, patch

from benchmarks.measure import medians, show

PAIRS = (("vgg16", "resnet18"), ("resnet50", "resnet18"), ("resnet18", "resnet34"), ("resnet50", "convnext_tiny"))
METHODS = ("dpiat", "dpiat-reference")
# Imported by the package for its graphs and its command line; `IAT()` with its defaults calls none of it.
_UNUSED = ("karateclub", "graphviz", "efficientnet_pytorch")


def run() -> list[dict[str, Any]]:
    """Measure, print and return the rows; none, with the reason, where the package cannot be had."""
    import torch

    with tempfile.TemporaryDirectory() as folder:
        package = _fetch(Path(folder))
        if isinstance(package, str):
            print(f"\niatransfer is left out: {package}")
            return []
        with torch.no_grad():
            rows = [_measure(package.IAT, *pair) for pair in PAIRS]
    show("DPIAT beside iatransfer 1.0.3 (in memory, planning included; ratios to iatransfer)", rows)
    return rows


def _fetch(folder: Path) -> ModuleType | str:
    """Install the package into a folder of its own and import it; or return why not."""
    if sys.version_info >= (3, 12):
        return "it does not import on Python 3.12 or later"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
    done = subprocess.run([*command, "iatransfer==1.0.3", "inflection"], capture_output=True, text=True, check=False)
    if done.returncode:
        return f"pip could not fetch it: {' '.join(done.stderr.split())}"
    stubs = {name: MagicMock() for name in _UNUSED}
    sys.modules.update(stubs)
    with patch.object(sys, "path", [str(folder), *sys.path]):
        import iatransfer.toolkit
    for name in stubs:
        del sys.modules[name]
    return iatransfer.toolkit


def _measure(peer: Callable[[], Any], source_name: str, target_name: str) -> dict[str, Any]:
    import torch

    from tlvcli.core.provenance import Architecture
    from tlvcli.models.builders import build

    source = build(Architecture(name=source_name, num_classes=1000), seed=0).eval()
    target = build(Architecture(name=target_name, num_classes=10), seed=1).eval()
    theirs = copy.deepcopy(target)
    peer()(source, theirs)
    ours = _transfer("dpiat-reference", source, target)
    differing = sum(not torch.equal(ours[name], tensor) for name, tensor in theirs.state_dict().items())
    seconds = medians(
        {
            "iatransfer": lambda: peer()(source, theirs),
            **{method: lambda method=method: _transfer(method, source, target) for method in METHODS},  # type: ignore[misc]
        },
        rounds=3,
    )
    return {
        "pair": f"{source_name} -> {target_name}",
        "tensors": len(ours),
        "differing from iatransfer": differing,
        "iatransfer s": seconds["iatransfer"],
        **{f"{method} s": seconds[method] for method in METHODS},
        **{f"{method} ratio": seconds[method] / seconds["iatransfer"] for method in METHODS},
    }


def _transfer(method: str, source: Any, target: Any) -> dict[str, Any]:
    """Plan and carry out, as the peer does: two modules in memory, nothing read or written."""
    from tlvcli.core.tensors import TensorsInMemory
    from tlvcli.methods.execute import execute
    from tlvcli.methods.recipe import make_recipe
    from tlvcli.methods.table import find_method
    from tlvcli.models.graph import graph_of_module

    tensors, state = TensorsInMemory(source.state_dict()), target.state_dict()
    recipe = make_recipe(find_method(method), {}, {})
    plan = recipe.plan(tensors, graph_of_module(source), state, graph_of_module(target), seed=0)
    return dict(execute(plan, tensors, state))
