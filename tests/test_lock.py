"""requirements-dev.txt pins what pyproject.toml asks for, once for every Python, and says nothing of where from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PINS = [Requirement(line) for line in (ROOT / "requirements-dev.txt").read_text().splitlines()]


def _wanted() -> list[Requirement]:
    """Read the lists of pyproject.toml as text: Python 3.10 has no reader of TOML."""
    text = (ROOT / "pyproject.toml").read_text()
    lists = re.findall(r"^(?:dependencies|bench|dev) = \[(.*?)\]", text, re.MULTILINE | re.DOTALL)
    return [Requirement(quoted) for each in lists for quoted in re.findall(r'"([^"]+)"', each)]


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
def test_each_requirement_has_one_pin_that_fits(python: str) -> None:
    here = {**default_environment(), "python_version": python, "python_full_version": f"{python}.9"}
    pinned: dict[str, str] = {}
    for pin in PINS:
        (specifier,) = pin.specifier
        assert (specifier.operator, pin.url) == ("==", None)
        if pin.marker is None or pin.marker.evaluate(here):
            assert canonicalize_name(pin.name) not in pinned, pin
            pinned[canonicalize_name(pin.name)] = specifier.version
    wanted = _wanted()
    assert len(wanted) > 20
    for requirement in wanted:
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), requirement
