"""The main job in one go, on a data set that needs no network: `make demo`.

Trains a source on digits, starts a ResNet-18 from it by TLV and once from He noise, trains both on a few images, and
evaluates them on the test split; then asks `tlv compare` the same question of a ResNet-20, from two seeds. Every step
is a `tlv` command as one would type it.
"""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from pathlib import Path

from tlvcli.cli.main import run

RUN = Path("demo-run")
SOURCE = "examples/small_vgg.py:make@random"
FEW = "digits@train:200"


def tlv(*arguments: str) -> None:
    """Show a command, run it, and stop where it fails."""
    print(f"\n$ tlv {shlex.join(arguments)}", flush=True)
    code = run(arguments)
    if code:
        sys.exit(code)


def result_of(report: Path) -> dict[str, object]:
    """Return the `result` of a JSON report."""
    content: dict[str, dict[str, object]] = json.loads(report.read_text())
    return content["result"]


def main() -> None:
    """Run every step, then draw the table."""
    shutil.rmtree(RUN, ignore_errors=True)
    RUN.mkdir()
    source = str(RUN / "source" / "best.safetensors")
    tlv("train", SOURCE, "--data", "digits@train", "--out", str(RUN / "source"), "--epochs", "3")
    for method in ("he", "tlv"):
        start, trained = str(RUN / f"{method}.safetensors"), str(RUN / method)
        tlv("transfer", source, "resnet18", start, "--method", method)
        tlv("train", start, "--data", FEW, "--out", trained, "--epochs", "8")
        tlv("eval", f"{trained}/best.safetensors", "--data", "digits@test", "--report", f"{trained}/eval.json")
    print(f"\nResNet-18 after 8 epochs on {FEW}, evaluated on digits@test:\n")
    print("start   coverage   val top-1, epoch 1   test top-1   test loss")
    for method in ("he", "tlv"):
        transfer = result_of(RUN / f"{method}.report.json")
        epochs = result_of(RUN / method / "report.json")["epochs"]
        measured = result_of(RUN / method / "eval.json")
        assert isinstance(epochs, list)
        print(
            f"{method:<5} {transfer['coverage']:>10.1%} {epochs[0]['val_top1']:>20.1%}"
            f" {measured['top1']:>12.1%} {measured['loss']:>11.3f}"
        )
    print("\nThe same question of a ResNet-20, from two seeds, in one command:")
    grid = ("--methods", "he,coherent", "--seeds", "2", "--epochs", "3", "--batch-size", "8")
    where = ("--data", FEW, "--out", str(RUN / "compare"))
    tlv("compare", "--source", source, "--target-arch", "examples/akamaster_resnet.py:resnet20", *where, *grid)
    print("\nwritten:")
    for path in sorted(RUN.rglob("*")):
        if path.is_file() and RUN / "compare" / "cells" not in path.parents:
            print(f"  {path.stat().st_size / 1e3:>10,.1f} kB  {path}")


if __name__ == "__main__":
    main()
