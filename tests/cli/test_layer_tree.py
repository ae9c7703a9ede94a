from collections.abc import Iterable

from tlvcli.cli.layer_tree import tree_rows
from tlvcli.core.graph import TensorSpec
from tlvcli.pipelines.inspection.content import InspectedLayer, inspect_layers


def layers(names: Iterable[str], shape: tuple[int, ...] = (4, 4)) -> list[InspectedLayer]:
    return inspect_layers([TensorSpec(name, shape, "float32") for name in names])


def shown(found: list[InspectedLayer], depth: int | None = None) -> list[tuple[str, int, int]]:
    """Return each row as its indented name, how often it stands, and its parameters."""
    return [("  " * row.level + row.node.name, row.node.times, row.node.parameters) for row in tree_rows(found, depth)]


def test_equal_numbered_neighbours_are_one_row() -> None:
    blocks = [f"stage.{block}.{layer}.weight" for block in range(3) for layer in ("a", "b")]
    assert shown(layers(["stem.weight", *blocks, "head.weight"])) == [
        ("stem", 1, 16),
        ("stage.0-2", 3, 96),
        ("  a", 1, 16),
        ("  b", 1, 16),
        ("head", 1, 16),
    ]


def test_another_shape_or_a_missing_layer_ends_the_run() -> None:
    mixed = [*layers(["s.0.a.weight", "s.1.a.weight"]), *layers(["s.2.a.weight"], (8, 4))]
    assert shown(mixed) == [("s", 1, 64), ("  0-1.a", 2, 32), ("  2.a", 1, 32)]
    gap = layers(["s.0.a.weight", "s.2.a.weight", "s.3.a.weight", "s.3.b.weight"])
    assert [name for name, _, _ in shown(gap)] == ["s", "  0.a", "  2.a", "  3", "    a", "    b"]


def test_names_that_end_in_numbers_fold_too() -> None:
    assert [name for name, _, _ in shown(layers(["conv1.weight", "conv2.weight", "fc.weight"]))] == ["conv1-2", "fc"]


def test_depth_sums_what_lies_deeper() -> None:
    found = layers([f"body.stage{stage}.{block}.conv.weight" for stage in (1, 3) for block in (0, 1)])
    assert shown(found, 1) == [("body", 1, 64)]
    assert shown(found, 2) == [("body", 1, 64), ("  stage1", 1, 32), ("  stage3", 1, 32)]
    assert shown(found, 3)[1] == ("  stage1.0-1", 2, 32)


def test_tensors_of_the_top_level_and_of_modules_with_children() -> None:
    found = layers(["token", "encoder.position", "encoder.block.weight", "token.weight"])
    assert shown(found) == [("token", 1, 16), ("encoder", 1, 32), ("  block", 1, 16), ("token", 1, 16)]


def test_an_endless_number_is_a_name() -> None:
    digits = "1" * 30
    assert [name for name, _, _ in shown(layers([f"{digits}.weight", "b.weight"]))] == [digits, "b"]
