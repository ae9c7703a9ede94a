"""Similarity of two networks beside torch-cka, in one process: the same figures, and the time of both."""

from __future__ import annotations

import copy
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.measure import medians, show

PAIR = ("resnet18", "resnet34")
IMAGES, SIZE, BATCH = 128, 32, 64
_Found = tuple[list[str], list[str], Any]


def run() -> list[dict[str, Any]]:
    """Measure and print; without the peer, which is then said, our time alone."""
    import torch

    from tlvcli.core.provenance import Architecture
    from tlvcli.models.builders import build

    networks = [build(Architecture(name=name, num_classes=1000), seed=0).eval() for name in PAIR]
    images = torch.randn(IMAGES, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        peer = _fetch(Path(folder))
        functions: dict[str, Callable[[], Any]] = {
            "forward": lambda: [network(batch) for network in networks for batch in images.split(BATCH)],
            "tlv": lambda: compare(networks, images),
        }
        if isinstance(peer, str):
            print(f"\ntorch-cka is left out: {peer}")
        else:
            functions["torch-cka"] = lambda: _compare_by_peer(peer, networks, images)
        seconds = medians(functions, rounds=2)
        errors = {} if isinstance(peer, str) else _errors(peer, networks, images[:BATCH])
        layers = [len(names) for names in compare(networks, images[:BATCH])[:2]]
    row = {
        "pair": " x ".join(PAIR),
        "modules": " x ".join(map(str, layers)),
        "images": f"{IMAGES} of {SIZE} px, batches of {BATCH}",
        "forward passes alone s": seconds["forward"],
        "tlv s": seconds["tlv"],
        "torch-cka s": seconds.get("torch-cka"),
        "times faster": seconds["torch-cka"] / seconds["tlv"] if errors else None,
        "tlv error": errors.get("tlv"),
        "torch-cka error": errors.get("torch-cka"),
    }
    show("Linear CKA of every module of two networks (errors: largest, against torch-cka in float64)", [row])
    return [row]


def compare(networks: Sequence[Any], images: Any) -> _Found:
    """Compare all modules as `tlv analyze-stats A --against B --layers '*'` does, from images in memory.

    Returns:
        The names of rows and columns, and the matrix.
    """
    from tlvcli.methods.similarity.cka import centre_grams, hsic_of_batch, similarity
    from tlvcli.models.module_taps import find_module_taps
    from tlvcli.pipelines.analysis.similarity import layer_grams

    taps = [
        find_module_taps(module, {name for name, _ in module.named_modules() if name}, images.shape[1:])
        for module in networks
    ]
    sums = None
    for batch in images.split(BATCH):
        one, other = (
            centre_grams(layer_grams(module, read, batch)) for module, read in zip(networks, taps, strict=True)
        )
        hsic = hsic_of_batch(one, other)
        sums = hsic if sums is None else sums + hsic
    assert sums is not None
    rows, columns = ([tap.layer for tap in read] for read in taps)
    return rows, columns, similarity(sums)


def _compare_by_peer(peer: Any, networks: Sequence[Any], images: Any) -> _Found:
    from torch.utils.data import DataLoader, TensorDataset

    # Copies: the peer never takes its hooks away. Its bar and its advice go nowhere.
    with warnings.catch_warnings(), redirect_stderr(StringIO()):
        warnings.simplefilter("ignore")
        cka = peer.CKA(*copy.deepcopy(list(networks)), *PAIR, device="cpu")
        cka.compare(DataLoader(TensorDataset(images), batch_size=BATCH))
    # It lists modules as they are registered, but fills its matrix as they are called.
    return list(cka.model1_features), list(cka.model2_features), cka.export()["CKA"]


def _errors(peer: Any, networks: Sequence[Any], images: Any) -> dict[str, float]:
    """Return the largest difference of either from the peer in double precision.

    Of convolutions: of other modules the peer has kept what ReLU or an addition then wrote over.
    """
    import torch

    found = {"tlv": compare(networks, images), "torch-cka": _compare_by_peer(peer, networks, images)}
    torch.set_default_dtype(torch.float64)
    try:
        exact = _compare_by_peer(peer, [copy.deepcopy(network).double() for network in networks], images.double())
    finally:
        torch.set_default_dtype(torch.float32)
    names = [[name for name in side if name.rpartition(".")[2].startswith("conv")] for side in found["tlv"][:2]]

    def convolutions(one: _Found) -> Any:
        rows, columns, matrix = one
        return matrix[[rows.index(name) for name in names[0]]][:, [columns.index(name) for name in names[1]]].double()

    return {name: float((convolutions(one) - convolutions(exact)).abs().max()) for name, one in found.items()}


def _fetch(folder: Path) -> Any:
    """Import the package where it is installed, else install it into a folder of its own; or return why not."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
    try:
        import torch_cka
    except ImportError:
        done = subprocess.run([*command, "torch-cka==0.21", "tqdm"], capture_output=True, text=True, check=False)
        if done.returncode:
            return f"pip could not fetch it: {' '.join(done.stderr.split())}"
        with patch.object(sys, "path", [str(folder), *sys.path]):
            import torch_cka
    return torch_cka
