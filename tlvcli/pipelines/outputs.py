"""What a command that writes a checkpoint may call it, and the dtypes it can have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator

from tlvcli.core.errors import TlvError
from tlvcli.core.sizes import parse_size

Dtype = Literal["float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"]

# Bytes of tensors in one file, which may be written as 2GB, 500MB or 5GiB.
ShardSize = Annotated[int | None, BeforeValidator(lambda value: None if value is None else parse_size(value))]


def refuse_inputs(outputs: Sequence[Path], inputs: Iterable[Path]) -> None:
    """Raise `output-is-input` where both are one file, be it by a link."""
    for given in inputs:
        for output in outputs:
            if given.exists() and output.exists() and output.samefile(given):
                raise TlvError(
                    "output-is-input",
                    f"{output} is also an input",
                    "name another output; --force does not allow it",
                )


def refuse_same(outputs: Sequence[Path]) -> None:
    """Raise `output-twice` where two outputs are one file; called before the work starts."""
    resolved = [output.resolve() for output in outputs]
    for number, output in enumerate(outputs):
        if resolved[number] in resolved[:number]:
            raise TlvError("output-twice", f"{output} is named for two outputs", "name two files")


def refuse_suffix(out: Path) -> None:
    """Raise `output-not-safetensors` unless the name says what will be in the file."""
    if out.suffix != ".safetensors":
        raise TlvError(
            "output-not-safetensors",
            f"{out} does not end in .safetensors",
            f"tlv writes nothing else; name it {out.with_suffix('.safetensors').name}",
        )


def refuse_report(report: Path, checkpoint: Iterable[Path]) -> None:
    """Raise `config-invalid` where the report would replace a file of the checkpoint."""
    if any(report.resolve() == path.resolve() for path in checkpoint):
        raise TlvError("config-invalid", f"{report} is named for checkpoint and report", "name two files")
