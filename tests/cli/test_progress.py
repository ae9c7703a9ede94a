"""Progress on a terminal: a bar that fits, with rate and remaining time; elsewhere lines."""

from __future__ import annotations

import io

import pytest
from rich.progress import Progress

from tlvcli.cli.console import messages
from tlvcli.cli.progress import progress_columns, shown_progress


@pytest.mark.parametrize("width", [80, 160])
def test_the_bar_fits_and_says_rate_and_remaining_time(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    console = messages()
    console.file = io.StringIO()
    clock = iter(range(1000))  # a second passes between one look and the next
    bar = Progress(*progress_columns(width), console=console, get_time=lambda: float(next(clock)), auto_refresh=False)
    name = "features run/with/a/very/long/name/of/a/checkpoint/best.safetensors cifar10 test"
    task = bar.add_task(name, total=40)
    for _ in range(20):
        bar.advance(task)
    console.print(bar.get_renderable())
    (line,) = console.file.getvalue().splitlines()
    assert len(line.rstrip()) <= width
    assert "20/40" in line
    speed = bar.tasks[0].speed
    assert speed is not None
    assert f"{speed:.3g}/s" in line
    minutes, seconds = divmod(-(-20 // speed), 60)
    assert line.rstrip().endswith(f"{int(minutes):02}:{int(seconds):02}")


def test_without_a_terminal_only_messages_come(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_progress(quiet=False) as progress:
        progress.start(3, "epoch 1/1")
        progress.advance()
        progress.message("epoch 1/1: train loss 1.0")
    assert capsys.readouterr() == ("", "epoch 1/1: train loss 1.0\n")
    with shown_progress(quiet=True) as progress:
        progress.message("epoch 1/1: train loss 1.0")
    assert capsys.readouterr() == ("", "")
