"""The flags of `tlv eval`, by the question that they ask."""

from __future__ import annotations

from typing import Annotated

import typer

from tlvcli.cli.completers import complete_architecture, complete_checkpoint, one_of

GATE_PANEL = "Gates: exit 1 where one is not met"
FILES_PANEL = "What to write"
COMPARE_PANEL = "Against other checkpoints"
IMAGES_PANEL = "How images are prepared"

MinAccuracy = Annotated[
    str | None,
    typer.Option(metavar="SHARE", rich_help_panel=GATE_PANEL, help="The least top-1: 0.9 or 90%."),
]
Gate = Annotated[
    list[str] | None,
    typer.Option(
        metavar="'METRIC>=X'",
        show_default=False,
        rich_help_panel=GATE_PANEL,
        help="As 'per-class-recall>=0.5', 'macro-f1>=0.8' or 'ece<0.05'; repeatable.",
    ),
]

Predictions = Annotated[
    str | None,
    typer.Option(metavar="FILE", rich_help_panel=FILES_PANEL, help="Write a CSV with the answer to each image."),
]
Worst = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        show_default="8 with --html",
        rich_help_panel=FILES_PANEL,
        help="List the most confident mistakes.",
    ),
]
Html = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        rich_help_panel=FILES_PANEL,
        help="Write one page: confusion, classes, calibration, worst images.",
    ),
]

Against = Annotated[
    list[str] | None,
    typer.Option(
        metavar="OTHER",
        show_default=False,
        autocompletion=complete_checkpoint,
        rich_help_panel=COMPARE_PANEL,
        help="Hold another checkpoint against CHECKPOINT, by McNemar's test; repeatable.",
    ),
]
AgainstArch = Annotated[
    str | None,
    typer.Option(
        show_default="what the file says",
        rich_help_panel=COMPARE_PANEL,
        autocompletion=complete_architecture,
        help="Architecture of OTHER, as --arch.",
    ),
]

ClassMap = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="JSON, YAML or CSV: which class, or output, each class folder of DATA is."),
]
Bootstrap = Annotated[
    int | None,
    typer.Option(metavar="N", show_default="0", help="Resamples for 95 % intervals of loss, macro F1, ECE, ...: 1000."),
]

ImageSize = Annotated[
    int | None,
    typer.Option(
        show_default="the checkpoint's, else the data's",
        rich_help_panel=IMAGES_PANEL,
        help="Height and width in pixels.",
    ),
]
Resize = Annotated[
    int | None,
    typer.Option(
        show_default="the checkpoint's margin", rich_help_panel=IMAGES_PANEL, help="Short side before the crop."
    ),
]
Mean = Annotated[
    str | None,
    typer.Option(
        metavar="R,G,B", show_default="the checkpoint's", rich_help_panel=IMAGES_PANEL, help="Subtracted, from 0 to 1."
    ),
]
Std = Annotated[
    str | None,
    typer.Option(metavar="R,G,B", show_default="the checkpoint's", rich_help_panel=IMAGES_PANEL, help="Divided by."),
]
Interpolation = Annotated[
    str | None,
    typer.Option(
        show_default="the checkpoint's",
        rich_help_panel=IMAGES_PANEL,
        autocompletion=one_of("nearest", "bilinear", "bicubic", "lanczos"),
        help="nearest, bilinear, bicubic or lanczos.",
    ),
]
