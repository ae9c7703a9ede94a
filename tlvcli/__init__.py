"""Transfer learning for computer vision on checkpoint files: the verbs of `tlv` as functions, loaded when named."""

# What editors and type checkers see of this module stands in __init__.pyi, which `make docs` writes.

__version__ = "0.1.0"

_FUNCTIONS = (
    "analyze_stats",
    "compare",
    "convert",
    "doctor",
    "evaluate",
    "inspect",
    "load",
    "predict",
    "resume",
    "train",
    "transfer",
)
_CLASSES = {"Answer": "tlvcli.api.answer", "TlvError": "tlvcli.core.errors"}
__all__ = ["Answer", "TlvError", *_FUNCTIONS]


def __getattr__(name: str) -> object:
    from importlib import import_module

    # By name, and only now: `import tlvcli`, and with it every command, loads neither torch nor pydantic.
    if name in _FUNCTIONS:
        return import_module("tlvcli.api.signatures").described(name)
    if name in _CLASSES:
        return getattr(import_module(_CLASSES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
