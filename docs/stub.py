"""`tlvcli/__init__.pyi`: what editors and type checkers see of the functions, made from the configurations."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from importlib import import_module
from inspect import Parameter
from typing import Any

import tlvcli
from tlvcli.api.signatures import VERBS, Verb, annotation_of, described, settings_of

_HEAD = '''"""The functions of tlvcli and all their settings; `make docs` writes this from the configurations."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from typing import Any, Literal

from torch import nn

from tlvcli.api.answer import Answer as Answer
from tlvcli.core.errors import TlvError as TlvError
'''


def format_stub() -> str:
    """Return the text of the stub, as ruff formats it."""
    results = sorted(verb.result.split(":") for verb in VERBS)
    imports = "".join(f"from {module} import {name}\n" for module, name in dict(results).items())
    names = json.dumps(list(tlvcli.__all__), indent=4).replace("\n]", ",\n]")
    parts = [
        f"{_HEAD}{imports}",
        f"__version__: str\n__all__ = {names}\n",
        "StrPath = str | PathLike[str]\nTell = Callable[[str], None]\n",
        *(_function(name) for name in sorted({*tlvcli.__all__} - {"Answer", "TlvError"})),
    ]
    return "\n".join(parts)


def _function(name: str) -> str:
    function = getattr(import_module("tlvcli.api.verbs"), name)
    verb = next((verb for verb in VERBS if verb.name == name), None)
    summary = (inspect.getdoc(described(name)) or "").partition("\n")[0]
    signature = inspect.signature(function)
    lines = [f"def {name}("]
    lines += [f"    {parameter}," for parameter in _parameters(function, verb)]
    lines += [f") -> {signature.return_annotation}:", f'    """{summary}"""', ""]
    return "\n".join(lines)


def _parameters(function: Callable[..., Any], verb: Verb | None) -> Iterator[str]:
    has_star = False
    own = [one for one in inspect.signature(function).parameters.values() if one.kind is not Parameter.VAR_KEYWORD]
    for parameter in own:
        if parameter.kind is Parameter.KEYWORD_ONLY and not has_star:
            has_star = True
            yield "*"
        given = "" if parameter.default is Parameter.empty else f" = {parameter.default!r}"
        yield f"{parameter.name}: {parameter.annotation}{given}"
    fields = settings_of(verb, function) if verb else {}
    if fields and not has_star:
        yield "*"
    for key, field in fields.items():
        if verb and verb.goes_on:
            given = " = ..."
        elif field.is_required():
            given = ""
        elif field.default_factory is None and isinstance(field.default, (bool, int, float, str, type(None))):
            given = f" = {json.dumps(field.default) if isinstance(field.default, str) else repr(field.default)}"
        else:
            given = " = ..."
        yield f"{key}: {annotation_of(key, field)}{given}"
