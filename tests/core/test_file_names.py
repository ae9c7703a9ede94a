"""What is no character never reaches a report, a table or a page."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tlvcli.core.file_names import as_text
from tlvcli.core.report import Gate, Report, ReportPart, RunInfo
from tlvcli.io.csv_files import write_csv
from tlvcli.io.pages import write_page


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("plain äßλ 層.png", "plain äßλ 層.png"),
        (os.fsdecode(b"caf\xe9.png"), "caf\ufffd.png"),
        (os.fsdecode(b"\xff\xfe"), "\ufffd\ufffd"),
        ("half \ud800", "half \ufffd"),
    ],
)
def test_bytes_that_are_no_characters_are_replaced(name: str, text: str) -> None:
    assert as_text(name) == text
    assert text.encode()


def test_reports_tables_and_pages_take_any_name(tmp_path: Path) -> None:
    odd = os.fsdecode(b"\xff.png")
    report = Report[ReportPart](
        schema_id="tlv.x/1",
        tlv_version="0",
        run=RunInfo(started_at="", seconds=0.0, host="", device="none", versions={}),
        inputs=[],
        config={},
        result=ReportPart(),
        outputs=[],
        warnings=[f"left out {odd}"],
        gates=[Gate(flag="--x", met=True, message=odd)],
    )
    assert json.loads(report.to_json())["warnings"] == ["left out \ufffd.png"]
    assert report.gates[0].message == "\ufffd.png"
    write_csv(tmp_path / "a.csv", ["path"], [[odd]], force=False)
    write_page(tmp_path / "a.html", f"<p>{odd}</p>", force=False)
    assert (tmp_path / "a.csv").read_text("utf-8") == "path\n\ufffd.png\n"
    assert (tmp_path / "a.html").read_text("utf-8") == "<p>\ufffd.png</p>"
