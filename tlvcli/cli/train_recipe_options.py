"""Flags of `tlv train` alone: the recipe's parts, and what becomes of the images."""

from __future__ import annotations

from typing import Annotated

import typer

from tlvcli.cli.completers import complete_recipe, one_of
from tlvcli.cli.options import negated

RECIPE_PANEL = "Recipe"
IMAGES_PANEL = "Images"


Recipe = Annotated[
    str | None,
    typer.Option(
        rich_help_panel=RECIPE_PANEL,
        autocompletion=complete_recipe,
        help="tlv, three-ways, non-binary or statistics-mask: published settings; other flags go over them.",
    ),
]
Lr = Annotated[
    str | None,
    typer.Option(
        metavar="RATE",
        show_default="by strategy and optimiser",
        rich_help_panel=RECIPE_PANEL,
        help="Peak learning rate; non-binary: also HEAD,HIGH,LOW.",
    ),
]
Optimizer = Annotated[
    str | None,
    typer.Option(
        show_default="adamw",
        rich_help_panel=RECIPE_PANEL,
        autocompletion=one_of("adamw", "adam", "sgd"),
        help="adamw, adam or sgd (Nesterov).",
    ),
]
WeightDecay = Annotated[
    float | None,
    typer.Option(
        show_default="by the optimiser",
        rich_help_panel=RECIPE_PANEL,
        help="Decay of weights, none of biases and normalisation.",
    ),
]
Schedule = Annotated[
    str | None,
    typer.Option(
        show_default="cosine",
        rich_help_panel=RECIPE_PANEL,
        autocompletion=one_of("cosine", "step", "multistep", "one-cycle", "constant"),
        help="cosine, step, multistep, one-cycle or constant.",
    ),
]
WarmupEpochs = Annotated[
    float | None,
    typer.Option(
        show_default="0.5, by one-cycle 30 %", rich_help_panel=RECIPE_PANEL, help="Epochs in which the rate rises."
    ),
]
DecayEpochs = Annotated[
    float | None,
    typer.Option(show_default="30 with step", rich_help_panel=RECIPE_PANEL, help="step: epochs between decays."),
]
DecayRate = Annotated[
    float | None,
    typer.Option(
        show_default="0.1 with them", rich_help_panel=RECIPE_PANEL, help="step, multistep: factor at each decay."
    ),
]
Milestones = Annotated[
    str | None,
    typer.Option(
        metavar="EPOCHS",
        show_default="60 and 80 %",
        rich_help_panel=RECIPE_PANEL,
        help="multistep: when the rate decays, as 30,60.",
    ),
]
LabelSmoothing = Annotated[
    float | None,
    typer.Option(show_default="0.0", rich_help_panel=RECIPE_PANEL, help="Share of the target given to all classes."),
]
ClassWeights = Annotated[
    str | None,
    typer.Option(
        metavar="balanced",
        rich_help_panel=RECIPE_PANEL,
        autocompletion=one_of("balanced"),
        help="Let rare classes weigh more in the loss.",
    ),
]
Ema = Annotated[
    float | None,
    typer.Option(
        metavar="DECAY", rich_help_panel=RECIPE_PANEL, help="Keep a moving average of the weights, as with 0.999."
    ),
]
ClipNorm = Annotated[
    float | None, typer.Option(metavar="NORM", rich_help_panel=RECIPE_PANEL, help="Largest norm of the gradient.")
]
Accumulate = Annotated[
    int | None,
    typer.Option(
        metavar="BATCHES", show_default="1", rich_help_panel=RECIPE_PANEL, help="Batches averaged into one step."
    ),
]
Patience = Annotated[
    int | None,
    typer.Option(
        metavar="EPOCHS", rich_help_panel=RECIPE_PANEL, help="Stop after so many epochs without a better one."
    ),
]
BestBy = Annotated[
    str | None,
    typer.Option(
        show_default="top1",
        rich_help_panel=RECIPE_PANEL,
        autocompletion=one_of("top1", "balanced-accuracy", "loss"),
        help="top1, balanced-accuracy or loss on val makes an epoch the best.",
    ),
]

Augment = Annotated[
    str | None,
    typer.Option(
        show_default="standard",
        rich_help_panel=IMAGES_PANEL,
        autocompletion=one_of("standard", "none", "randaugment", "autoaugment", "trivialaugment"),
        help="standard, none, randaugment, autoaugment, trivialaugment, or timm's words, as rand-m9-inc1.",
    ),
]
Mixup = Annotated[
    float | None,
    typer.Option(metavar="ALPHA", show_default="0.0", rich_help_panel=IMAGES_PANEL, help="Mix pairs of images."),
]
Cutmix = Annotated[
    float | None,
    typer.Option(
        metavar="ALPHA", show_default="0.0", rich_help_panel=IMAGES_PANEL, help="Put a part of one image into another."
    ),
]
Erasing = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE", show_default="0.0", rich_help_panel=IMAGES_PANEL, help="Images that lose a rectangle."
    ),
]
Balanced = Annotated[
    bool | None,
    typer.Option("--balanced", rich_help_panel=IMAGES_PANEL, help="Draw every class equally often."),
]
Shuffle = Annotated[
    bool | None,
    typer.Option(
        "--no-shuffle",
        callback=negated,
        rich_help_panel=IMAGES_PANEL,
        help="One order of the images for all epochs.",
    ),
]
