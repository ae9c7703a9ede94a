"""A method with everything chosen for it: the one place where method, matching and mapping come together.

Importable without torch; the functions are loaded when the plan is made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import create_model

from tlvcli.core.config import Config, parse_config
from tlvcli.core.errors import TlvError, did_you_mean
from tlvcli.methods.table import MAPPINGS, MATCHINGS, TRANSFER_METHODS, Part, TransferMethod
from tlvcli.methods.tied import tie

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from tlvcli.core.graph import LayerKind, ModelGraph
    from tlvcli.core.plan import LayerMatch, Mapped, TransferPlan
    from tlvcli.core.tensors import TensorSource

_NOTHING = "coverage is 0: every tensor is the target's own initialisation, or drawn"


class Matcher(Protocol):
    """Says for every target layer of the groups which source layer feeds it, if any; kinds in a group may mix."""

    def __call__(  # noqa: D102
        self, source: ModelGraph, target: ModelGraph, *, groups: Sequence[tuple[LayerKind, ...]]
    ) -> tuple[LayerMatch, ...]: ...


class Mapper(Protocol):
    """Plans the weight of one matched layer; both are of the same rank, and only `generator` is drawn from."""

    def __call__(  # noqa: D102
        self, match: LayerMatch, source: Tensor, target: Tensor, *, generator: Generator
    ) -> Mapped: ...


@dataclass(frozen=True)
class Recipe:
    """A method and its choices; `matching` and `mapping` are None in a method that is one whole.

    `options` holds the method's own choices and, in a composed one, those of its mapping too.
    """

    method: TransferMethod
    options: Config
    matching: Part | None = None
    matching_options: Config | None = None
    mapping: Part | None = None

    def plan(
        self,
        source: TensorSource,
        source_graph: ModelGraph,
        target: Mapping[str, Tensor],
        target_graph: ModelGraph,
        *,
        seed: int,
    ) -> TransferPlan:
        """Return the plan for every tensor of the target."""
        parts: dict[str, Any] = {}
        if self.matching and self.mapping:
            parts["match"] = partial(self.matching.load_function(), options=self.matching_options)
            parts["map_weight"] = partial(self.mapping.load_function(), options=self.options)
        plan: TransferPlan = self.method.load_planner()(
            source, source_graph, target, target_graph, options=self.options, seed=seed, **parts
        )
        plan = tie(plan, target) if self.matching else plan
        if not self.method.is_baseline and plan.coverage(target_graph) == 0:
            return replace(plan, warnings=(*plan.warnings, _NOTHING))
        return plan

    def choices(self) -> dict[str, dict[str, Any]]:
        """Return `matching` and `mapping` as a configuration gives them: fed back, they make this recipe again."""
        if not (self.matching and self.matching_options and self.mapping):
            return {"matching": {}, "mapping": self.options.model_dump()}
        return {
            "matching": {"method": self.matching.name, **self.matching_options.model_dump()},
            "mapping": {"method": self.mapping.name, **self.options.model_dump()},
        }


def make_recipe(method: TransferMethod, matching: Mapping[str, Any], mapping: Mapping[str, Any]) -> Recipe:
    """Return the recipe for a method with the user's choices, defaults where there are none.

    Raises:
        TlvError: `config-invalid` for an unknown key, name or value; `method-not-composed` where a matching or
            mapping is chosen for a method that is one whole; `option-not-taken` for a choice of another method.
    """
    if not (method.matching and method.mapping):
        _refuse_parts(method, matching, mapping)
        _refuse_choices_of_others(method, method.load_options(), mapping)
        return Recipe(method, parse_config(method.load_options(), mapping, prefix="mapping."))
    chosen_matching, matching_choices = _choose(MATCHINGS, "matching", method.matching, matching)
    chosen_mapping, mapping_choices = _choose(MAPPINGS, "mapping", method.mapping, mapping)
    options = mapping_options(method, chosen_mapping)
    _refuse_choices_of_others(method, options, mapping_choices)
    return Recipe(
        method,
        _parse(options, mapping_choices, "mapping"),
        chosen_matching,
        _parse(chosen_matching.load_options(), matching_choices, "matching"),
        chosen_mapping,
    )


def mapping_options(method: TransferMethod, mapping: Part) -> type[Config]:
    """Return the configuration under `mapping.`: what the method adds, and the choices of its mapping."""
    return create_model("MappingOptions", __base__=(mapping.load_options(), method.load_options()))


def _choose(
    parts: Sequence[Part], family: str, default: str, choices: Mapping[str, Any]
) -> tuple[Part, dict[str, Any]]:
    """Return the part that `method` among the choices names, and the other choices."""
    name = choices.get("method", default)
    for part in parts:
        if part.name == name:
            return part, {key: value for key, value in choices.items() if key != "method"}
    raise TlvError(
        "config-invalid",
        f"{family}.method: no {family} is called {name}",
        did_you_mean(str(name), [part.name for part in parts]),
    )


def _parse(options: type[Config], choices: Mapping[str, Any], family: str) -> Config:
    return parse_config(options, choices, prefix=f"{family}.", also_known=[f"{family}.method"])


def _refuse_parts(method: TransferMethod, matching: Mapping[str, Any], mapping: Mapping[str, Any]) -> None:
    family = "matching" if matching else "mapping" if "method" in mapping else None
    if family:
        composed = [other.name for other in TRANSFER_METHODS if other.matching]
        raise TlvError(
            "method-not-composed",
            f"{method.name} is one whole: no other {family} can be chosen for it",
            f"leave {family} out, or take a method that is composed: {', '.join(composed)}",
        )


def _refuse_choices_of_others(method: TransferMethod, options: type[Config], choices: Mapping[str, Any]) -> None:
    """Raise for the first choice that is none here, but is one of other methods as they are by default."""
    for given in choices:
        key = given.replace("-", "_")
        if key in options.model_fields:
            continue
        takers = [other.name for other in TRANSFER_METHODS if key in _own_options(other).model_fields]
        if takers:
            raise TlvError(
                "option-not-taken",
                f"method {method.name} does not take mapping.{key}",
                f"leave it out, or take --method {' or '.join(takers)}",
            )


def _own_options(method: TransferMethod) -> type[Config]:
    mapping = next((part for part in MAPPINGS if part.name == method.mapping), None)
    return mapping_options(method, mapping) if mapping else method.load_options()
