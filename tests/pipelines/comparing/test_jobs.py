"""Processes of cells, and the script that starts them."""

from __future__ import annotations

import sys
from multiprocessing.spawn import get_preparation_data
from types import ModuleType

import pytest

from tlvcli.pipelines.comparing.jobs import without_script


def test_a_cell_does_not_run_the_script_that_compares(monkeypatch: pytest.MonkeyPatch) -> None:
    script = ModuleType("__main__")
    script.__file__ = "compare_starts.py"
    monkeypatch.setitem(sys.modules, "__main__", script)
    assert get_preparation_data("cell")["init_main_from_path"].endswith("compare_starts.py")
    with without_script():
        assert not {"init_main_from_name", "init_main_from_path"} & get_preparation_data("cell").keys()
    assert sys.modules["__main__"] is script
