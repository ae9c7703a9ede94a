"""The commands of `tlv`, put together; importing this loads neither torch nor pydantic."""

from __future__ import annotations

from typing import Annotated

import typer

from tlvcli import __version__
from tlvcli.cli.analyze_stats import analyze_stats
from tlvcli.cli.compare import compare
from tlvcli.cli.convert import convert
from tlvcli.cli.doctor import doctor
from tlvcli.cli.eval import evaluate
from tlvcli.cli.help import Command, Group
from tlvcli.cli.inspect import inspect
from tlvcli.cli.predict import predict
from tlvcli.cli.train import train
from tlvcli.cli.transfer import transfer

app = typer.Typer(
    name="tlv",
    cls=Group,
    help="Transfer learning for computer vision on checkpoint files.\n\n"
    "Example: tlv transfer vgg16.pth resnet18 start.safetensors --num-classes 10",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tlv {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    pass


app.command("inspect", cls=Command)(inspect)
app.command("transfer", cls=Command)(transfer)
app.command("analyze-stats", cls=Command)(analyze_stats)
app.command("train", cls=Command)(train)
app.command("eval", cls=Command)(evaluate)
app.command("predict", cls=Command)(predict)
app.command("convert", cls=Command)(convert)
app.command("compare", cls=Command)(compare)
app.command("doctor", cls=Command)(doctor)
