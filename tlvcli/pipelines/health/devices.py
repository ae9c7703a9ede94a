"""Findings about what computes: GPUs, their driver, and the threads of the CPU."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tlvcli.data.reading import granted_cores
from tlvcli.pipelines.health.probing import Probed
from tlvcli.pipelines.health.result import Finding

_DRIVER = Path("/proc/driver/nvidia/version")
_FEW_BYTES = 2 * 2**30


def find_devices(probed: Probed) -> Iterator[Finding]:
    """Yield what torch makes of the GPUs of this machine, each of them tried; nothing where torch does not start."""
    seen = probed.devices
    if seen is None:
        return
    if "error" in seen:
        hint = "--device cpu works without; look at the driver"
        yield Finding(area="devices", name="cuda", status="warning", found=seen["error"].splitlines()[0], hint=hint)
        return
    yield _judge_cuda(seen)
    for number, device in enumerate(seen["devices"]):
        yield _judge_device(number, device)
    yield _judge_threads(seen["threads"])


def _judge_cuda(seen: Mapping[str, Any]) -> Finding:
    driver, built_for = _driver_version(), seen["cuda"] or seen["hip"]
    detail = "; ".join(seen["warnings"]) or None
    if seen["available"]:
        release = f"ROCm {seen['hip']}" if seen["hip"] else f"CUDA {seen['cuda']}"
        found = f"{release}, {len(seen['devices'])} found" + (f", driver {driver}" if driver else "")
        return Finding(area="devices", name="cuda", status="ok", found=found, detail=detail)
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden in ("", "-1"):
        found = "hidden by CUDA_VISIBLE_DEVICES: tlv computes on the CPU"
        return Finding(area="devices", name="cuda", status="info", found=found, detail=detail)
    if driver is None:
        found = "no GPU with a driver: tlv computes on the CPU"
        return Finding(area="devices", name="cuda", status="info", found=found, detail=detail)
    if built_for is None:
        return Finding(
            area="devices",
            name="cuda",
            status="warning",
            found=f"the driver {driver} is here, but this torch is built for the CPU alone",
            hint="install the build for CUDA: https://pytorch.org/get-started/locally",
            detail=detail,
        )
    return Finding(
        area="devices",
        name="cuda",
        status="warning",
        found=f"torch is built for CUDA {built_for} and cannot use the GPU with driver {driver}",
        hint="update the driver, or take a torch for an older CUDA; in a container, pass the GPU on (--gpus all)",
        detail=detail,
    )


def _judge_device(number: int, device: Mapping[str, Any]) -> Finding:
    name = f"cuda:{number}"
    failure = device.get("failed") or device.get("error")
    if failure:
        return Finding(
            area="devices",
            name=name,
            status="warning",
            found=f"{device.get('name', 'a GPU')} fails: {failure.splitlines()[0]}",
            hint="a torch built for this card; nvidia-smi shows who holds its memory; --device cpu works without",
            detail=failure,
        )
    found = f"{device['name']}, {device['free'] / 2**30:.1f} of {device['total'] / 2**30:.1f} GiB free"
    if not device["right"]:
        hint = "the card computes wrongly: test it, or leave it out by CUDA_VISIBLE_DEVICES"
        return Finding(area="devices", name=name, status="error", found=f"{found}; a product is wrong", hint=hint)
    if device["free"] < _FEW_BYTES:
        hint = "another program holds it: nvidia-smi shows which"
        return Finding(area="devices", name=name, status="warning", found=found, hint=hint)
    return Finding(area="devices", name=name, status="ok", found=found)


def _judge_threads(threads: int) -> Finding:
    cores = granted_cores()
    found = f"{threads} of torch, {cores} granted cores of {os.cpu_count()}"
    if threads > cores:
        hint = f"they wait for one another: export OMP_NUM_THREADS={cores}"
        return Finding(area="devices", name="threads", status="warning", found=found, hint=hint)
    return Finding(area="devices", name="threads", status="ok", found=found)


def _driver_version() -> str | None:
    """Return the version of NVIDIA's kernel driver, None without one."""
    if not _DRIVER.is_file():
        return None
    words = _DRIVER.read_text(encoding="utf-8", errors="replace").split()
    return next((word for word in words if word[0].isdecimal() and "." in word), "of NVIDIA")
