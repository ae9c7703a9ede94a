"""What a verb's keyword arguments are, made from its configuration: for `help`, notebooks and type checkers."""

from __future__ import annotations

import functools
import inspect
import json
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from inspect import Parameter, Signature
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined


@dataclass(frozen=True)
class Verb:
    """A function of `verbs` and the configuration whose keys it takes; `module:Name` is loaded when asked for.

    `goes_on` says that what is not given stays as it was, not as the configuration has it.
    """

    name: str
    config: str
    result: str
    goes_on: bool = False

    def load_config(self) -> type[BaseModel]:
        """Return the configuration."""
        module, _, name = self.config.partition(":")
        config: type[BaseModel] = getattr(import_module(module), name)
        return config


_PIPELINES = "tlvcli.pipelines"
VERBS = (
    Verb("inspect", f"{_PIPELINES}.inspect:InspectConfig", f"{_PIPELINES}.inspection.result:InspectResult"),
    Verb(
        "transfer",
        f"{_PIPELINES}.transferring.config:TransferConfig",
        f"{_PIPELINES}.transferring.result:TransferResult",
    ),
    Verb(
        "analyze_stats",
        f"{_PIPELINES}.analysis.config:AnalyzeStatsConfig",
        f"{_PIPELINES}.analyze_stats:AnalyzeStatsResult",
    ),
    Verb("train", f"{_PIPELINES}.training.config:TrainConfig", f"{_PIPELINES}.training.result:TrainResult"),
    Verb(
        "resume", f"{_PIPELINES}.training.config:TrainConfig", f"{_PIPELINES}.training.result:TrainResult", goes_on=True
    ),
    Verb("evaluate", f"{_PIPELINES}.evaluating.config:EvalConfig", f"{_PIPELINES}.evaluating.result:EvalResult"),
    Verb("predict", f"{_PIPELINES}.predicting.config:PredictConfig", f"{_PIPELINES}.predicting.result:PredictResult"),
    Verb("convert", f"{_PIPELINES}.convert:ConvertConfig", f"{_PIPELINES}.convert:ConvertResult"),
    Verb("compare", f"{_PIPELINES}.comparing.config:CompareConfig", f"{_PIPELINES}.comparing.result:CompareResult"),
    Verb("doctor", f"{_PIPELINES}.doctor:DoctorConfig", f"{_PIPELINES}.health.result:DoctorResult"),
)

# Keys whose value names a file, a folder, images or a checkpoint; of all others a path would be a mistake.
PATHS = frozenset(
    {"against", "calibrate", "checkpoint", "class_map", "crossover", "csv", "data", "features", "fit", "html", "mask"}
    | {"out", "plan", "plots", "predictions", "report", "save_plan", "source", "target", "target_checkpoint"}
    | {"test_data"}
)
# What only speaks to the command line's streams, or asks for what `resume` does by itself.
_NOT_TAKEN = {"predict": {"null", "jsonl"}, "resume": {"checkpoint", "data", "out", "dry_run", "force"}}


@functools.cache
def described(name: str) -> Callable[..., Any]:
    """Return a function of `verbs` with the signature and the help that its configuration gives it."""
    function: Callable[..., Any] = getattr(import_module("tlvcli.api.verbs"), name)
    verb = next((verb for verb in VERBS if verb.name == name), None)
    if verb is None:  # it has no settings beyond what stands in its own signature
        return function

    @functools.wraps(function)
    def call(*arguments: Any, **settings: Any) -> Any:
        return function(*arguments, **settings)

    fields = settings_of(verb, function)
    more = "".join(f"\n    {key}: {field.description}" for key, field in fields.items())
    call.__doc__ = f"{inspect.getdoc(function)}\n\nSettings:{more}"
    call.__module__ = "tlvcli"
    call.__signature__ = _signature(verb, function, fields)  # type: ignore[attr-defined]
    return call


def settings_of(verb: Verb, function: Callable[..., Any]) -> dict[str, FieldInfo]:
    """Return the keys of the configuration that are no named parameters of the function."""
    own = inspect.signature(function).parameters.keys() | _NOT_TAKEN.get(verb.name, set())
    return {key: field for key, field in verb.load_config().model_fields.items() if key not in own}


def _signature(verb: Verb, function: Callable[..., Any], fields: Mapping[str, FieldInfo]) -> Signature:
    own = inspect.signature(function)
    named = [parameter for parameter in own.parameters.values() if parameter.kind is not Parameter.VAR_KEYWORD]
    added = [
        Parameter(
            key,
            Parameter.KEYWORD_ONLY,
            default=... if verb.goes_on else _default(field),
            annotation=annotation_of(key, field),
        )
        for key, field in fields.items()
    ]
    return own.replace(parameters=[*named, *added])


def _default(field: FieldInfo) -> Any:
    value = field.get_default(call_default_factory=True)
    return Parameter.empty if value is PydanticUndefined else value


def annotation_of(key: str, field: FieldInfo) -> str:
    """Return what a setting takes, in the words of Python's typing."""
    text = "StrPath" if key in PATHS else "str"
    kinds = list(dict.fromkeys(_kinds(field.annotation, text)))
    is_read = any(isinstance(mark, BeforeValidator) for mark in _marks(field))  # from text, as in "0.5,0.5,0.5"
    if is_read and text not in kinds and get_origin(field.annotation) is not dict:
        kinds.insert(len(kinds) - ("None" in kinds), text)
    return " | ".join(kinds)


def _marks(field: FieldInfo) -> Iterator[Any]:
    yield from field.metadata
    for part in (field.annotation, *get_args(field.annotation)):
        if get_origin(part) is Annotated:
            yield from get_args(part)[1:]


def _kinds(annotation: Any, text: str) -> Iterator[str]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _kinds(arguments[0], text)
    elif origin in (Union, types.UnionType):
        for argument in sorted(arguments, key=lambda one: one is type(None)):
            yield from _kinds(argument, text)
    elif origin is Literal:
        yield f"Literal[{', '.join(json.dumps(word) for word in arguments)}]"
    elif origin in (list, tuple):
        yield f"Sequence[{' | '.join(_kinds(arguments[0], text))}]"
    elif origin is dict or (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        yield "Mapping[str, Any]"
    elif annotation is str:
        yield text
    else:
        yield "None" if annotation is type(None) else annotation.__name__
