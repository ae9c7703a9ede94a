"""The transfer methods by name; importable without torch, the functions are loaded when they run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from tlvcli.core.errors import TlvError, did_you_mean


@dataclass(frozen=True)
class TransferMethod:
    """One way to start a target from a source; `planner` and `options` are import paths `module:name`."""

    name: str
    planner: str
    options: str
    summary: str
    reference: str

    def load_planner(self) -> Callable[..., Any]:
        """Return the function that makes the plan."""
        planner: Callable[..., Any] = _load(self.planner)
        return planner

    def load_options(self) -> type[Any]:
        """Return the configuration class of the method's choices."""
        options: type[Any] = _load(self.options)
        return options


TRANSFER_METHODS = (
    TransferMethod(
        name="tlv",
        planner="tlvcli.methods.tlv:plan_tlv",
        options="tlvcli.methods.mapping.options:VarianceOptions",
        summary="variance-based mapping of convolutions, linear layers drawn from the source's statistics; corrected",
        reference="ThuanNaN/TLVFC: Transfer Learning using Variance-based mapping and Feature crossover",
    ),
    TransferMethod(
        name="tlv-reference",
        planner="tlvcli.methods.tlv_reference:plan_tlv_reference",
        options="tlvcli.methods.mapping.options:VarianceReferenceOptions",
        summary="the same, bit for bit as the authors' code computes it, its faults included",
        reference="ThuanNaN/TLVFC at 97aeff8",
    ),
    TransferMethod(
        name="he",
        planner="tlvcli.methods.he:plan_he",
        options="tlvcli.methods.mapping.options:NoOptions",
        summary="nothing is transferred: the target's own initialisation, the baseline",
        reference="He et al. 2015: Delving Deep into Rectifiers",
    ),
)


def find_method(name: str) -> TransferMethod:
    """Return the method called `name`, or raise `method-unknown`."""
    for method in TRANSFER_METHODS:
        if method.name == name:
            return method
    raise TlvError(
        "method-unknown",
        f"no transfer method is called {name}",
        did_you_mean(name, [m.name for m in TRANSFER_METHODS]),
    )


def _load(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)
