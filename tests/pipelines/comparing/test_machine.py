"""How many cells run at once, and what each gets."""

from __future__ import annotations

import pytest

from tlvcli.pipelines.comparing import machine
from tlvcli.pipelines.comparing.machine import Machine, choose_machine

GB = 10**9


@pytest.fixture
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight cores, 10 GB of memory, no GPU."""
    monkeypatch.setattr(machine, "granted_cores", lambda: 8)
    monkeypatch.setattr(machine, "_free_memory", lambda: 10 * GB)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


@pytest.mark.parametrize(
    ("asked", "num_cells", "network_bytes", "jobs", "threads"),
    [
        (None, 100, 0, 6, 1),  # 10 GB hold six of 1.5 GB
        (None, 100, GB // 4, 3, 2),  # 1.5 GB more each
        (None, 100, 50 * GB, 1, 8),
        (None, 2, 0, 2, 4),
        (3, 100, 0, 3, 2),
        (20, 100, 0, 20, 1),
    ],
)
def test_cores_and_memory_bound_the_jobs(
    eight_cores: None, asked: int | None, num_cells: int, network_bytes: int, jobs: int, threads: int
) -> None:
    found = choose_machine(asked, "cpu", num_cells=num_cells, network_bytes=network_bytes)
    assert (found.jobs, found.threads, found.gpus) == (jobs, threads, ())
    assert found.environment(0) == {"OMP_NUM_THREADS": str(threads)}


@pytest.mark.parametrize(("allowed", "threads"), [("2", 2), ("16", 4), ("0", 4), ("4,2", 4)])
def test_what_the_user_allows_a_process_bounds_its_threads(
    eight_cores: None, monkeypatch: pytest.MonkeyPatch, allowed: str, threads: int
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", allowed)
    assert choose_machine(2, "cpu", num_cells=100, network_bytes=0).threads == threads


def test_a_gpu_has_one_cell_at_a_time(eight_cores: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_gpus", lambda device: ("4", "6"))
    assert choose_machine(8, "cuda", num_cells=100, network_bytes=0) == Machine(2, 4, ("4", "6"))
    found = choose_machine(1, "cuda", num_cells=100, network_bytes=0)
    assert found.environment(0) == {"OMP_NUM_THREADS": "8", "CUDA_VISIBLE_DEVICES": "4"}


def test_free_memory_is_that_of_this_machine() -> None:
    assert 10**7 < machine._free_memory() < 10**15
