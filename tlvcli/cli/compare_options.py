"""Flags of `tlv compare`: what is compared, how each cell trains, and how many run at once."""

from __future__ import annotations

from typing import Annotated

import typer

from tlvcli.cli.completers import (
    complete_architecture,
    complete_checkpoint,
    complete_data,
    complete_methods,
    complete_recipe,
    complete_strategies,
    one_of,
)
from tlvcli.cli.options import OUTPUT_PANEL, RUN_PANEL

TRAINING_PANEL = "Training, of every cell"

Source = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CHECKPOINT",
        show_default=False,
        autocompletion=complete_checkpoint,
        help="A file, ARCH@WEIGHTS or ARCH@random; repeatable.",
    ),
]
TargetArch = Annotated[
    str | None,
    typer.Option(
        metavar="ARCH",
        show_default="the sources themselves",
        autocompletion=complete_architecture,
        help="What the sources start: torchvision builder, timm:NAME, or FILE.py:callable.",
    ),
]
Out = Annotated[str | None, typer.Option(metavar="DIR", show_default=False, help="Folder of cells, table and curves.")]
Methods = Annotated[
    str | None,
    typer.Option(
        show_default="he,tlv,dpiat,coherent",
        autocompletion=complete_methods,
        help="Transfer methods, joined by commas, each with what follows it: tlv,coherent+calibrate; the first is the "
        "baseline.",
    ),
]
Strategies = Annotated[
    str | None,
    typer.Option(
        show_default="full", autocompletion=complete_strategies, help="Fine-tuning strategies, joined by commas."
    ),
]
Grid = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=V1,V2",
        help="Try these values of a key of tlv train or transfer; val chooses. The first is the default; repeatable.",
    ),
]
Seeds = Annotated[int | None, typer.Option(show_default="3", help="Runs of each cell, with seeds 0, 1, ...")]
Baseline = Annotated[
    str | None,
    typer.Option(
        metavar="WORDS",
        show_default="the first row",
        help="Compare with this method, strategy or source, or several joined by /.",
    ),
]
TestData = Annotated[
    str | None,
    typer.Option(
        metavar="DATA",
        show_default="the data's test split",
        autocompletion=complete_data,
        help="Images that only what is chosen sees.",
    ),
]
DryRun = Annotated[
    bool | None, typer.Option("--dry-run", help="Show every cell as commands, their number and disk space.")
]

Recipe = Annotated[
    str | None,
    typer.Option(
        rich_help_panel=TRAINING_PANEL, autocompletion=complete_recipe, help="Published settings, as in tlv train."
    ),
]
Epochs = Annotated[
    int | None,
    typer.Option(
        show_default="10 or the recipe's", rich_help_panel=TRAINING_PANEL, help="Passes over the training images."
    ),
]
BatchSize = Annotated[
    int | None,
    typer.Option(show_default="32 or the recipe's", rich_help_panel=TRAINING_PANEL, help="Images per batch."),
]
Lr = Annotated[
    str | None,
    typer.Option(
        metavar="RATE",
        show_default="by strategy and optimiser",
        rich_help_panel=TRAINING_PANEL,
        help="Peak learning rate. All else by --set train.KEY=V and transfer.KEY=V.",
    ),
]
SourceArch = Annotated[
    str | None,
    typer.Option(
        show_default="what they say or show",
        autocompletion=complete_architecture,
        help="Architecture of the sources.",
    ),
]

Jobs = Annotated[
    int | None,
    typer.Option(show_default="a GPU each, else by cores", rich_help_panel=RUN_PANEL, help="Cells that run at once."),
]
Keep = Annotated[
    str | None,
    typer.Option(
        metavar="best|all|none",
        show_default="best",
        rich_help_panel=OUTPUT_PANEL,
        autocompletion=one_of("best", "all", "none"),
        help="Checkpoints that stay.",
    ),
]
FirstSeed = Annotated[int | None, typer.Option(show_default="0", rich_help_panel=RUN_PANEL, help="The first seed.")]
Device = Annotated[
    str | None, typer.Option(show_default="auto", rich_help_panel=RUN_PANEL, help="auto, cpu or cuda: all GPUs.")
]
Force = Annotated[
    bool | None,
    typer.Option("--force", rich_help_panel=OUTPUT_PANEL, help="Begin anew, over what is in the folder."),
]
