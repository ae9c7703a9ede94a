"""Every error that the package can raise is explained, and nothing else is."""

from __future__ import annotations

import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_error_id_is_explained_once() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "error_ids.py"))
    ids, expressions = page["raised_ids"]()
    explained = [name for errors in page["explanations"]().values() for name in errors]
    assert len(explained) == len(set(explained)) > 100
    assert sorted(ids - set(explained)) == [], "explain these in docs/errors.yaml"
    assert sorted(set(explained) - ids) == [], "no such error: take it out of docs/errors.yaml"
    assert expressions <= page["PASSED_ON"], "an id that is computed: write it out, or say where it comes from"


def test_every_explanation_says_what_it_means_and_what_to_do() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "error_ids.py"))
    text = page["format_errors"]()
    for errors in page["explanations"]().values():
        for name, told in errors.items():
            assert set(told) == {"means", "do"}, name
            assert all(sentence.endswith(".") and "|" not in sentence for sentence in told.values()), name
            assert text.count(f"| `{name}` |") == 1
