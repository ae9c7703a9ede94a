"""torchvision comes without the compiler, and finds it when it asks."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
import torch._dynamo.utils as compiler

from tlvcli.core.light_torchvision import _COMPILER, _is_compile_supported, _Placeholder

_PROGRAM = """
import gc
import sys
from tlvcli.core.light_torchvision import import_torchvision
import_torchvision()
import_torchvision()
import torch
from torchvision.ops import roi_align
print(roi_align.__globals__["is_compile_supported"].__module__)
print(tuple(roi_align(torch.ones(1, 1, 4, 4), torch.tensor([[0.0, 0, 0, 3, 3]]), 2).shape))
print([name for name in sys.modules if name.startswith("torch._dynamo")])
print(gc.get_freeze_count())
"""


def test_torchvision_works_without_the_compiler() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["tlvcli.core.light_torchvision", "(1, 1, 2, 2)", "[]", "0"]


def test_the_compiler_answers_where_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    placeholder = _Placeholder(_COMPILER)
    monkeypatch.setitem(sys.modules, _COMPILER, compiler)
    assert placeholder.is_compile_supported("cpu") == compiler.is_compile_supported("cpu")
    assert placeholder.compile_times is compiler.compile_times
    assert not hasattr(placeholder, "no_such_name")
    assert not hasattr(placeholder, "__no_such_name__")


def test_code_that_is_compiled_takes_its_answer() -> None:
    def asks(x: torch.Tensor) -> torch.Tensor:
        return x + 1 if _is_compile_supported("cpu") else x

    compiled = torch.compile(asks, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(torch.zeros(2)), asks(torch.zeros(2)))
