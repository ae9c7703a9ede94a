"""Which output of the network stands for which class of the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from tlvcli.core.errors import TlvError
from tlvcli.models.imagenet import NUM_CLASSES, imagenet_class_names, imagenet_wnids
from tlvcli.pipelines.evaluating.result import MatchedBy

ClassMap = Mapping[str, str | int]
_SHOWN_NAMES = 5
_UNNAMED = "the checkpoint does not name its classes"


@dataclass(frozen=True)
class MatchedClasses:
    """`outputs` has the network's output for every class of the data, `names` what each output stands for."""

    outputs: tuple[int, ...]
    names: tuple[str, ...]
    matched_by: MatchedBy
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Head:
    """What is known of the outputs: names, of ImageNet's also WordNet's numbers; `named` is whether the file says."""

    num_classes: int
    names: tuple[str, ...]
    wnids: tuple[str, ...]
    named: bool

    def find(self, word: str) -> int | None:
        """Return the output of this name or number of WordNet's."""
        return next((words.index(word) for words in (self.names, self.wnids) if word in words), None)

    def nearest(self, word: str) -> str | None:
        """Return the name that a misspelt one, or its plural, may mean."""
        return next(iter(get_close_matches(word, self.names, n=1)), None)


def match_classes(
    names: tuple[str, ...] | None,
    num_classes: int,
    class_names: tuple[str, ...],
    data: str,
    class_map: ClassMap | None = None,
) -> MatchedClasses:
    """Match `class_names` of the data with the outputs, which the checkpoint's `names` name, or None does.

    By the map, where there is one; else all by name or by ImageNet's numbers (n01440764), or all by the number of the
    output; a checkpoint without names and as many outputs as the data have classes takes them in their order.

    Raises:
        TlvError: `classes-mismatch` or `class-map-invalid`, naming the classes.
    """
    head = _describe_head(names, num_classes)
    if class_map is not None:
        return _match_by_map(head, class_names, data, class_map)
    found = [head.find(name) for name in class_names]
    outputs = tuple(output for output in found if output is not None)
    if len(outputs) == len(found):
        by_name = set(class_names) <= set(head.names)
        return _matched(head, class_names, outputs, "name" if by_name else "wnid", data)
    # Without names, as many classes are those of the folder that it was trained on, which torchvision sorts as text.
    in_order = not head.named and num_classes == len(class_names)
    numbered = all(name.isdecimal() and int(name) < num_classes for name in class_names)
    if numbered and (num_classes == NUM_CLASSES or not in_order):
        return _matched(head, class_names, tuple(map(int, class_names)), "index", data)
    if in_order:
        said = f"{_UNNAMED}: they were taken in the order of the data's"
        return MatchedClasses(tuple(range(num_classes)), class_names, "index", (said,))
    raise _mismatch(head, class_names, data)


def _describe_head(names: tuple[str, ...] | None, num_classes: int) -> _Head:
    if num_classes != NUM_CLASSES:
        return _Head(num_classes, names or (), (), names is not None)
    imagenet = imagenet_class_names()
    wnids = imagenet_wnids() if names in (None, imagenet) else ()
    return _Head(num_classes, names or imagenet, wnids, names is not None)


def _match_by_map(head: _Head, class_names: tuple[str, ...], data: str, class_map: ClassMap) -> MatchedClasses:
    outputs = tuple(_resolve(head, name, class_map.get(name), data) for name in class_names)
    matched = _matched(head, class_names, outputs, "map", data)
    unused = sorted(set(class_map) - set(class_names))
    if not unused:
        return matched
    return replace(
        matched, warnings=(*matched.warnings, f"the class map names {_some(unused)}, which {data} does not have")
    )


def _resolve(head: _Head, folder: str, mapped: str | int | None, data: str) -> int:
    value = folder if mapped is None else mapped
    text = str(value)
    output = head.find(value) if isinstance(value, str) else None
    if output is None and text.isdecimal() and int(text) < head.num_classes:
        output = int(text)
    if output is not None:
        return output
    near = head.nearest(text)
    raise TlvError(
        "class-map-invalid",
        f"{data}: {folder} is {'not in the map' if mapped is None else f'mapped to {text}'}, and the checkpoint has no "
        f"such class among its {head.num_classes:,}",
        f"did you mean {near}?" if near else f"name one of its classes, or an output from 0 to {head.num_classes - 1}",
    )


def _matched(
    head: _Head, class_names: tuple[str, ...], outputs: tuple[int, ...], matched_by: MatchedBy, data: str
) -> MatchedClasses:
    warnings = []
    if not head.named:
        took = "took those of ImageNet for its 1,000 outputs" if head.names else "what the data do not name is a number"
        warnings.append(f"{_UNNAMED}: {took}")
    taken = len(set(outputs))
    if taken < head.num_classes:
        warnings.append(
            f"{data} has {taken:,} of the checkpoint's {head.num_classes:,} classes; "
            "the network still chooses among all"
        )
    own = dict(zip(outputs, class_names, strict=True))
    names = head.names or tuple(own.get(output, str(output)) for output in range(head.num_classes))
    return MatchedClasses(outputs, names, matched_by, tuple(warnings))


def _mismatch(head: _Head, class_names: tuple[str, ...], data: str) -> TlvError:
    if all(name.isdecimal() for name in class_names):
        outside = [name for name in class_names if int(name) >= head.num_classes]
        return TlvError(
            "classes-mismatch",
            f"{data} has {_some(outside)}; the checkpoint's outputs are 0 to {head.num_classes - 1}",
            "--class-map says which output each class is; tlv train gives it a head for these data",
        )
    if not head.names:
        return TlvError(
            "classes-mismatch",
            f"the checkpoint has {head.num_classes} classes, {data} has {len(class_names)}",
            "--class-map says which output each class is; tlv train gives it a head for these data",
        )
    unknown = [name for name in class_names if head.find(name) is None]
    knows = _some(head.names) if head.named else f"ImageNet's 1,000, as {_some(head.names[:2])} or {head.wnids[0]}"
    near = head.nearest(unknown[0])
    if all(name.isdecimal() and int(name) < head.num_classes for name in unknown):
        return TlvError(
            "classes-mismatch",
            f"{data} names some classes and numbers others: {_some(unknown)}",
            f"name all folders in one way, or say so: --class-map FILE with a line {unknown[0]}: {unknown[0]}",
        )
    return TlvError(
        "classes-mismatch",
        f"{data} has {_some(unknown)}; the checkpoint knows only {knows}",
        f"if {unknown[0]} is {near}, say so: --class-map FILE with a line {unknown[0]}: {near}"
        if near
        else "--class-map says which class of the checkpoint each is; tlv train gives it a head for these",
    )


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN_NAMES
    return ", ".join(names[:_SHOWN_NAMES]) + (f" and {more} more" if more > 0 else "")
