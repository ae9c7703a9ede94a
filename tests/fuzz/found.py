"""What made a reader let out something else than a TlvError, or hang, and what it lets out now."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import torch

from tests.fuzz.seeds import reports, with_length


@dataclass(frozen=True)
class Found:
    """The smallest file that showed the fault; an empty `error_id` says that it is read."""

    what: str
    reader: str
    file_name: str
    content: Callable[[], bytes]
    error_id: str


def _header(text: bytes) -> bytes:
    return with_length(text, 1)


def _report() -> bytes:
    return reports("0" * 64)[0].data.replace(b"0" * 64, b"\\ud800")


def _windows() -> bytes:
    base, stream = torch.arange(4.0), io.BytesIO()
    torch.save({"base": base, "windows": base.unfold(0, 2, 1)}, stream)
    return stream.getvalue()


_PLAN = b"{schema: tlv.plan/1, tlv_version: '0', method: m, seed: 0, source: null, target: {name: a, num_classes: 1}, "
_ENTRY = b'"shape":[0,4611686018427387904,4611686018427387904],"data_offsets":[0,0]'

FOUND = (
    Found("a date that is none", "config", "config.yaml", lambda: b"seed: 2024-99-99", "config-unreadable"),
    Found("a tag that fits nothing", "config", "config.yaml", lambda: b"seed: !!int x", "config-unreadable"),
    Found("an alias", "config", "config.yaml", lambda: b"a: &a [1]\nb: *a", "config-unreadable"),
    Found("lists in lists", "config", "config.yaml", lambda: b"a: " + b"[" * 5000, "config-unreadable"),
    Found("a number of 5,000 digits", "config", "config.yaml", lambda: b"a: " + b"9" * 5000, "config-unreadable"),
    Found("a date in a plan", "plan", "plan.yaml", lambda: b"schema: 2024-99-99", "plan-unreadable"),
    Found("mappings in mappings", "plan", "plan.yaml", lambda: b"{a: " * 5000, "plan-unreadable"),
    Found(
        "a zero byte in the name of the arrays",
        "plan",
        "plan.yaml",
        lambda: _PLAN + b'arrays: "a\\0", digest: "", rows: []}',
        "plan-invalid",
    ),
    Found(
        "a rate that is no number",
        "plan",
        "plan.yaml",
        lambda: _PLAN + b"recommended_rates: {a: .nan}, digest: '', rows: []}",
        "plan-invalid",
    ),
    Found("half a character in a hash", "report", "report.json", _report, ""),
    Found(
        "half a character in a name",
        "checkpoint",
        "model.pt",
        lambda: _header(b'{"\\ud800":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'),
        "checkpoint-corrupt",
    ),
    Found(
        "a zero beside sizes that overflow",
        "checkpoint",
        "model.pt",
        lambda: with_length(b'{"a":{"dtype":"F32",' + _ENTRY + b"}}", 0),
        "checkpoint-corrupt",
    ),
    Found("windows over each other", "checkpoint", "model.pt", _windows, ""),
)
