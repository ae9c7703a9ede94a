"""The arguments and flags of `tlv transfer`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tlvcli.cli.completers import (
    complete_architecture,
    complete_checkpoint,
    complete_data,
    complete_method,
    one_of,
)
from tlvcli.cli.options import OUTPUT_PANEL

PLAN_PANEL = "Plan"
STEPS_PANEL = "After the mapping, in this order"


def as_data(text: str) -> dict[str, str]:
    """Return what `--fit DATA` sets; --set fit.KEY sets the choices beside it."""
    return {"data": text}


Source = Annotated[
    str | None,
    typer.Argument(
        metavar="CHECKPOINT",
        show_default=False,
        autocompletion=complete_checkpoint,
        help="Source: a file, ARCH@WEIGHTS or ARCH@random.",
    ),
]
TargetArch = Annotated[
    str | None,
    typer.Argument(
        metavar="TARGET_ARCH",
        show_default=False,
        autocompletion=complete_architecture,
        help="Torchvision builder, timm:NAME, or FILE.py:callable.",
    ),
]
Out = Annotated[
    str | None,
    typer.Argument(metavar="OUT.safetensors", show_default=False, help="Checkpoint to write; --dry-run needs none."),
]
Method = Annotated[
    str | None,
    typer.Option(
        show_default="coherent",
        autocompletion=complete_method,
        help="coherent, tlv, dpiat, weight-selection, net2net, he; tlv-reference, dpiat-reference: the authors' code.",
    ),
]
NumClasses = Annotated[int | None, typer.Option(show_default="the source's, else 1000", help="Classes of the target.")]
InChans = Annotated[int | None, typer.Option(show_default="the source's, else 3", help="Input channels of the target.")]
SourceArch = Annotated[
    str | None,
    typer.Option(
        show_default="what it says or shows",
        autocompletion=complete_architecture,
        help="Architecture of CHECKPOINT, as TARGET_ARCH is named.",
    ),
]
TargetCheckpoint = Annotated[
    str | None, typer.Option(metavar="FILE", help="Start the target from this file, not from fresh noise.")
]
AllowNan = Annotated[bool | None, typer.Option("--allow-nan", help="Take NaN and Inf from the source as they are.")]
DryRun = Annotated[
    bool | None,
    typer.Option("--dry-run", rich_help_panel=PLAN_PANEL, help="Plan and show every row; write no checkpoint."),
]
SavePlan = Annotated[
    str | None,
    typer.Option(metavar="PLAN.yaml", rich_help_panel=PLAN_PANEL, help="Write the plan, to look at, edit and replay."),
]
Plan = Annotated[
    str | None,
    typer.Option(metavar="PLAN.yaml", rich_help_panel=PLAN_PANEL, help="Carry out this plan instead of making one."),
]
Only = Annotated[
    list[str] | None,
    typer.Option(metavar="GLOB", rich_help_panel=PLAN_PANEL, help="Write to these target layers only; repeatable."),
]
Skip = Annotated[
    list[str] | None,
    typer.Option(metavar="GLOB", rich_help_panel=PLAN_PANEL, help="Leave these target layers alone; repeatable."),
]
Rescale = Annotated[
    bool | None,
    typer.Option("--rescale", rich_help_panel=STEPS_PANEL, help="Weights that the source feeds at He's variance."),
]
Fit = Annotated[
    Any,
    typer.Option(
        metavar="DATA",
        show_default=False,
        parser=as_data,
        autocompletion=complete_data,
        rich_help_panel=STEPS_PANEL,
        help="Fit layers to what the source computes on images, labels unused; at most 1000 of train unless @SPLIT:N.",
    ),
]
Calibrate = Annotated[
    Any,
    typer.Option(
        metavar="DATA",
        show_default=False,
        parser=as_data,
        autocompletion=complete_data,
        rich_help_panel=STEPS_PANEL,
        help="Unit variance and batch statistics on images, labels unused; at most 500 of train unless @SPLIT:N.",
    ),
]
ImageSize = Annotated[
    int | None,
    typer.Option(
        show_default="the source's, else the data's", rich_help_panel=STEPS_PANEL, help="Height and width in pixels."
    ),
]
DataSeed = Annotated[int | None, typer.Option(show_default="0", rich_help_panel=STEPS_PANEL, help="Draws the images.")]
Download = Annotated[
    bool | None,
    typer.Option("--download", rich_help_panel=STEPS_PANEL, help="Fetch a torchvision data set that is missing."),
]
MinCoverage = Annotated[
    float | None,
    typer.Option(metavar="SHARE", rich_help_panel=PLAN_PANEL, help="Exit 1 if less of the target is taken, as 0.8."),
]
Dtype = Annotated[
    str | None,
    typer.Option(
        show_default="the source's",
        rich_help_panel=OUTPUT_PANEL,
        autocompletion=one_of("float32", "float16", "bfloat16"),
        help="float32, float16, bfloat16, ... of the output.",
    ),
]
ShardSize = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        show_default="one file",
        rich_help_panel=OUTPUT_PANEL,
        help="Split what is larger: 2GB, 500MB, 5GiB.",
    ),
]
Report = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        show_default="OUT.report.json",
        rich_help_panel=OUTPUT_PANEL,
        help="Where the JSON report goes.",
    ),
]
