"""Flags of `tlv train` alone: what trains, at which rate, and what holds it back."""

from __future__ import annotations

from typing import Annotated

import typer

STRATEGY_PANEL = "Strategy"
RECIPE_PANEL = "Recipe"


def complete_strategy(incomplete: str) -> list[str]:
    """Return the names of the strategies that begin so."""
    from tlvcli.methods.finetuning.table import STRATEGIES

    return [strategy.name for strategy in STRATEGIES if strategy.name.startswith(incomplete)]


RunFolder = Annotated[str | None, typer.Option(metavar="RUN_DIR", help="Folder that the run writes.")]
Epochs = Annotated[int | None, typer.Option(show_default="10", help="Passes over the training images.")]
BatchSize = Annotated[int | None, typer.Option(show_default="32", help="Images per step.")]
DryRun = Annotated[
    bool | None, typer.Option("--dry-run", help="Show every parameter with its rate, decay and mask; write nothing.")
]

Strategy = Annotated[
    str | None,
    typer.Option(
        show_default="full",
        rich_help_panel=STRATEGY_PANEL,
        autocompletion=complete_strategy,
        help="full, two-rate, linear-probe, lp-ft, layer-decay or non-binary.",
    ),
]
Head = Annotated[
    str | None,
    typer.Option(
        metavar="linear",
        show_default="as it is",
        rich_help_panel=STRATEGY_PANEL,
        help="Replace the whole classifier by one linear layer.",
    ),
]
BackboneLrScale = Annotated[
    float | None,
    typer.Option(show_default="0.1 with it", rich_help_panel=STRATEGY_PANEL, help="two-rate: times lr, the backbone."),
]
ProbeEpochs = Annotated[
    int | None,
    typer.Option(show_default="3 with it", rich_help_panel=STRATEGY_PANEL, help="lp-ft: epochs of the head alone."),
]
LayerDecay = Annotated[
    float | None,
    typer.Option(
        show_default="0.75 with it",
        rich_help_panel=STRATEGY_PANEL,
        help="layer-decay: factor on the rate from each layer to the one before it.",
    ),
]
NewLayers = Annotated[
    int | None,
    typer.Option(
        show_default="1 with it",
        rich_help_panel=STRATEGY_PANEL,
        help="non-binary: layers that start afresh, from the output; the classifier is 1.",
    ),
]
NumLowlrs = Annotated[
    int | None,
    typer.Option(rich_help_panel=STRATEGY_PANEL, help="non-binary: layers from the input that train at LOW."),
]
Regularizer = Annotated[
    str | None,
    typer.Option(
        metavar="l2-sp",
        rich_help_panel=STRATEGY_PANEL,
        help="Draw weights to where they started, in place of weight decay.",
    ),
]
L2sp = Annotated[
    str | None,
    typer.Option(
        "--l2sp",
        metavar="WEIGHT",
        show_default="0.01 with l2-sp",
        rich_help_panel=STRATEGY_PANEL,
        help="Weight of l2-sp; non-binary: also HEAD,HIGH,LOW.",
    ),
]
Mask = Annotated[
    str | None,
    typer.Option(metavar="FILE", rich_help_panel=STRATEGY_PANEL, help="Output channels that are frozen (safetensors)."),
]
MaskScale = Annotated[
    float | None,
    typer.Option(
        show_default="0 with a mask",
        rich_help_panel=STRATEGY_PANEL,
        help="Share of their update that masked channels take.",
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
    str | None, typer.Option(show_default="adamw", rich_help_panel=RECIPE_PANEL, help="adamw, adam or sgd (Nesterov).")
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
    str | None, typer.Option(show_default="cosine", rich_help_panel=RECIPE_PANEL, help="cosine, step or constant.")
]
WarmupEpochs = Annotated[
    float | None,
    typer.Option(show_default="0.5", rich_help_panel=RECIPE_PANEL, help="Epochs in which the rate rises."),
]
DecayEpochs = Annotated[
    float | None,
    typer.Option(show_default="30 with step", rich_help_panel=RECIPE_PANEL, help="step: epochs between decays."),
]
DecayRate = Annotated[
    float | None,
    typer.Option(show_default="0.1 with step", rich_help_panel=RECIPE_PANEL, help="step: factor at each decay."),
]
