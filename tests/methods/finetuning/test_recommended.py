"""Rates that a checkpoint recommends, on plans as values."""

from __future__ import annotations

import pytest

from tlvcli.core.errors import TlvError
from tlvcli.methods.finetuning.plan import FinetunePlan, ParameterGroup, Phase
from tlvcli.methods.finetuning.recommended import with_recommended_rates

PARAMETERS = [
    "token",
    "stem.conv.weight",
    "stem.bn.weight",
    "stem.bn.bias",
    "body.position",
    "body.0.weight",
    "head.weight",
]
PLAN = FinetunePlan(
    "full",
    (
        Phase(
            (
                ParameterGroup("all", tuple(name for name in PARAMETERS if name != "head.weight"), 1.0, l2_sp=0.1),
                ParameterGroup("fresh", ("head.weight",), 10.0),
            )
        ),
    ),
)


def _rates(plan: FinetunePlan) -> dict[str, float]:
    return {name: group.rate for group in plan.phases[0].groups for name in group.parameters}


def test_the_last_pattern_that_fits_decides() -> None:
    plan = with_recommended_rates(PLAN, {"stem": 0.5, "stem.b*": 0.25, "head": 0.1}, PARAMETERS, fresh={"head.weight"})
    assert _rates(plan) == {
        **dict.fromkeys(("token", "body.position", "body.0.weight"), 1.0),
        "stem.conv.weight": 0.5,
        "stem.bn.weight": 0.25,
        "stem.bn.bias": 0.25,
        "head.weight": 10.0,
    }
    assert {group.l2_sp for group in plan.phases[0].groups if group.name == "all"} == {0.1}
    assert plan.phases[0].frozen == ()


def test_a_rate_of_zero_freezes_layers_but_not_what_lies_in_them() -> None:
    plan = with_recommended_rates(PLAN, {"stem": 0.0}, PARAMETERS, fresh=set())
    assert plan.phases[0].frozen == ("stem.conv", "stem.bn")
    assert plan.trained == {"token", "body.position", "body.0.weight", "head.weight"}
    around = with_recommended_rates(PLAN, {"body": 0.0, "body.0": 1.0}, PARAMETERS, fresh=set())
    assert around.phases[0].frozen == ()
    assert "body.position" not in around.trained


def test_a_pattern_that_fits_nothing_is_named() -> None:
    with pytest.raises(TlvError, match="no layer is called stm"):
        with_recommended_rates(PLAN, {"stm": 0.5}, PARAMETERS, fresh=set())
