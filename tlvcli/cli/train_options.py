"""Flags of `tlv train` alone: the run itself, what trains, and what holds it back."""

from __future__ import annotations

from typing import Annotated

import typer

from tlvcli.cli.completers import complete_checkpoint, complete_strategy, one_of
from tlvcli.cli.options import RUN_PANEL, negated

STRATEGY_PANEL = "Strategy"


RunFolder = Annotated[str | None, typer.Option(metavar="RUN_DIR", help="Folder that the run writes.")]
Resume = Annotated[
    str | None,
    typer.Option(metavar="RUN_DIR", help="Go on with a run that was stopped; needs neither CHECKPOINT nor DATA."),
]
Epochs = Annotated[int | None, typer.Option(show_default="10", help="Passes over the training images.")]
BatchSize = Annotated[int | None, typer.Option(show_default="32", help="Images per batch, over all processes.")]
DryRun = Annotated[
    bool | None, typer.Option("--dry-run", help="Show what would train and at which rate; write nothing.")
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
        autocompletion=one_of("linear"),
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
        show_default="0; non-binary: 1",
        rich_help_panel=STRATEGY_PANEL,
        help="full, two-rate, non-binary: layers that start afresh, from the output.",
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
        autocompletion=one_of("l2-sp"),
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
Crossover = Annotated[
    str | None,
    typer.Option(
        metavar="CHECKPOINT",
        rich_help_panel=STRATEGY_PANEL,
        autocompletion=complete_checkpoint,
        help="Source whose pooled features cross into the network's in training.",
    ),
]
CrossoverP = Annotated[
    float | None,
    typer.Option(
        show_default="0.1 with a source", rich_help_panel=STRATEGY_PANEL, help="Share of features that cross."
    ),
]
RecommendedRates = Annotated[
    bool | None,
    typer.Option(
        "--no-recommended-rates",
        callback=negated,
        rich_help_panel=STRATEGY_PANEL,
        help="Leave out the layers' rates that the checkpoint recommends.",
    ),
]

FeatureCache = Annotated[
    bool | None,
    typer.Option(
        "--no-feature-cache",
        callback=negated,
        rich_help_panel=RUN_PANEL,
        help="Compute a frozen backbone's features in every epoch.",
    ),
]
CheckpointEvery = Annotated[
    int | None,
    typer.Option(
        metavar="STEPS",
        show_default="every epoch",
        rich_help_panel=RUN_PANEL,
        help="Keep a state to resume from between epochs, too.",
    ),
]
Compile = Annotated[bool | None, typer.Option("--compile", rich_help_panel=RUN_PANEL, help="torch.compile.")]
SyncBn = Annotated[
    bool | None,
    typer.Option("--sync-bn", rich_help_panel=RUN_PANEL, help="Batch normalisation over all processes, on CUDA."),
]
Tensorboard = Annotated[
    bool | None, typer.Option("--tensorboard", rich_help_panel=RUN_PANEL, help="Write TensorBoard events, too.")
]
