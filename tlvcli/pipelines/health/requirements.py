"""What tlv says that it needs, from the metadata of its installation, and what is installed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion

DISTRIBUTION = "tlvcli"
# Where a package is imported by another name than it is installed by.
_MODULES = {"pyyaml": "yaml", "pillow": "PIL", "scikit-learn": "sklearn"}


@dataclass(frozen=True)
class Needed:
    """One package that tlv needs; `extra` names the feature that does, None is tlv itself."""

    name: str
    specifier: SpecifierSet
    extra: str | None
    installed: str | None

    @property
    def module(self) -> str:
        """What is imported of it."""
        return _MODULES.get(self.name.lower(), self.name)

    @property
    def fits(self) -> bool:
        """Whether it is installed in a version that will do."""
        return self.installed is not None and contains(self.specifier, self.installed)

    @property
    def words(self) -> str:
        """The requirement as pip takes it: `torch>=2.6`."""
        return f"{self.name}{self.specifier}"


def read_requirements(distribution: str = DISTRIBUTION) -> tuple[Needed, ...]:
    """Return what a distribution needs, itself first, then its extras; nothing where it is not installed."""
    try:
        described = metadata.metadata(distribution)
    except metadata.PackageNotFoundError:
        return ()
    lines = [Requirement(line) for line in described.get_all("Requires-Dist") or ()]
    extras = described.get_all("Provides-Extra") or ()
    return tuple(needed for extra in (None, *extras) for needed in _of_extra(lines, extra))


def contains(specifier: SpecifierSet, version: str) -> bool:
    """Return whether a version is among those that `specifier` allows; nightly builds are."""
    try:
        return specifier.contains(version, prereleases=True)
    except InvalidVersion:  # a build from source may call itself anything
        return True


def installed_version(name: str) -> str | None:
    """Return the version that an installation says it has, or None."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _of_extra(lines: list[Requirement], extra: str | None) -> Iterator[Needed]:
    for line in lines:
        always = line.marker is None or line.marker.evaluate({"extra": ""})
        wanted = always if extra is None else not always and line.marker and line.marker.evaluate({"extra": extra})
        if wanted:
            yield Needed(line.name, line.specifier, extra, installed_version(line.name))
