"""The screen of `tlv doctor` on a narrow terminal."""

from __future__ import annotations

import re

import pytest

from tests.pipelines.evaluating.made_results import RAN
from tlvcli.cli.render_doctor import render
from tlvcli.core.report import Report
from tlvcli.pipelines.health.result import DoctorResult, Finding

WORDS = "not tried; --online asks the server that has the weights of ARCH@WEIGHTS"
HINT = "pip install 'tlvcli[tensorboard]', if you want tlv train --tensorboard"


def test_further_lines_start_below_the_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("COLUMNS", "80"), ("FORCE_COLOR", "1"), ("NO_COLOR", "1")):
        monkeypatch.setenv(name, value)
    finding = Finding(area="network", name="torchvision operators", status="info", found=WORDS, hint=HINT)
    result = DoctorResult(errors=0, warnings=0, findings=[finding])
    report = Report[DoctorResult](
        schema_id="tlv.doctor/1",
        tlv_version="0",
        run=RAN,
        inputs=[],
        config={},
        result=result,
        outputs=[],
        warnings=[],
    )
    render(report, verbose=False, quiet=False)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    found, hints = lines[:2], lines[2:-2]
    place = found[0].index("not tried")
    assert found[1][:place].isspace()
    assert " ".join(line[place:] for line in found) == WORDS
    assert hints[0][place:].startswith("hint: ")
    assert " ".join(line[place + len("hint: ") :] for line in hints) == HINT
    assert max(map(len, lines)) <= 80
    assert lines[-2:] == ["", "all well"]
