"""`--grid KEY=V1,V2`: which command a key belongs to, and which values it takes; importable without torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tlvcli.core.errors import TlvError, did_you_mean

Axes = dict[str, tuple[Any, ...]]

# What every cell has of its own, and what would change where its files lie.
_OURS = {
    "transfer": {"source", "target_arch", "out", "method", "seed", "source_arch", "data_seed", "device", "download"}
    | {"plan", "save_plan", "min_coverage", "shard_size", "dry_run", "offline", "force", "report"},
    "train": {"checkpoint", "data", "out", "strategy", "seed", "arch", "data_seed", "device", "download", "offline"}
    | {"dry_run", "force", "tensorboard", "checkpoint_every"},
}


def parse_axes(given: Any) -> Any:
    """Return values by full key, as in `train.lr`, from `KEY=V1,V2` texts or from a mapping.

    Values are YAML; a text that starts with `[` is a YAML list, for values that hold commas.

    Raises:
        TlvError: `grid-invalid`, `grid-key-unknown`, `grid-key-ambiguous` or `grid-key-not-free`.
    """
    if isinstance(given, Mapping):
        pairs = [(str(key), _values(str(key), value)) for key, value in given.items()]
    elif isinstance(given, (list, tuple)):
        pairs = [_split(str(text)) for text in given]
    else:
        return given
    axes: Axes = {}
    for key, values in pairs:
        name = full_key(key)
        if name in axes:
            raise TlvError("grid-invalid", f"--grid {key} is given twice", f"write --grid {key}=V1,V2 once")
        axes[name] = values
    return axes


def full_key(key: str) -> str:
    """Return the key under the command that it belongs to.

    Raises:
        TlvError: `grid-key-unknown`, `grid-key-ambiguous` or `grid-key-not-free`.
    """
    known = _known()
    command, dot, rest = key.replace("-", "_").partition(".")
    name = rest if dot and command in known else key.replace("-", "_")
    found = [word for word, keys in known.items() if name in keys and (name != rest or word == command)]
    free = [word for word in found if name not in _OURS[word]]
    if not found:
        words = {*known["train"], *known["transfer"]}
        raise TlvError(
            "grid-key-unknown",
            f"{key} is a key of neither tlv train nor tlv transfer",
            did_you_mean(name, words, listed_by="docs/config.md"),
        )
    if not free:
        raise TlvError(
            "grid-key-not-free", f"{key}: tlv compare sets this itself", "leave it out of the grid and --set"
        )
    if len(free) > 1:
        raise TlvError("grid-key-ambiguous", f"both tlv train and tlv transfer have {key}", f"write {free[0]}.{name}")
    return f"{free[0]}.{name}"


def refuse_unfree(given: Mapping[str, Any], command: str) -> None:
    """Raise `grid-key-not-free` where settings of every cell are what tells the cells apart, or lie elsewhere."""
    for key in given:
        if key.replace("-", "_") in _OURS[command]:
            full_key(f"{command}.{key}")


def set_keys() -> list[str]:
    """Return every dotted key that --set takes beside those of the configuration itself."""
    return [f"{command}.{key}" for command, keys in _known().items() for key in keys if key not in _OURS[command]]


def _known() -> dict[str, list[str]]:
    from tlvcli.pipelines.training.config import TrainConfig
    from tlvcli.pipelines.transferring.config import TransferConfig, config_keys

    # Of a part that is a whole of settings, as `fit`, the name alone stands for its data.
    whole = [key for key in TransferConfig.model_fields if key not in ("matching", "mapping")]
    return {"train": list(TrainConfig.model_fields), "transfer": list(dict.fromkeys([*config_keys(), *whole]))}


def _split(text: str) -> tuple[str, tuple[Any, ...]]:
    key, equals, values = text.partition("=")
    if not (key and equals):
        raise TlvError(
            "grid-invalid", f"--grid {text} has no values", "write --grid KEY=V1,V2, as in --grid lr=0.01,0.001"
        )
    return key, _values(key, values)


def _values(key: str, given: Any) -> tuple[Any, ...]:
    if isinstance(given, str):
        values = _read(given) if given.startswith("[") else [_read(part) for part in given.split(",")]
    else:
        values = given if isinstance(given, (list, tuple)) else [given]
    if not isinstance(values, (list, tuple)) or not values or any(value in ("", None) for value in values):
        raise TlvError("grid-invalid", f"--grid {key}: a value is missing in {given!r}", f"write --grid {key}=V1,V2")
    return tuple(_each_once(values))


def _read(text: str) -> Any:
    import yaml

    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    # As --set reads it: a bare `off` is a word.
    return text if isinstance(value, bool) and text not in ("true", "false") else value


def _each_once(values: Iterable[Any]) -> list[Any]:
    fixed = (tuple(value) if isinstance(value, list) else value for value in values)
    return list({repr(value): value for value in fixed}.values())
