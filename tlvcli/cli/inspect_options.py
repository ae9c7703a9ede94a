"""The flags of `tlv inspect`, by the question that they ask."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from tlvcli.cli.completers import complete_checkpoint, one_of

LOOK_PANEL = "How to look at the layers"
SECTIONS_PANEL = "What else to say"
COMPARE_PANEL = "With --against"

Layers = Annotated[
    str | None,
    typer.Option(
        metavar="GLOB",
        show_default="all",
        rich_help_panel=LOOK_PANEL,
        help="Only layers of this name or below it, as in 'layer3.*' or '*.bn1'.",
    ),
]
Depth = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, show_default="all", rich_help_panel=LOOK_PANEL, help="Levels of modules to show."),
]
Sort = Annotated[
    Literal["order", "name", "parameters", "bytes"],
    typer.Option(
        metavar="KEY",
        rich_help_panel=LOOK_PANEL,
        help="order, name, parameters or bytes; all but order list the layers with their whole names.",
    ),
]
Markdown = Annotated[
    bool, typer.Option("--markdown", rich_help_panel=LOOK_PANEL, help="Print tables to paste into a pull request.")
]
Plots = Annotated[
    str | None,
    typer.Option(metavar="DIR", rich_help_panel=LOOK_PANEL, help="Draw a histogram of each layer's weights into DIR."),
]
Stats = Annotated[
    bool | None,
    typer.Option("--stats", rich_help_panel=SECTIONS_PANEL, help="Mean, std, zeros, NaN, dead filters of each tensor."),
]
FailOn = Annotated[
    str | None,
    typer.Option(
        metavar="nan",
        rich_help_panel=SECTIONS_PANEL,
        autocompletion=one_of("nan"),
        help="Exit 1 if a tensor holds NaN or Inf.",
    ),
]
Verify = Annotated[
    bool | None,
    typer.Option("--verify", rich_help_panel=SECTIONS_PANEL, help="Hash the file and what it was made from."),
]
Summary = Annotated[
    bool | None,
    typer.Option("--summary", rich_help_panel=SECTIONS_PANEL, help="Output shapes and mult-adds, module by module."),
]
InputSize = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        show_default="the checkpoint's, else 224",
        rich_help_panel=SECTIONS_PANEL,
        help="Of --summary: 224, or 1,3,224,224.",
    ),
]
Against = Annotated[
    str | None,
    typer.Option(
        metavar="OTHER",
        rich_help_panel=COMPARE_PANEL,
        autocompletion=complete_checkpoint,
        help="Compare with this, tensor by tensor.",
    ),
]
AgainstKey = Annotated[
    str | None,
    typer.Option(show_default="the weights", rich_help_panel=COMPARE_PANEL, help="Part of OTHER, as --key."),
]
ExitCode = Annotated[
    bool | None, typer.Option("--exit-code", rich_help_panel=COMPARE_PANEL, help="Exit 1 if they differ.")
]
Atol = Annotated[
    float | None,
    typer.Option(show_default="0.0", rich_help_panel=COMPARE_PANEL, help="Equal if |a - b| <= atol + rtol |a|."),
]
Rtol = Annotated[float | None, typer.Option(show_default="0.0", rich_help_panel=COMPARE_PANEL, help="See --atol.")]
