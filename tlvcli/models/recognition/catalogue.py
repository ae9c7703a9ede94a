"""Every tensor of every torchvision classifier, in the order of its state_dict; 40 kB compressed, 1.4 MB as text.

A block of lines for each architecture: its name, then a tensor a line. Of a shape, `classes` and `channels` are open:

    resnet18
    conv1.weight 64,channels,7,7
    bn1.weight 64
"""

from __future__ import annotations

import lzma
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from tlvcli.models.recognition.fingerprint import COUNTER, Shape

# A size, or the word for one that the builder is told.
Template = tuple[int | str, ...]

CLASSES, CHANNELS = "classes", "channels"
_SCALAR = "scalar"


@dataclass(frozen=True)
class Comparison:
    """How tensors differ from those of an architecture; counters of batches do not count."""

    architecture: str
    agreeing: int
    differing: tuple[str, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]

    @property
    def agreement(self) -> float:
        """Share of tensors that agree in name and shape, of the larger of the two sets."""
        shared = self.agreeing + len(self.differing)
        return self.agreeing / max(1, shared + max(len(self.missing), len(self.extra)))


def templates_of(architecture: str) -> dict[str, Template]:
    """Return the tensors of a torchvision classifier, counters among them, in the order of its state_dict."""
    return dict(_parse(line) for line in _blocks()[architecture])


def compare(architecture: str, shapes: Mapping[str, Shape]) -> Comparison:
    """Compare tensors with those of a torchvision classifier of any classes and channels."""
    wanted = {name: template for name, template in templates_of(architecture).items() if not name.endswith(COUNTER)}
    found = {name: shape for name, shape in shapes.items() if not name.endswith(COUNTER)}
    shared = [name for name in wanted if name in found]
    differing = tuple(name for name in shared if not fits(wanted[name], found[name]))
    return Comparison(
        architecture=architecture,
        agreeing=len(shared) - len(differing),
        differing=differing,
        missing=tuple(name for name in wanted if name not in found),
        extra=tuple(name for name in found if name not in wanted),
    )


def fits(template: Template, shape: Shape) -> bool:
    """Say whether a shape is one of those that a template stands for."""
    return len(template) == len(shape) and all(
        isinstance(wanted, str) or wanted == size for wanted, size in zip(template, shape, strict=True)
    )


def closest(shapes: Mapping[str, Shape], *, at_least: float) -> Comparison | None:
    """Return the classifier with the most tensors in common, or None where fewer than `at_least` of them agree."""
    lines = {_format(name, shape) for name, shape in shapes.items() if not name.endswith(COUNTER)}
    shares = {
        name: len(lines & block) / max(len(lines), len(block))
        for name, block in _comparable().items()
        if min(len(lines), len(block)) >= at_least * max(len(lines), len(block))
    }
    # Open tensors never look the same here, so that the best few are compared as they should be.
    best = sorted(shares, key=lambda name: (-shares[name], name))[:3]
    near = max((compare(name, shapes) for name in best), key=lambda comparison: comparison.agreement, default=None)
    return near if near and near.agreement >= at_least else None


@cache
def _blocks() -> Mapping[str, Sequence[str]]:
    data = resources.files(__package__).joinpath("torchvision_tensors.txt.xz").read_bytes()
    blocks = (block.splitlines() for block in lzma.decompress(data).decode().split("\n\n"))
    return {name: lines for name, *lines in blocks}


@cache
def _comparable() -> Mapping[str, frozenset[str]]:
    return {
        name: frozenset(line for line in lines if not line.endswith(f"{COUNTER} {_SCALAR}"))
        for name, lines in _blocks().items()
    }


def _parse(line: str) -> tuple[str, Template]:
    name, _, sizes = line.partition(" ")
    if sizes == _SCALAR:
        return name, ()
    return name, tuple(size if size in (CLASSES, CHANNELS) else int(size) for size in sizes.split(","))


def _format(name: str, template: Template) -> str:
    return f"{name} {','.join(map(str, template)) or _SCALAR}"


def format_catalogue(architectures: Mapping[str, Mapping[str, Template]]) -> str:
    """Return the text whose compressed form ships with the package."""
    return "\n\n".join(
        "\n".join([architecture, *(_format(name, template) for name, template in tensors.items())])
        for architecture, tensors in architectures.items()
    )
