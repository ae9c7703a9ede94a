"""`tlv transfer`: start another architecture from a checkpoint."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tlvcli.cli import options as o


def transfer(
    context: typer.Context,
    source: Annotated[
        str | None,
        typer.Argument(metavar="CHECKPOINT", show_default=False, help="Source: a file, ARCH@WEIGHTS or ARCH@random."),
    ] = None,
    target_arch: Annotated[
        str | None,
        typer.Argument(
            metavar="TARGET_ARCH",
            show_default=False,
            autocompletion=o.complete_architecture,
            help="Torchvision builder, timm:NAME, or FILE.py:callable.",
        ),
    ] = None,
    out: Annotated[
        str | None, typer.Argument(metavar="OUT.safetensors", show_default=False, help="Checkpoint to write.")
    ] = None,
    method: Annotated[str | None, typer.Option(show_default="tlv", help="tlv, tlv-reference or he.")] = None,
    num_classes: Annotated[
        int | None, typer.Option(show_default="the source's, else 1000", help="Classes of the target.")
    ] = None,
    in_chans: Annotated[
        int | None, typer.Option(show_default="the source's, else 3", help="Input channels of the target.")
    ] = None,
    target_checkpoint: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Start the target from this file, not from fresh noise."),
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(show_default="the source's", help="float32, float16, bfloat16, ... of the output."),
    ] = None,
    key: o.Key = None,
    dry_run: Annotated[bool | None, typer.Option("--dry-run", help="Plan and show, write nothing.")] = None,
    seed: o.Seed = None,
    offline: o.Offline = None,
    force: o.Force = None,
    report: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            show_default="OUT.report.json",
            rich_help_panel=o.OUTPUT_PANEL,
            help="Where the JSON report goes.",
        ),
    ] = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
    debug: o.Debug = False,
    config: o.ConfigFile = None,
    set: o.Assignments = None,
) -> int:
    """Start TARGET_ARCH from the weights in CHECKPOINT.

    Example: tlv transfer vgg16.pth resnet18 start.safetensors --num-classes 10
    """
    from tlvcli.cli.render_transfer import render
    from tlvcli.cli.running import read_config, show_report
    from tlvcli.pipelines.transfer import TransferConfig, config_keys, run

    result: Any = run(read_config(context, TransferConfig, config_keys()))
    return show_report(context, result, render)
