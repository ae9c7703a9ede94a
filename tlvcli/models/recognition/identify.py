"""The architecture that a checkpoint is, or nearly is: torchvision's first, then timm's, then the closest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from tlvcli.core.errors import printable
from tlvcli.core.graph import TensorSpec
from tlvcli.models.recognition.catalogue import Comparison, closest, compare
from tlvcli.models.recognition.fingerprint import Fingerprints, take_fingerprints
from tlvcli.models.recognition.index import Library, load_index
from tlvcli.models.recognition.match import Match, find_matches
from tlvcli.models.recognition.result import RecognisedPart, Recognition, say_counts, say_match, say_prefix

# Below this share of agreeing tensors "like resnet18, but ..." misleads more than it helps.
_AT_LEAST = 0.6
# A wrapped network is at least this part of what a file holds: one of two, with something beside them.
_SMALLEST_SHARE = 0.2
_FEWEST_TENSORS = 8
_DEEPEST_PREFIX = 3
_MOST_PREFIXES = 8
# Three times what the largest known has; a language model of many experts is not worth hashing.
_MOST_TENSORS = 10_000


@dataclass(frozen=True)
class _View:
    """The tensors below one prefix, by the rest of their names, and the names of all others."""

    prefix: str
    found: Fingerprints
    beside: tuple[str, ...]


def identify(specs: Sequence[TensorSpec]) -> Recognition | None:
    """Return which architecture of torchvision or timm these tensors are, or nearly are; needs no torch."""
    views = list(_views(specs))
    matches = list(_matches(views, "torchvision"))
    if not any(match.is_complete for _, match in matches):
        matches += _matches(views, "timm")
    if matches:
        # The first is best where all else is equal: torchvision before timm, the shorter prefix before the longer.
        view, match = min(matches, key=lambda pair: pair[1].num_deviations)
        return _recognised(view, match)
    return _closest(views)


def _views(specs: Sequence[TensorSpec]) -> Iterator[_View]:
    shapes = {spec.name: spec.shape for spec in specs}
    for prefix in ["", *_prefixes(shapes)]:
        inner = {name[len(prefix) :]: shape for name, shape in shapes.items() if name.startswith(prefix)}
        if len(inner) <= _MOST_TENSORS:
            beside = tuple(name for name in shapes if not name.startswith(prefix))
            yield _View(prefix, take_fingerprints(inner), beside)


def _prefixes(names: Collection[str]) -> list[str]:
    """Return the beginnings that many names share, those of most names first."""
    counts: Counter[str] = Counter()
    for name in names:
        parts = name.split(".")
        counts.update(".".join(parts[:depth]) + "." for depth in range(1, min(len(parts), _DEEPEST_PREFIX + 1)))
    fewest = max(_FEWEST_TENSORS, _SMALLEST_SHARE * len(names))
    return [prefix for prefix, count in counts.most_common(_MOST_PREFIXES) if count >= fewest]


def _matches(views: Sequence[_View], library: Library) -> Iterator[tuple[_View, Match]]:
    for view in views:
        for match in find_matches(view.found, load_index(library)):
            yield view, match


def _recognised(view: _View, match: Match) -> Recognition:
    architecture, *also = match.names
    parts = [
        RecognisedPart(
            module=part.part.module,
            role="auxiliary head" if part.is_auxiliary else part.part.role,
            state=part.state,
        )
        for part in match.parts
    ]
    is_whole = match.num_deviations == 0
    comparison = None if architecture.startswith("timm:") or is_whole else compare(architecture, view.found.shapes)
    return Recognition(
        sentence=say_match(match.names, match.size("head"), match.size("stem"), parts)
        + printable(say_prefix(view.prefix, view.beside)),
        architecture=architecture,
        also=also,
        exact=is_whole and not view.prefix,
        num_classes=match.size("head"),
        in_chans=match.size("stem"),
        prefix=view.prefix,
        beside=list(view.beside),
        parts=parts,
        agreement=1.0 if is_whole else comparison.agreement if comparison else None,
        differing=list(comparison.differing) if comparison else [],
        missing=list(comparison.missing) if comparison else [],
        extra=list(comparison.extra) if comparison else [],
    )


def _closest(views: Sequence[_View]) -> Recognition | None:
    near = [(view, closest(view.found.shapes, at_least=_AT_LEAST)) for view in views]
    candidates = [(view, comparison) for view, comparison in near if comparison is not None]
    if not candidates:
        return None
    view, comparison = max(candidates, key=lambda pair: pair[1].agreement)
    return _nearly(view, comparison)


def _nearly(view: _View, comparison: Comparison) -> Recognition:
    counts = say_counts(len(comparison.differing), len(comparison.missing), len(comparison.extra))
    return Recognition(
        sentence=f"like {comparison.architecture}, but {counts}" + printable(say_prefix(view.prefix, view.beside)),
        architecture=comparison.architecture,
        also=[],
        exact=False,
        num_classes=None,
        in_chans=None,
        prefix=view.prefix,
        beside=list(view.beside),
        parts=[],
        agreement=comparison.agreement,
        differing=list(comparison.differing),
        missing=list(comparison.missing),
        extra=list(comparison.extra),
    )
