"""Flags of `tlv predict` alone: which images, and where the answers go."""

from __future__ import annotations

from typing import Annotated

import typer

from tlvcli.cli.options import OUTPUT_PANEL

Images = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="IMAGES...",
        show_default=False,
        help="Files, folders, quoted patterns such as 'photos/*.jpg'; - is a list on standard input.",
    ),
]
Null = Annotated[
    bool | None, typer.Option("--null", "-0", help="The list's names end in a zero byte, as of find -print0.")
]
Top = Annotated[int | None, typer.Option(show_default="1", help="Classes to name for each image.")]
Csv = Annotated[
    str | None,
    typer.Option(metavar="FILE", rich_help_panel=OUTPUT_PANEL, help="Write the predictions to this file."),
]
Jsonl = Annotated[
    bool | None,
    typer.Option("--jsonl", rich_help_panel=OUTPUT_PANEL, help="Print a JSON object to a line, as images come."),
]
Features = Annotated[
    str | None,
    typer.Option(
        metavar="OUT.safetensors",
        rich_help_panel=OUTPUT_PANEL,
        help="Write what the classifier gets of each image, and no labels.",
    ),
]
