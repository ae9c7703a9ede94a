"""Processes of cells, and the script that starts them."""

from __future__ import annotations

import sys
from multiprocessing.spawn import get_preparation_data

from tlvcli.pipelines.comparing.jobs import without_script


def test_a_cell_does_not_run_the_script_that_compares() -> None:
    script = sys.modules["__main__"]
    told = {"init_main_from_name", "init_main_from_path"}
    assert told & get_preparation_data("cell").keys()
    with without_script():
        assert not told & get_preparation_data("cell").keys()
    assert sys.modules["__main__"] is script
