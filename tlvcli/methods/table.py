"""Transfer methods, matchings and mappings by name; importable without torch, functions are loaded when they run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tlvcli.core.errors import TlvError, did_you_mean
from tlvcli.methods.loading import load

if TYPE_CHECKING:
    from tlvcli.core.config import Config


@dataclass(frozen=True)
class Part:
    """A matching or a mapping that methods are composed of; `function` and `options` are import paths `module:name`."""

    name: str
    function: str
    options: str
    summary: str
    reference: str

    def load_function(self) -> Callable[..., Any]:
        """Return the function that matches or maps."""
        function: Callable[..., Any] = load(self.function)
        return function

    def load_options(self) -> type[Config]:
        """Return the configuration class of its choices."""
        options: type[Config] = load(self.options)
        return options


@dataclass(frozen=True)
class TransferMethod:
    """One way to start a target from a source; `planner` and `options` are import paths `module:name`.

    A composed method names the matching and the mapping it takes by default, and its planner is handed the ones
    that were chosen; without names the method is one whole.
    """

    name: str
    planner: str
    options: str
    summary: str
    reference: str
    matching: str | None = None
    mapping: str | None = None
    is_baseline: bool = False  # transfers nothing, and means to

    def load_planner(self) -> Callable[..., Any]:
        """Return the function that makes the plan."""
        planner: Callable[..., Any] = load(self.planner)
        return planner

    def load_options(self) -> type[Config]:
        """Return the configuration class of the method's own choices."""
        options: type[Config] = load(self.options)
        return options


MATCHINGS = (
    Part(
        name="index",
        function="tlvcli.methods.matching.index:match_by_index",
        options="tlvcli.methods.options:NoOptions",
        summary="the source layer at the same relative depth among layers of its kind",
        reference="ThuanNaN/TLVFC",
    ),
    Part(
        name="dp",
        function="tlvcli.methods.matching.dp:match_by_dp",
        options="tlvcli.methods.matching.options:BlockOptions",
        summary="the best alignment by shape in the order of both networks; a source may feed several targets in a row",
        reference="iatransfer: DPMatching",
    ),
    Part(
        name="dp-flat",
        function="tlvcli.methods.matching.dp_flat:match_by_dp_flat",
        options="tlvcli.methods.matching.options:FlatOptions",
        summary="the best path by shape through single layers; a step back in the source has a price",
        reference="iatransfer: DPFlatMatching",
    ),
    Part(
        name="bipartite",
        function="tlvcli.methods.matching.bipartite:match_bipartite",
        options="tlvcli.methods.matching.options:BlockOptions",
        summary="one to one by shape and nearness in relative depth, in any order",
        reference="iatransfer: BipartiteMatching",
    ),
)

MAPPINGS = (
    Part(
        name="variance",
        function="tlvcli.methods.mapping.variance:map_by_variance",
        options="tlvcli.methods.mapping.options:VarianceOptions",
        summary="channels chosen by the variance of their weights; kernels pooled or padded",
        reference="ThuanNaN/TLVFC: VarTransfer",
    ),
    Part(
        name="clip",
        function="tlvcli.methods.mapping.clip:map_by_clip",
        options="tlvcli.methods.options:NoOptions",
        summary="the centre of every dimension; the target's own values where the source does not reach",
        reference="iatransfer: ClipTransfer",
    ),
    Part(
        name="full",
        function="tlvcli.methods.mapping.full:map_by_full",
        options="tlvcli.methods.options:NoOptions",
        summary="as clip, the rest filled with source channels drawn at random",
        reference="iatransfer: FullTransfer",
    ),
    Part(
        name="magnitude",
        function="tlvcli.methods.mapping.magnitude:map_by_magnitude",
        options="tlvcli.methods.mapping.options:MagnitudeOptions",
        summary="channels with the largest sum of absolute weights; kernels as in clip",
        reference="iatransfer: MagnitudeTransfer",
    ),
)

TRANSFER_METHODS = (
    TransferMethod(
        name="coherent",
        planner="tlvcli.methods.coherent.plan:plan_coherent",
        options="tlvcli.methods.coherent.options:CoherentOptions",
        summary="one index map for each group of channels: producers and consumers agree, between any two networks",
        reference="our own; docs/methods/coherent.md",
    ),
    TransferMethod(
        name="tlv",
        planner="tlvcli.methods.tlv:plan_tlv",
        options="tlvcli.methods.options:TlvOptions",
        summary="variance-based mapping of convolutions, linear layers drawn from the source's statistics; corrected",
        reference="ThuanNaN/TLVFC: Transfer Learning using Variance-based mapping and Feature crossover",
        matching="index",
        mapping="variance",
    ),
    TransferMethod(
        name="tlv-reference",
        planner="tlvcli.methods.tlv_reference:plan_tlv_reference",
        options="tlvcli.methods.mapping.options:VarianceReferenceOptions",
        summary="the same, bit for bit as the authors' code computes it, its faults included",
        reference="ThuanNaN/TLVFC at 97aeff8",
    ),
    TransferMethod(
        name="dpiat",
        planner="tlvcli.methods.dpiat:plan_dpiat",
        options="tlvcli.methods.options:DpiatOptions",
        summary="layers aligned by dynamic programming, their centres copied, normalisation following them; corrected",
        reference="arXiv 2212.13970: Breaking the Architecture Barrier (iatransfer)",
        matching="dp",
        mapping="clip",
    ),
    TransferMethod(
        name="dpiat-reference",
        planner="tlvcli.methods.dpiat_reference:plan_dpiat_reference",
        options="tlvcli.methods.options:NoOptions",
        summary="the same, bit for bit as the authors' code computes it, its faults included",
        reference="iatransfer 1.0.3",
    ),
    TransferMethod(
        name="weight-selection",
        planner="tlvcli.methods.weight_selection:plan_weight_selection",
        options="tlvcli.methods.family_options:WeightSelectionOptions",
        summary="a smaller network of the same family takes evenly spaced channels of a larger one",
        reference="Xu et al. 2024: Initializing Models with Larger Ones",
    ),
    TransferMethod(
        name="net2net",
        planner="tlvcli.methods.net2net:plan_net2net",
        options="tlvcli.methods.family_options:Net2NetOptions",
        summary="a wider or deeper network of the same family computes what the source computes",
        reference="Chen et al. 2016: Net2Net: Accelerating Learning via Knowledge Transfer",
    ),
    TransferMethod(
        name="he",
        planner="tlvcli.methods.he:plan_he",
        options="tlvcli.methods.options:NoOptions",
        summary="nothing is transferred: the target's own initialisation, the baseline",
        reference="He et al. 2015: Delving Deep into Rectifiers",
        is_baseline=True,
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
