"""Too little memory: exit 2, said as what it is, and neither a damaged file nor a bug of ours."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.faults.children import finish, leave_little_memory
from tests.faults.conftest import Place
from tlvcli.cli.shortage import find_shortage
from tlvcli.core.errors import TlvError

_LARGE = ["--data", "digits@train:60", "--image-size", "1024", "--batch-size", "60", "--device", "cpu"]


@pytest.mark.parametrize("command", ["eval", "transfer"])
def test_a_command_that_memory_does_not_hold(place: Place, tmp_path: Path, command: str) -> None:
    out = tmp_path / "out.safetensors"
    words = {
        "eval": ["eval", place.trained, *_LARGE, "--workers", "0"],  # 750 MB for a batch
        "transfer": ["transfer", "vgg16@random", "vgg11", str(out)],  # 500 MB of weights
    }[command]
    assert finish([*words, "--quiet"], place.log, before=leave_little_memory) == 2
    error, hint = place.said
    assert error.startswith("error[out-of-memory]: there is too little memory")
    assert hint.startswith("hint: free some; a smaller --batch-size")
    assert not out.exists()


def _raised_from(error: BaseException | None) -> TlvError:
    raised = TlvError("checkpoint-corrupt", "model.pt is damaged", "fetch the file again")
    raised.__cause__ = error
    return raised


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.50 MiB. GPU 0 has a total capacity of"),
            "there is too little memory on the GPU for 20.50 MiB more",
        ),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"), "there is too little memory on the GPU"),
        (
            _raised_from(RuntimeError("unable to mmap 512 bytes from file <a.pt>: Cannot allocate memory (12)")),
            "there is too little memory for 512 bytes more",
        ),
        (_raised_from(OSError(12, "Cannot allocate memory")), "there is too little memory"),
        (_raised_from(RuntimeError("invalid header")), None),
        (_raised_from(OSError(13, "Permission denied")), None),
        (_raised_from(None), None),
    ],
)
def test_what_is_a_want_of_memory(error: BaseException, message: str | None) -> None:
    found = find_shortage(error)
    assert (found.message if found else None) == message
