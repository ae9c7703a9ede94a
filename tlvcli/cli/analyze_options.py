"""The flags of `tlv analyze-stats`, by the question that they ask."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from tlvcli.cli.completers import (
    complete_architecture,
    complete_checkpoint,
    complete_data,
    complete_scores,
    complete_statistics,
    one_of,
)
from tlvcli.cli.options import INPUT_PANEL

QUESTION_PANEL = "The question"
SHIFT_PANEL = "With --source and --target"
LAYERS_PANEL = "Layers"
FILES_PANEL = "What to write"

_DATA = "folder (labels or not), NAME:ROOT or digits, with @SPLIT:N."

Source = Annotated[
    str | None,
    typer.Option(
        metavar="DATA",
        show_default=False,
        autocompletion=complete_data,
        rich_help_panel=QUESTION_PANEL,
        help=f"Images like those that CHECKPOINT was trained on: {_DATA}",
    ),
]
Target = Annotated[
    str | None,
    typer.Option(
        metavar="DATA",
        show_default=False,
        autocompletion=complete_data,
        rich_help_panel=QUESTION_PANEL,
        help="The images at hand: which kernels still fit?",
    ),
]
Against = Annotated[
    list[str] | None,
    typer.Option(
        metavar="OTHER",
        show_default=False,
        autocompletion=complete_checkpoint,
        rich_help_panel=QUESTION_PANEL,
        help="Which layers of OTHER do the same on --data? With --score repeatable.",
    ),
]
Data = Annotated[
    str | None,
    typer.Option(
        metavar="DATA",
        show_default=False,
        autocompletion=complete_data,
        rich_help_panel=QUESTION_PANEL,
        help="Images for --against and --score; scores need labels.",
    ),
]
Score = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME,...",
        show_default=False,
        autocompletion=complete_scores,
        rich_help_panel=QUESTION_PANEL,
        help="Is it worth fine-tuning on --data? logme, leep, nce, hscore, transrate.",
    ),
]
Weights = Annotated[
    bool | None,
    typer.Option("--weights", rich_help_panel=QUESTION_PANEL, help="Norms, rank and dead kernels; needs no data."),
]

Statistic = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        show_default="lognormal-kl",
        rich_help_panel=SHIFT_PANEL,
        autocompletion=complete_statistics,
        help="Distance of two sets of activations, as js, ks or welch-t; repeatable, the first decides.",
    ),
]
Select = Annotated[
    str | None,
    typer.Option(
        metavar="kernels|layers",
        show_default="kernels",
        rich_help_panel=SHIFT_PANEL,
        autocompletion=one_of("kernels", "layers"),
        help="What is judged as a whole.",
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        show_default="95 % of the null, per layer",
        rich_help_panel=SHIFT_PANEL,
        help="Shifted: a distance above it; seed-kl: alike from it to 1.",
    ),
]
Fraction = Annotated[
    float | None,
    typer.Option(rich_help_panel=SHIFT_PANEL, help="Shifted: this share of all kernels, whatever the distance."),
]
Alpha = Annotated[
    float | None,
    typer.Option(rich_help_panel=SHIFT_PANEL, help="Shifted: found at this false-discovery rate."),
]
Splits = Annotated[
    int | None,
    typer.Option(show_default="100", rich_help_panel=SHIFT_PANEL, help="Halvings of the source that make the null."),
]
MaxShift = Annotated[
    float | None,
    typer.Option(metavar="SHARE", rich_help_panel=SHIFT_PANEL, help="Exit 1 if a larger share of kernels is shifted."),
]
Mask = Annotated[
    str | None,
    typer.Option(
        metavar="FILE", rich_help_panel=SHIFT_PANEL, help="Write which kernels stay frozen, for tlv train --mask."
    ),
]

Layers = Annotated[
    list[str] | None,
    typer.Option(
        metavar="GLOB",
        show_default="convolutions, else linear layers too",
        rich_help_panel=LAYERS_PANEL,
        help="Only layers of this name or below it, as 'layer3.*'; repeatable.",
    ),
]
At = Annotated[
    str | None,
    typer.Option(
        metavar="pre|post",
        show_default="post",
        autocompletion=one_of("pre", "post"),
        rich_help_panel=LAYERS_PANEL,
        help="Before or after the normalisation and activation behind a layer.",
    ),
]
Sort = Annotated[
    Literal["layer", "shift", "name"],
    typer.Option(rich_help_panel=LAYERS_PANEL, help="Order of the rows: as called, most shifted first, by name."),
]

Csv = Annotated[
    str | None,
    typer.Option(metavar="FILE", rich_help_panel=FILES_PANEL, help="Write a table with a row for each kernel."),
]
Plots = Annotated[str | None, typer.Option(metavar="DIR", rich_help_panel=FILES_PANEL, help="Draw pictures into DIR.")]
Html = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        rich_help_panel=FILES_PANEL,
        help="Write one page: distances, kernels, activation maps; needs no network.",
    ),
]

AgainstArch = Annotated[
    str | None,
    typer.Option(
        show_default="what the file says",
        rich_help_panel=INPUT_PANEL,
        autocompletion=complete_architecture,
        help="Architecture of OTHER, as --arch.",
    ),
]
