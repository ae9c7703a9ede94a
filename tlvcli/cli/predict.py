"""`tlv predict`: what images show."""

from __future__ import annotations

import io
import sys
from typing import Any

import typer

from tlvcli.cli import eval_options as e
from tlvcli.cli import options as o
from tlvcli.cli import predict_options as p


def predict(
    context: typer.Context,
    checkpoint: o.Checkpoint = None,
    images: p.Images = None,
    null: p.Null = None,
    top: p.Top = None,
    batch_size: o.ForwardBatch = None,
    image_size: e.ImageSize = None,
    resize: e.Resize = None,
    mean: e.Mean = None,
    std: e.Std = None,
    interpolation: e.Interpolation = None,
    arch: o.Arch = None,
    key: o.Key = None,
    seed: o.Seed = None,
    device: o.Device = None,
    precision: o.ExactPrecision = None,
    workers: o.Workers = None,
    offline: o.Offline = None,
    csv: p.Csv = None,
    jsonl: p.Jsonl = None,
    features: p.Features = None,
    report: o.ReportFile = None,
    force: o.Force = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
    debug: o.Debug = False,
    config: o.ConfigFile = None,
    set: o.Assignments = None,
) -> int:
    """Say what IMAGES show by CHECKPOINT, or write the features that its classifier gets; images need no labels.

    Example: tlv predict run/best.safetensors photos --top 5
    """
    from tlvcli.cli.progress import shown_progress
    from tlvcli.cli.render_predict import lines_to, refuse_two_streams, refuse_unreadable, render
    from tlvcli.cli.running import read_config, show_report
    from tlvcli.pipelines.predict import run
    from tlvcli.pipelines.predicting.config import PredictConfig

    settings: Any = read_config(context, PredictConfig)
    refuse_two_streams(settings, as_json=json)
    # Before there is a bar: while one is shown, rich sends what is printed to the stream of the bar.
    each = lines_to(sys.stdout, alone=not (settings.csv or report)) if settings.jsonl else None
    names = sys.stdin.buffer if sys.stdin else io.BytesIO()
    with shown_progress(quiet=quiet or (settings.jsonl and sys.stdout.isatty())) as progress:
        result: Any = run(settings, standard_input=names, progress=progress, each=each)
    return show_report(context, result, render) or refuse_unreadable(result, quiet=quiet)
