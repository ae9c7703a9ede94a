"""Where in a training checkpoint the weights lie: in which nest, under which prefix, and beside what."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlvcli.core.errors import TlvError, did_you_mean
from tlvcli.io.left_out import LeftOut, weigh_all

if TYPE_CHECKING:
    from torch import Tensor

# In the order of preference where a file has several.
_WEIGHT_NESTS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "module",
    "params",
    "weights",
)
_WRAPPER_PREFIXES = ("module.", "_orig_mod.")
_MAX_DEPTH = 4
# In a pickle, one mapping may stand in a thousand places of another, which may stand in a thousand places.
_MAX_ENTRIES = 100_000
_MAX_WRAPPERS = 16
_MOST_SHOWN = 10
TOP_LEVEL = "."

# Names as they stand in the file; a key of a mapping need not be text.
NestPath = tuple[Any, ...]


@dataclass(frozen=True)
class Unwrapped:
    """The tensors that were taken, by their names without prefix, and everything else by name."""

    tensors: Mapping[str, Tensor]
    key: str | None
    prefix: str
    alternatives: tuple[str, ...]
    ignored: tuple[str, ...]
    left_out: tuple[LeftOut, ...]


def unwrap(content: object, path: Path, key: str | None, *, ema: bool = False) -> Unwrapped:
    """Find the state_dict in what `torch.load` returned; weights come before their moving average.

    Args:
        content: the object in the file.
        path: named in errors.
        key: dotted names of the nest to take, `.` for the top level; None chooses.
        ema: whether to choose the moving average; then `key` is None.

    Raises:
        TlvError: `no-tensors`, `no-average`, `key-unknown`, or `key-needed` where several nests are equally likely.
    """
    if not isinstance(content, Mapping):
        raise _no_tensors(path, f"holds {_article(content)}, not named tensors")
    nests = _find_nests(content, path)
    if not nests:
        raise _no_tensors(path, "holds no tensors")
    if ema:
        taken = _choose_average(nests, path)
    else:
        taken = _choose(nests, path) if key is None else _look_up(content, nests, path, key)
    level = _at(content, taken)
    named = _tensors_of(level)
    prefix, beside = split_prefix(tuple(named))
    kept = {name[len(prefix) :]: tensor for name, tensor in named.items() if name not in beside}
    alternatives = tuple(show(nest) for nest in nests if nest != taken)
    offered = {show(nest[:depth]) for nest in nests if nest != taken for depth in range(1, len(nest) + 1)}
    entries = tuple(_beside(content, taken, named.keys() - beside))
    return Unwrapped(
        tensors=kept,
        key=show(taken) if taken else None,
        prefix=prefix,
        alternatives=alternatives,
        ignored=tuple(name for name, _ in entries if name not in offered),
        left_out=weigh_all(path, entries),
    )


def show(nest: NestPath) -> str:
    """Return the words that `--key` takes for this nest."""
    return ".".join(str(part) for part in nest) or TOP_LEVEL


def split_prefix(names: Sequence[str]) -> tuple[str, frozenset[str]]:
    """Return what wrapped modules put before every name, and the wrappers' own counters beside them.

    `DataParallel`, `DistributedDataParallel` and `AveragedModel` write `module.`, `torch.compile` writes
    `_orig_mod.`, in any nesting; `AveragedModel` adds `n_averaged`.
    """
    prefix = ""
    counters: list[str] = []
    for _ in range(_MAX_WRAPPERS):
        counter = f"{prefix}n_averaged"
        inner = [name for name in names if name != counter]
        longer = (prefix + wrapper for wrapper in _WRAPPER_PREFIXES)
        found = next((each for each in longer if all(_is_below(each, name) for name in inner)), None)
        if found is None or not inner:
            break
        if len(inner) < len(names):
            counters.append(counter)
        names, prefix = inner, found
    return prefix, frozenset(counters)


def _is_below(prefix: str, name: str) -> bool:
    return name.startswith(prefix) and len(name) > len(prefix)


def _tensors_of(level: Mapping[Any, Any]) -> dict[str, Tensor]:
    from torch import Tensor

    return {
        # Of the class: a pickle may give a tensor attributes of any name.
        name: Tensor.detach(value)
        for name, value in level.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }


def _find_nests(content: Mapping[Any, Any], path: Path) -> tuple[NestPath, ...]:
    found: dict[NestPath, int] = {}
    num_entries = 0
    for nest, level in _walk(content, (), ()):
        num_entries += 1 + len(level)
        if num_entries > _MAX_ENTRIES:
            raise TlvError(
                "checkpoint-unsupported",
                f"{path} holds mappings within each other, with more than {_MAX_ENTRIES} entries in all",
                "save the state_dict alone",
            )
        tensors = _tensors_of(level)
        if tensors:
            found[nest] = max(tensor.numel() for tensor in tensors.values())
    # A single number, such as the best accuracy so far, does not make a level of the file a state_dict.
    weighty = tuple(nest for nest, largest in found.items() if largest > 1)
    return weighty or tuple(found)


def _walk(
    level: Mapping[Any, Any], nest: NestPath, above: tuple[object, ...]
) -> Iterator[tuple[NestPath, Mapping[Any, Any]]]:
    """Yield every mapping, the outer one first."""
    yield nest, level
    if len(nest) == _MAX_DEPTH:
        return
    for name, value in level.items():
        # The moments of an optimizer have the shapes of weights, and are none.
        is_nest = isinstance(name, str) and not name.startswith("optim") and isinstance(value, Mapping)
        if is_nest and all(value is not other for other in (level, *above)):  # a pickle may hold itself
            yield from _walk(value, (*nest, name), (level, *above))


def _choose(nests: Sequence[NestPath], path: Path) -> NestPath:
    best = min(_rank(nest) for nest in nests)
    likely = [nest for nest in nests if _rank(nest) == best]
    if len(likely) > 1:
        raise TlvError(
            "key-needed",
            f"{path} holds several sets of tensors: {_list(likely)}",
            f"--key names one of them, as in --key {show(likely[0])}",
        )
    return likely[0]


def _list(nests: Sequence[NestPath]) -> str:
    shown = ", ".join(show(nest) if nest else "plain weights" for nest in nests[:_MOST_SHOWN])
    return shown if len(nests) <= _MOST_SHOWN else f"{shown} and {len(nests) - _MOST_SHOWN} more"


def _choose_average(nests: Sequence[NestPath], path: Path) -> NestPath:
    averages = [nest for nest in nests if _is_average(nest)]
    if not averages:
        raise TlvError(
            "no-average",
            f"{path} holds no moving average, only {_list(nests)}",
            "leave out --ema, or name the part that is one with --key",
        )
    return _choose(averages, path)


def _is_average(nest: NestPath) -> bool:
    return any(_without_ema(part) != part for part in nest)


def _rank(nest: NestPath) -> tuple[int, ...]:
    plain = [_without_ema(part) for part in nest]
    is_average = _is_average(nest)
    if all(part in (*_WEIGHT_NESTS, "") for part in plain):
        group = 2 if is_average else (0 if nest else 1)
        return (group, len(nest), *(_WEIGHT_NESTS.index(part) if part else -1 for part in plain))
    return (4 if is_average else 3,)


def _without_ema(name: str) -> str:
    parts = name.split("_")
    return "_".join(part for part in parts if part.lower() != "ema")


def _look_up(content: Mapping[Any, Any], nests: Sequence[NestPath], path: Path, key: str) -> NestPath:
    if key == TOP_LEVEL and () in nests:
        return ()
    named = _resolve(content, key)
    level = _at(content, named) if named else None
    if named and isinstance(level, Mapping):
        if _tensors_of(level):
            return named
        below = _find_nests(level, path)
        if below:
            return (*named, *_choose(below, path))
    raise TlvError(
        "key-unknown",
        f"{path} holds no tensors under {key}",
        did_you_mean(key, [show(nest) for nest in nests], listed_by="tlv inspect"),
    )


def _resolve(level: Mapping[Any, Any], key: str) -> NestPath | None:
    for name, value in level.items():
        if str(name) == key:
            return (name,)
        if isinstance(value, Mapping) and _is_below(f"{name}.", key):
            below = _resolve(value, key[len(str(name)) + 1 :])
            if below is not None:
                return (name, *below)
    return None


def _at(content: Mapping[Any, Any], nest: NestPath) -> Any:
    level: Any = content
    for part in nest:
        level = level[part]
    return level


def _beside(content: Mapping[Any, Any], taken: NestPath, kept: Collection[str]) -> Iterator[tuple[str, object]]:
    """Yield every entry that was not taken, at the level taken and above."""
    for depth in range(len(taken) + 1):
        for name, value in _at(content, taken[:depth]).items():
            if name != taken[depth] if depth < len(taken) else name not in kept:
                yield show((*taken[:depth], name)), value


def _no_tensors(path: Path, what: str) -> TlvError:
    return TlvError("no-tensors", f"{path} {what}", "tlv needs a state_dict, alone or inside a training checkpoint")


def _article(content: object) -> str:
    name = type(content).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
