"""Any matching with any mapping, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from itertools import product

import pytest
import torch

from tests.methods.conftest import Planner, odd_net, plain_net
from tlvcli.core.errors import TlvError
from tlvcli.methods.recipe import make_recipe
from tlvcli.methods.table import MAPPINGS, MATCHINGS, TRANSFER_METHODS, find_method

COMPOSED = [method.name for method in TRANSFER_METHODS if method.matching]


@pytest.mark.parametrize(
    ("method", "matching", "mapping"),
    list(product(COMPOSED, [part.name for part in MATCHINGS], [part.name for part in MAPPINGS])),
)
def test_every_composition_makes_a_whole_plan(plan: Planner, method: str, matching: str, mapping: str) -> None:
    source, target = plain_net((8, 12, 16)), odd_net()
    chosen = {"matching": {"method": matching}, "method": mapping}
    made, tensors = plan(method, source, target, **chosen)
    state = target.state_dict()
    assert [row.tensor for row in made.rows] == list(state) == list(tensors)
    for row in made.rows:
        assert (tensors[row.tensor].shape, tensors[row.tensor].dtype) == (row.shape, state[row.tensor].dtype)
        assert torch.isfinite(tensors[row.tensor].float()).all()
        assert row.reason
        assert (row.source is None) <= (row.transferred == 0.0)
        if row.operation == "keep":
            assert torch.equal(tensors[row.tensor], state[row.tensor])
    again = plan(method, source, target, **chosen)[1]
    assert all(torch.equal(tensors[name], again[name]) for name in tensors)


def test_choices_are_resolved_and_repeat() -> None:
    recipe = make_recipe(find_method("tlv"), {"method": "dp", "standardisation": "flat"}, {"linear-statistics": False})
    choices = recipe.choices()
    assert choices["matching"] == {"method": "dp", "standardisation": "flat"}
    assert (choices["mapping"]["method"], choices["mapping"]["linear_statistics"]) == ("variance", "off")
    assert make_recipe(find_method("tlv"), choices["matching"], choices["mapping"]).choices() == choices
    assert make_recipe(find_method("he"), {}, {}).choices() == {"matching": {}, "mapping": {}}
    assert make_recipe(find_method("dpiat"), {}, {}).choices() == {
        "matching": {"method": "dp", "standardisation": "blocks"},
        "mapping": {"method": "clip", "normalisation": "follow"},
    }


@pytest.mark.parametrize(
    ("method", "matching", "mapping", "error_id", "message", "hint"),
    [
        (
            "dpiat",
            {"method": "pd"},
            {},
            "config-invalid",
            "no matching is called pd",
            "from bipartite, dp, dp-flat",
        ),
        ("tlv", {}, {"method": "clipp"}, "config-invalid", "no mapping is called clipp", "did you mean clip?"),
        ("dpiat", {"standardization": "flat"}, {}, "config-invalid", "matching.standardization", "standardisation"),
        ("dpiat", {"method": "index", "standardisation": "flat"}, {}, "config-invalid", "unknown", "matching.method"),
        ("dpiat", {}, {"keep": "random"}, "option-not-taken", "dpiat does not take mapping.keep", "--method tlv"),
        ("coherent", {}, {"fan-in": "x"}, "option-not-taken", "coherent does not take mapping.fan_in", "--method tlv"),
        ("dpiat", {}, {"method": ["clip"]}, "config-invalid", "no mapping is called ['clip']", "clip"),
        ("dpiat", {"method": "dp-flat", "penalty": -1}, {}, "config-invalid", "matching.penalty", ""),
        ("dpiat-reference", {"method": "dp"}, {}, "method-not-composed", "no other matching", "tlv, dpiat"),
        ("tlv-reference", {}, {"method": "clip"}, "method-not-composed", "no other mapping", "tlv, dpiat"),
        ("he", {"method": "dp"}, {}, "method-not-composed", "he is one whole", "tlv, dpiat"),
    ],
)
def test_what_cannot_be_chosen(
    method: str, matching: dict[str, object], mapping: dict[str, object], error_id: str, message: str, hint: str
) -> None:
    with pytest.raises(TlvError) as caught:
        make_recipe(find_method(method), matching, mapping)
    assert caught.value.error_id == error_id
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_recipes_are_made_without_torch() -> None:
    program = (
        "import sys\n"
        "from tlvcli.methods.recipe import make_recipe\n"
        "from tlvcli.methods.table import TRANSFER_METHODS\n"
        "for method in TRANSFER_METHODS: make_recipe(method, {}, {})\n"
        "assert not {'torch', 'numpy', 'scipy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_tables_load() -> None:
    for part in (*MATCHINGS, *MAPPINGS):
        assert callable(part.load_function())
        assert part.load_options()()
        assert part.summary
        assert part.reference
