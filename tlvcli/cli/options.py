"""Arguments and flags that several commands share; a default shown here is the configuration's own."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tlvcli.cli.completers import complete_architecture, complete_checkpoint, complete_data, one_of

OUTPUT_PANEL = "Output"
INPUT_PANEL = "Input"
RUN_PANEL = "Run"
SETTINGS_PANEL = "Settings"


def negated(value: bool | None) -> bool | None:
    """Return what `--no-x` says about `x`; typer's own way to turn a flag off takes a column of the help."""
    return None if value is None else not value


Checkpoint = Annotated[
    str | None,
    typer.Argument(
        metavar="CHECKPOINT",
        show_default=False,
        autocompletion=complete_checkpoint,
        help="Checkpoint file, ARCH@WEIGHTS from the torchvision hub, or ARCH@random.",
    ),
]
Data = Annotated[
    str | None,
    typer.Option(
        metavar="DATA",
        show_default=False,
        autocompletion=complete_data,
        help="Image folder, NAME:ROOT of torchvision, or digits; each with @SPLIT or @SPLIT:N.",
    ),
]
Arch = Annotated[
    str | None,
    typer.Option(
        show_default="what the file says",
        rich_help_panel=INPUT_PANEL,
        help="Architecture of the checkpoint: a torchvision builder, timm:NAME, or FILE.py:callable.",
        autocompletion=complete_architecture,
    ),
]
Key = Annotated[
    str | None,
    typer.Option(
        show_default="the weights",
        rich_help_panel=INPUT_PANEL,
        help="Part of a nested checkpoint, as in --key model_ema.",
    ),
]
DataSeed = Annotated[
    int | None,
    typer.Option(show_default="0", rich_help_panel=INPUT_PANEL, help="Draws samples and held-out images."),
]
Download = Annotated[
    bool | None,
    typer.Option("--download", rich_help_panel=INPUT_PANEL, help="Fetch a torchvision data set that is missing."),
]
ImageSize = Annotated[
    int | None,
    typer.Option(
        show_default="the checkpoint's, else the data's",
        rich_help_panel=INPUT_PANEL,
        help="Height and width in pixels.",
    ),
]
ForwardBatch = Annotated[
    int | None, typer.Option(show_default="64", rich_help_panel=INPUT_PANEL, help="Images per forward pass.")
]
SkipCorrupt = Annotated[
    bool | None,
    typer.Option(
        "--skip-corrupt",
        rich_help_panel=INPUT_PANEL,
        help="Leave out images that cannot be read, and name them.",
    ),
]

Seed = Annotated[int | None, typer.Option(show_default="0", rich_help_panel=RUN_PANEL, help="Same seed, same result.")]
Device = Annotated[
    str | None,
    typer.Option(
        show_default="auto",
        rich_help_panel=RUN_PANEL,
        autocompletion=one_of("auto", "cpu", "cuda"),
        help="auto, cpu, cuda or cuda:N.",
    ),
]


def _precision(default: str) -> Any:
    return typer.Option(
        show_default=default,
        rich_help_panel=RUN_PANEL,
        autocompletion=one_of("auto", "fp32", "bf16", "fp16"),
        help="auto, fp32, bf16 or fp16.",
    )


Precision = Annotated[str | None, _precision("auto")]
ExactPrecision = Annotated[str | None, _precision("fp32")]
Workers = Annotated[
    int | None,
    typer.Option(show_default="by the data", rich_help_panel=RUN_PANEL, help="Processes that read images."),
]
Offline = Annotated[bool | None, typer.Option("--offline", rich_help_panel=RUN_PANEL, help="Never touch the network.")]
Force = Annotated[bool | None, typer.Option("--force", rich_help_panel=OUTPUT_PANEL, help="Replace existing outputs.")]
ReportFile = Annotated[
    str | None,
    typer.Option(
        "--report",
        metavar="FILE",
        rich_help_panel=OUTPUT_PANEL,
        help="Write the JSON report to this file too.",
    ),
]

Json = Annotated[
    bool,
    typer.Option("--json", rich_help_panel=OUTPUT_PANEL, help="Print the report as JSON and nothing else."),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", rich_help_panel=OUTPUT_PANEL, help="Print no progress and no messages."),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", rich_help_panel=OUTPUT_PANEL, help="Show every row.")]
Debug = Annotated[bool, typer.Option("--debug", rich_help_panel=OUTPUT_PANEL, help="Show the traceback of an error.")]
ConfigFile = Annotated[
    str | None,
    typer.Option("--config", metavar="FILE", rich_help_panel=SETTINGS_PANEL, help="Read settings from YAML or JSON."),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", rich_help_panel=SETTINGS_PANEL, help="Set one key; repeatable."),
]
