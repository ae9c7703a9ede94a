"""torchvision comes without the compiler, and finds it when it asks."""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
import sys
from tlvcli.core.light_torchvision import import_torchvision
import_torchvision()
assert not any(name.startswith("torch._dynamo") for name in sys.modules)
import_torchvision()
import torch, torchvision
from torchvision.ops import roi_align
supported = roi_align.__globals__["is_compile_supported"]
assert "torch._dynamo" not in sys.modules
answer = supported("cpu")
import torch._dynamo.utils
assert supported is not torch._dynamo.utils.is_compile_supported
assert answer == torch._dynamo.utils.is_compile_supported("cpu")
assert torch._dynamo.utils.__file__
print(tuple(roi_align(torch.ones(1, 1, 4, 4), torch.tensor([[0.0, 0, 0, 3, 3]]), 2).shape))
"""


def test_the_compiler_is_loaded_when_it_is_used() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("(1, 1, 2, 2)", "")
