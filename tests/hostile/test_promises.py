"""docs/reliability.md promises nothing without a test, and no limit but those of the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.hostile.corpus import all_cases
from tlvcli.io import config_files, left_out, pickle_scan, plan_files, sharded, stored_tensors, strict_json, zip_archive
from tlvcli.io.safetensors_header import MAX_DIMENSIONS, MAX_HEADER_BYTES

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")


def test_every_test_that_is_named_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)
    assert len(named) > 20
    for file, name in named:
        functions = {
            node.name for node in ast.parse((ROOT / file).read_text()).body if isinstance(node, ast.FunctionDef)
        }
        assert name in functions, f"{file}::{name}"


def test_every_promise_names_one() -> None:
    tables = re.findall(r"\| promise \| test \|\n\|---\|---\|\n((?:\|.*\|\n)+)", TEXT)
    rows = [row for table in tables for row in table.splitlines()]
    assert len(tables) == 6
    assert all(re.search(r"`tests/[\w/]+\.py::\w+` ?", row) for row in rows), rows


def test_the_limits_are_those_of_the_code() -> None:
    for words in (
        f"{MAX_HEADER_BYTES:,} bytes, {strict_json.MAX_VALUES:,} values",
        f"{sharded.MAX_INDEX_BYTES:,} bytes, {strict_json.MAX_VALUES:,} values",
        f"{pickle_scan.MAX_PICKLE_BYTES:,} bytes, {pickle_scan.MAX_STEPS:,} steps",
        f"{MAX_DIMENSIONS} dimensions; {pickle_scan.MAX_REPEATS} times the elements",
        f"{stored_tensors.MAX_RATIO} times the bytes of the file, from {stored_tensors.FREE_BYTES // 10**6} MB on",
        f"{zip_archive.MAX_RATIO} times its own bytes, from {zip_archive.FREE_BYTES // 10**6} MB on",
        f"a table of contents of {zip_archive.MAX_DIRECTORY_BYTES:,} bytes",
        f"| {left_out.MAX_VALUES:,}, counted",
        f"{plan_files.MAX_PLAN_BYTES:,} bytes, {plan_files.MAX_EVENTS:,} values",
        f"{config_files.MAX_CONFIG_BYTES:,} bytes, {config_files.MAX_EVENTS:,} values",
    ):
        assert words in TEXT


def test_the_number_of_files_is_that_of_the_corpus() -> None:
    (table,) = re.findall(r"\| files \|.*\n\|[-|]+\n((?:\|.*\|\n)+)", TEXT)
    columns = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()]
    cases = all_cases().values()
    assert sum(int(column[1]) for column in columns) == len(cases)
    assert sum(int(column[2]) for column in columns) == sum(not case.needs_torch for case in cases)
