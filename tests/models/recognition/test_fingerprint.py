from __future__ import annotations

from tlvcli.models.recognition.fingerprint import fingerprint, take_fingerprints

SHAPES = {"stem.weight": (8, 3, 3, 3), "stem.bn.weight": (8,), "fc.weight": (10, 8), "scale": ()}


def test_a_fingerprint_is_the_same_on_every_machine() -> None:
    assert f"{fingerprint('conv1.weight', (64, 3, 7, 7)):016x}" == "a96f4a77b5251f31"
    assert fingerprint("a", (1, 11)) != fingerprint("a", (11, 1)) != fingerprint("a", ())


def test_sums_do_not_depend_on_the_order_and_subtract() -> None:
    found = take_fingerprints({**SHAPES, "stem.bn.num_batches_tracked": ()})
    assert found.total == take_fingerprints(dict(reversed(SHAPES.items()))).total
    rest = take_fingerprints({name: SHAPES[name] for name in ("fc.weight", "scale")})
    assert found.without(["stem"]) == rest.total
    assert found.without(["scale", "fc", "stem", "absent"]) == 0
    assert found.below["stem"] == ("stem.weight", "stem.bn.weight")


def test_a_name_that_is_no_unicode() -> None:
    assert fingerprint("\udc80", (1,)) != fingerprint("\udc81", (1,))
