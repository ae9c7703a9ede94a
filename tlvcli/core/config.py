"""The strict, frozen base of every configuration, and the one way to validate user input against it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, TypeVar, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator

from tlvcli.core.errors import TlvError, did_you_mean


class Config(BaseModel):
    """Frozen settings; unknown keys are errors, keys may be written with `-` or `_`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _accept_dashes(cls, values: Any) -> Any:
        if isinstance(values, Mapping):
            return {str(key).replace("-", "_"): value for key, value in values.items()}
        return values


# A list of words, of which a user may write one without a list.
WordList = Annotated[list[str], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)]

ConfigT = TypeVar("ConfigT", bound=BaseModel)


def known_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield every dotted key a configuration accepts, in the order of its fields."""
    for name, field in model.model_fields.items():
        nested = list(_models_in(field.annotation))
        if not nested:
            yield prefix + name
        for kind in nested:
            yield from known_keys(kind, f"{prefix}{name}.")


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    # In Python 3.10 `dict[str, Any]` passes for a type, but not for a class.
    if get_origin(annotation) is None and isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models_in(argument)


def parse_config(
    model: type[ConfigT], values: Mapping[str, Any], *, prefix: str = "", also_known: Iterable[str] = ()
) -> ConfigT:
    """Validate `values` against `model`; errors name keys under `prefix`, hints know `also_known` ones too.

    Raises:
        TlvError: `config-invalid`, naming every fault at once and the nearest known key.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        faults = error.errors(include_url=False)
    known = {*(prefix + key for key in known_keys(model)), *also_known}
    hint = "--help lists the flags, docs/config.md every key that --set and --config take"
    for fault in faults:
        if fault["type"] == "extra_forbidden":
            hint = did_you_mean(prefix + _dotted(fault["loc"]), known, listed_by="docs/config.md")
            break
    raise TlvError("config-invalid", "; ".join(_describe(fault, prefix) for fault in faults), hint)


def _dotted(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location)


def _describe(fault: Any, prefix: str) -> str:
    key = prefix + _dotted(fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"unknown config key {key}"
    if fault["type"] == "missing":
        return f"{key} is missing"
    message = fault["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    return f"{key}: {message}, not {fault['input']!r}" if key else message
