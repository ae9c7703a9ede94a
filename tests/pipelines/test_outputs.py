"""Names of outputs that cannot be: refused before the work."""

from __future__ import annotations

from pathlib import Path

import pytest

from tlvcli.core.errors import TlvError
from tlvcli.pipelines.outputs import refuse_same


def test_one_file_cannot_be_two_outputs_under_two_names(tmp_path: Path) -> None:
    refuse_same([tmp_path / "a.csv", tmp_path / "a.html"])
    with pytest.raises(TlvError) as caught:
        refuse_same([tmp_path / "a.csv", tmp_path / "b.html", tmp_path / "x" / ".." / "a.csv"])
    assert caught.value.error_id == "output-twice"
    assert "a.csv" in caught.value.message
