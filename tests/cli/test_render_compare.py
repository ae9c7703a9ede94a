"""The table of a comparison as terminals have room for it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tlvcli.cli.render_compare import render
from tlvcli.core.report import Report, RunInfo
from tlvcli.pipelines.comparing.result import CompareResult, PointResult, Spread, VariantResult
from tlvcli.pipelines.comparing.significance import Difference

METHODS = ("he", "coherent", "coherent+calibrate", "coherent+fit+calibrate")
SPREAD = Spread(seeds=[0, 1, 2], values=[0.9, 0.91, 0.92], mean=0.91, spread=0.01)
DIFFERENCE = Difference(seeds=3, mean=0.012, low=-0.004, high=0.028, p=0.02, p_holm=0.06)


def _variant(method: str, strategy: str, *, is_baseline: bool) -> VariantResult:
    points = [
        PointResult(settings={"train.lr": lr}, is_default=lr == 0.1, is_chosen=lr == 0.01, val=SPREAD, test=SPREAD)
        for lr in (0.1, 0.01)
    ]
    return VariantResult(
        name=f"squeezenet1_1-imagenet/{method}/{strategy}",
        source="squeezenet1_1-imagenet.pth",
        method=method,
        strategy=strategy,
        is_baseline=is_baseline,
        points=points,
        settings={"train.lr": 0.01},
        coverage=0.5,
        val=SPREAD,
        test=SPREAD,
        default_test=SPREAD,
        curve=[],
        epochs_to_baseline=3,
        difference=None if is_baseline else DIFFERENCE,
    )


def _report(*methods: str, strategies: tuple[str, ...] = ("full",)) -> Report[CompareResult]:
    pairs = [(method, strategy) for method in methods for strategy in strategies]
    variants = [_variant(*pair, is_baseline=place == 0) for place, pair in enumerate(pairs)]
    result = CompareResult(
        target_arch="resnet18",
        test_data="photos@test",
        num_cells=24,
        num_trained=24,
        num_failed=0,
        jobs=2,
        threads=1,
        disk_bytes=10**9,
        baseline=variants[0].name,
        baseline_final=0.905,
        compared_by="test",
        winner=variants[-1].name,
        winner_checkpoint=None,
        variants=variants,
        cells=[],
    )
    run = RunInfo(started_at="2025-01-01T00:00:00Z", seconds=1.0, host="here", device="cpu", versions={})
    return Report[CompareResult](
        schema_id="tlv.compare/1",
        tlv_version="0",
        run=run,
        inputs=[],
        config={"dry_run": False},
        result=result,
        outputs=[],
        warnings=[],
    )


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Return the lines that a terminal of so many columns gets, or a pipe for None."""

    def show(report: Report[CompareResult], columns: int | None) -> list[str]:
        if columns:
            for name, value in (("COLUMNS", str(columns)), ("FORCE_COLOR", "1"), ("NO_COLOR", "1")):
                monkeypatch.setenv(name, value)
        render(report, verbose=False)
        text: str = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
        return text.splitlines()

    return show


@pytest.mark.parametrize("columns", [80, 100, 160])
@pytest.mark.parametrize("strategies", [("full",), ("full", "two-rate")])
def test_it_fits(shown: Any, columns: int, strategies: tuple[str, ...]) -> None:
    lines = shown(_report(*METHODS, strategies=strategies), columns)
    assert max(map(len, lines)) <= columns
    said = " ".join(" ".join(lines).split())
    assert said.count("91.00") == 3 * 4 * len(strategies) + 2  # val, test, default; and the best once more
    assert all(method in said for method in METHODS)
    assert "+1.20" in said
    assert "0.060" in said


def test_a_wide_terminal_gets_the_intervals(shown: Any) -> None:
    report = _report(*METHODS, strategies=("full", "two-rate"))
    wide, narrow = ("\n".join(shown(report, columns)) for columns in (160, 80))
    assert "+1.20 (-0.40 to +2.80)" in wide
    assert "with the 95 % interval" in " ".join(wide.split())
    assert "(-0.40" not in narrow
    assert "95 % intervals are in compare.md" in " ".join(narrow.split())


def test_a_narrow_one_gets_long_names_above_their_figures(shown: Any) -> None:
    lines = shown(_report(*METHODS, strategies=("full", "two-rate")), 80)
    place = lines.index("coherent+fit+calibrate, two-rate, lr 0.01")
    assert " ".join(lines[place + 1].split()) == "91.00 ±1.00 91.00 ±1.00 91.00 ±1.00 +1.20 0.060 3"
    ends = [len(line) for line in (lines[0], lines[place + 1])]
    assert ends[0] == ends[1]


def test_short_names_stand_beside_their_figures(shown: Any) -> None:
    lines = shown(_report("he", "tlv"), 80)
    assert lines[0].split()[0] == "method"
    assert lines[1].split()[:3] == ["he", "lr", "0.01"]


def test_a_pipe_gets_a_line_for_each_variant(shown: Any) -> None:
    lines = shown(_report(*METHODS), None)
    assert [line.split()[0] for line in lines[1:5]] == list(METHODS)
    assert all("(-0.40 to +2.80)" in line for line in lines[2:5])


def _with_difference(difference: Difference) -> Report[CompareResult]:
    report = _report("he", "tlv", "coherent")
    variants = [
        variant if variant.is_baseline else variant.model_copy(update={"difference": difference})
        for variant in report.result.variants
    ]
    return report.model_copy(update={"result": report.result.model_copy(update={"variants": variants})})


def test_two_seeds_have_an_interval_and_no_p(shown: Any) -> None:
    # Of 1 and 1.02 points: their p is small by the luck of lying close.
    found = Difference(seeds=2, mean=0.0101, low=0.0088, high=0.0114, p=0.006, p_holm=0.012)
    lines = shown(_with_difference(found), None)
    assert lines[0].split()[-4:-1] == ["difference", "epochs", "to"]
    assert "(+0.88 to +1.14)" in lines[1 + 1]
    said = " ".join(lines)
    assert "no p: two seeds are too few for a test" in said
    assert "With 2 seeds a difference is told from chance only beyond 9.0 times" in said
    assert "0.012" not in said
    assert "may be chance." not in said


@pytest.mark.parametrize(("seeds", "p", "reach", "is_chance"), [(3, 0.06, "2.5", True), (5, 0.01, None, False)])
def test_a_reader_is_kept_from_taking_chance_for_a_gain(
    shown: Any, seeds: int, p: float, reach: str | None, is_chance: bool
) -> None:
    found = Difference(seeds=seeds, mean=0.01, low=0.001, high=0.02, p=p / 2, p_holm=p)
    said = " ".join(shown(_with_difference(found), None))
    assert "p: t-test paired over seeds, adjusted by Holm for all rows" in said
    assert ("told from chance only beyond" in said) == (reach is not None)
    assert f"beyond {reach} times" in said or reach is None
    assert ("That coherent differs from he at all may be chance." in said) == is_chance
    assert "for other seeds on the same images, not for other images." in said
