"""Findings about tlv itself and the Python that runs it."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.specifiers import SpecifierSet

import tlvcli
from tlvcli.pipelines.health.requirements import DISTRIBUTION, contains
from tlvcli.pipelines.health.result import Finding


def find_program() -> Iterator[Finding]:
    """Yield version and place of tlv, and of Python."""
    place = str(Path(tlvcli.__file__).parent)
    try:
        described = metadata.metadata(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        yield Finding(
            area="program",
            name="tlv",
            status="warning",
            found=f"{tlvcli.__version__}, not installed: what it needs is not known",
            hint="pip install . in its folder",
            detail=place,
        )
    else:
        yield _judge_tlv(described["Version"], place)
        yield _judge_python(described["Requires-Python"])
    yield Finding(area="program", name="platform", status="ok", found=platform.platform())


def _judge_tlv(installed: str, place: str) -> Finding:
    if installed == tlvcli.__version__:
        return Finding(area="program", name="tlv", status="ok", found=installed, detail=place)
    return Finding(
        area="program",
        name="tlv",
        status="warning",
        found=f"{tlvcli.__version__} runs, {installed} is installed",
        hint=f"two copies are here; this one is in {place}: pip install . again in its folder",
        detail=place,
    )


def _judge_python(needed: str | None) -> Finding:
    version = platform.python_version()
    if contains(SpecifierSet(needed or ""), version):
        return Finding(area="program", name="python", status="ok", found=version, detail=sys.executable)
    return Finding(
        area="program",
        name="python",
        status="error",
        found=f"{version}, tlv needs {needed}",
        hint="make an environment with another Python, and install tlv there",
        detail=sys.executable,
    )
