"""`tlv convert`: any checkpoint as clean safetensors."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tlvcli.cli import options as o
from tlvcli.cli.completers import complete_architecture, one_of


def convert(
    context: typer.Context,
    checkpoint: o.Checkpoint = None,
    out: Annotated[
        str | None, typer.Argument(metavar="OUT.safetensors", show_default=False, help="Checkpoint to write.")
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(
            show_default="each tensor's own",
            autocompletion=one_of("float32", "float16", "bfloat16"),
            help="float32, float16, bfloat16, ... of floating tensors.",
        ),
    ] = None,
    key: o.Key = None,
    ema: Annotated[bool | None, typer.Option("--ema", help="Take the moving average instead of the weights.")] = None,
    arch: Annotated[
        str | None,
        typer.Option(
            show_default="what the tensors show",
            help="Architecture to name in the file; the tensors must fit it.",
            autocompletion=complete_architecture,
        ),
    ] = None,
    shard_size: Annotated[
        str | None,
        typer.Option(metavar="SIZE", show_default="one file", help="Split what is larger, as in 2GB, 500MB, 5GiB."),
    ] = None,
    fail_on: Annotated[
        str | None,
        typer.Option(metavar="nan", autocompletion=one_of("nan"), help="Exit 1 if a tensor holds NaN or Inf."),
    ] = None,
    dry_run: Annotated[bool | None, typer.Option("--dry-run", help="Check and show, write nothing.")] = None,
    offline: o.Offline = None,
    report: o.ReportFile = None,
    force: o.Force = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
    debug: o.Debug = False,
    config: o.ConfigFile = None,
    set: o.Assignments = None,
) -> int:
    """Write the tensors of CHECKPOINT as plain safetensors, and say what else was in it.

    Example: tlv convert training.ckpt model.safetensors --dtype float16
    """
    from tlvcli.cli.render_convert import render
    from tlvcli.cli.running import read_config, show_report
    from tlvcli.pipelines.convert import ConvertConfig, run

    result: Any = run(read_config(context, ConvertConfig))
    return show_report(context, result, render)
