"""Findings about packages: whether each is there, new enough, and can be imported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from typing import Any

from packaging.requirements import Requirement
from packaging.version import InvalidVersion, Version

from tlvcli.pipelines.health.explanations import explain
from tlvcli.pipelines.health.probing import USERS_EXTRAS, Probed
from tlvcli.pipelines.health.requirements import DISTRIBUTION, Needed, contains, installed_version
from tlvcli.pipelines.health.result import Area, Finding

_PURPOSES = {
    "timm": "architectures called timm:NAME",
    "tensorboard": "tlv train --tensorboard",
    "bench": "benchmarks beside other tools",
    "dev": "tlv's own tests",
}
_CHECKED = {"torchvision operators": "torchvision", "torch with numpy": "torch"}


def find_packages(requirements: Sequence[Needed], probed: Probed) -> Iterator[Finding]:
    """Yield a finding for each package that tlv itself needs, and for those that must fit each other."""
    needed = [requirement for requirement in requirements if requirement.extra is None]
    named = {requirement.module for requirement in needed}
    for requirement in needed:
        yield _judge("packages", requirement, probed)
    # Asked for by others: what is not named by us has no bound of ours.
    for module in probed.asked:
        if module not in named and not any(requirement.module == module for requirement in requirements):
            yield _judge_import("packages", module, module, installed_version(module), probed)
    yield from _find_pair(probed)
    yield from (_judge_check(name, probed) for name in _CHECKED if name in probed.checks or _ended_in_checks(probed))


def find_extras(requirements: Sequence[Needed], probed: Probed) -> Iterator[Finding]:
    """Yield a finding for each extra: what it is for, and whether what it needs is there."""
    for extra in dict.fromkeys(requirement.extra for requirement in requirements if requirement.extra):
        of_extra = [requirement for requirement in requirements if requirement.extra == extra]
        purpose = _PURPOSES.get(extra, "no purpose that is known")
        missing = [requirement.name for requirement in of_extra if requirement.installed is None]
        if missing:
            what = "not installed" if len(missing) == len(of_extra) else f"without {', '.join(missing)}"
            hint = f"pip install '{DISTRIBUTION}[{extra}]', if you want {purpose}"
            yield Finding(area="extras", name=extra, status="info", found=what, hint=hint)
        elif extra in USERS_EXTRAS:
            yield from (_judge("extras", requirement, probed) for requirement in of_extra)
        else:
            yield Finding(area="extras", name=extra, status="ok", found=f"installed, for {purpose}")


def _judge(area: Area, needed: Needed, probed: Probed) -> Finding:
    """Return whether a package is there, can be imported and is new enough; only tlv's own needs are errors."""
    found = _judge_import(area, needed.name, needed.module, needed.installed, probed)
    version = _version(probed.modules.get(needed.module, {}), needed.installed)
    if found.status == "ok" and version is not None and not contains(needed.specifier, version):
        old = f"{version}, tlv needs {needed.specifier}"
        hint = f"pip install --upgrade '{needed.words}'"
        found = found.model_copy(update={"status": "error", "found": old, "hint": hint})
    if area == "extras" and found.status == "error":
        found = found.model_copy(update={"status": "warning"})
    return found


def _judge_import(area: Area, name: str, module: str, installed: str | None, probed: Probed) -> Finding:
    answer = probed.modules.get(module)
    if answer is None and module == probed.culprit:
        return Finding(
            area=area,
            name=name,
            status="error",
            found=f"cannot be imported: {probed.ended}",
            hint=explain(name, probed.ended or ""),
        )
    if answer is None or "skipped_for" in answer:
        other = answer["skipped_for"] if answer else probed.culprit
        return Finding(area=area, name=name, status="info", found=f"{installed or 'there'}, not tried without {other}")
    detail = answer.get("file")
    error = answer.get("error")
    if error is not None and installed is None and error.startswith("ModuleNotFoundError") and f"'{module}'" in error:
        return Finding(area=area, name=name, status="error", found="not installed", hint=f"pip install {name}")
    if error is not None:
        return Finding(
            area=area,
            name=name,
            status="error",
            found=f"{installed or 'there'}, cannot be imported: {_first_line(error)}",
            hint=explain(name, error),
            detail=detail,
        )
    version = _version(answer, installed)
    if installed is not None and version is not None and _release(version) != _release(installed):
        return Finding(
            area=area,
            name=name,
            status="warning",
            found=f"{version} is imported, {installed} is installed",
            hint=f"a copy is in the way: {detail}; look at PYTHONPATH",
            detail=detail,
        )
    return Finding(area=area, name=name, status="ok", found=version or "installed", detail=detail)


def _find_pair(probed: Probed) -> Iterator[Finding]:
    """Yield whether this is the torch that torchvision asks for, where it says which."""
    names = ("torch", "torchvision")
    torch, torchvision = (_version(probed.modules.get(name, {}), installed_version(name)) for name in names)
    asked = _asks_for("torchvision", "torch")
    if torch is None or torchvision is None or asked is None:
        return
    if contains(asked.specifier, torch):
        return
    yield Finding(
        area="packages",
        name="torch for torchvision",
        status="warning",
        found=f"torchvision {torchvision} asks for torch{asked.specifier}, here is {torch}",
        hint="pip install --upgrade torch torchvision, both from one index",
    )


def _asks_for(name: str, other: str) -> Requirement | None:
    """Return what an installed package says of another that it needs."""
    try:
        lines = metadata.requires(name) or ()
    except metadata.PackageNotFoundError:
        return None
    return next((line for line in map(Requirement, lines) if line.name == other and line.marker is None), None)


def _judge_check(name: str, probed: Probed) -> Finding:
    answer = probed.checks.get(name)
    error = f"{probed.ended}" if answer is None else answer.get("error")
    if error is None:
        return Finding(area="packages", name=name, status="ok", found="work")
    hint = explain(_CHECKED[name], error)
    return Finding(area="packages", name=name, status="error", found=f"fail: {_first_line(error)}", hint=hint)


def _ended_in_checks(probed: Probed) -> bool:
    return probed.ended is not None and probed.culprit is None and not probed.devices


def _version(answer: Mapping[str, Any], installed: str | None) -> str | None:
    return answer.get("version") or installed


def _release(version: str) -> str:
    """Return a version without what tells builds apart: 2.6.0 of 2.6.0+cu124."""
    try:
        return Version(version).public
    except InvalidVersion:
        return version


def _first_line(error: str) -> str:
    return (error.splitlines() or [error])[0]
