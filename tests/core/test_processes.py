"""Who we are among several processes, from what torchrun puts into the environment."""

from __future__ import annotations

import pytest
import torch

from tlvcli.core.errors import TlvError
from tlvcli.core.processes import Processes, find_processes
from tlvcli.core.runtime import choose_device


def test_processes_are_what_torchrun_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert find_processes() == Processes(rank=0, world_size=1, local_rank=0)
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(TlvError, match="RANK=None, WORLD_SIZE=4"):
        find_processes()
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert find_processes() == Processes(rank=3, world_size=4, local_rank=1)


def test_each_process_takes_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("auto") == choose_device("cuda") == torch.device("cuda:1")
    assert choose_device("cpu") == torch.device("cpu")
    with pytest.raises(TlvError, match="cuda:0 cannot be the device of 4 processes"):
        choose_device("cuda:0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(TlvError, match="cuda:1: this machine shows 1 CUDA devices"):
        choose_device("auto")
