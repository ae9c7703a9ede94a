from tlvcli.io.natural_order import natural_key


def test_digits_compare_as_numbers_part_by_part() -> None:
    names = [
        "layer10.0.weight",
        "layer2.10.weight",
        "layer2.9.weight",
        "layer2.9.bias",
        "fc.weight",
        "0.weight",
    ]
    assert sorted(names, key=natural_key) == [
        "0.weight",
        "fc.weight",
        "layer2.9.weight",
        "layer2.9.bias",
        "layer2.10.weight",
        "layer10.0.weight",
    ]


def test_a_layers_own_tensors_stand_as_in_a_state_dict() -> None:
    names = [
        "bn.weight",
        "bn.bias",
        "bn.running_mean",
        "bn.running_var",
        "bn.num_batches_tracked",
        "bn.0.bias",
        "bn.extra",
        "bn.weight.part",
    ]
    assert sorted(sorted(names), key=natural_key) == names


def test_every_two_names_compare_and_ties_are_broken() -> None:
    names = ["a01", "a1", "a", "a" + "9" * 5000, "", ".", "1.a", "a.1", "1", "²", "aé", "weight", "bias.a"]
    backwards = list(reversed(names))
    assert sorted(names, key=natural_key) == sorted(backwards, key=natural_key)
    assert len({natural_key(name) for name in names}) == len(names)
