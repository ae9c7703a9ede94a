"""How a grid looks while it runs."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from tlvcli.cli.compare_progress import _draw, duration, shown_grid
from tlvcli.pipelines.comparing.news import News, RunningCell, Standing

STANDING = Standing(
    total=12,
    done=3,
    failed=1,
    running=[
        RunningCell("vgg16/tlv/full seed 1", News("train", 4, 0.45, 0.912, 10), 125.0),
        RunningCell("vgg16/he/full seed 2", News("transfer"), 2.0),
        RunningCell("squeezenet1_1-imagenet/coherent+fit+calibrate/two-rate seed 0", News("eval"), 3599.0),
    ],
    seconds_left=4020.0,
)


def _drawn(width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(_draw(STANDING, width))
    lines: list[str] = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    return lines


def test_the_table_says_where_each_cell_and_the_grid_stand() -> None:
    lines = _drawn(100)
    assert lines[1].split() == [
        "vgg16/tlv/full",
        "seed",
        "1",
        "█████████",
        "5",
        "of",
        "10",
        "91.20%",
        "2",
        "min",
        "5",
        "s",
    ]
    assert lines[2].split() == ["vgg16/he/full", "seed", "2", "transfer", "2", "s"]
    assert lines[4].strip() == "3 of 12 cells trained, 3 running, 1 failed, about 1 h 7 min left"


def test_a_narrow_terminal_gets_the_ends_of_names_and_every_figure() -> None:
    lines = _drawn(80)
    assert max(map(len, lines)) <= 80
    assert lines[1].split()[3:] == ["████▌", "5", "of", "10", "91.20%", "2", "min", "5", "s"]
    assert lines[3].startswith("squeezenet1_1-ima…/two-rate seed 0 ")
    assert lines[3].split()[3:] == ["eval", "59", "min", "59", "s"]


def test_without_a_terminal_only_lines_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_grid(quiet=False) as watcher:
        watcher.show(STANDING)
        watcher.message("vgg16/tlv/full seed 0: val top-1 91.20%, 12 s; 1 of 12 cells")
    with shown_grid(quiet=True) as silent:
        silent.show(STANDING)
        silent.message("nothing")
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "vgg16/tlv/full seed 0: val top-1 91.20%, 12 s; 1 of 12 cells\n"


@pytest.mark.parametrize(("seconds", "said"), [(0.4, "0 s"), (61, "1 min 1 s"), (7260, "2 h 1 min")])
def test_a_time_has_its_two_largest_units(seconds: float, said: str) -> None:
    assert duration(seconds) == said
