from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from tlvcli.core.errors import TlvError
from tlvcli.io.unwrap import split_prefix, unwrap

FILE = Path("model.pt")
WEIGHTS = {"conv.weight": torch.zeros(2, 3), "conv.bias": torch.zeros(2)}
OTHERS = {"conv.weight": torch.ones(2, 3), "conv.bias": torch.ones(2)}


def refused(content: object, key: str | None, error_id: str) -> TlvError:
    with pytest.raises(TlvError) as caught:
        unwrap(content, FILE, key)
    assert caught.value.error_id == error_id
    assert "model.pt" in caught.value.message
    return caught.value


@pytest.mark.parametrize(
    ("content", "key", "alternatives", "ignored"),
    [
        (WEIGHTS, None, (), ()),
        (OrderedDict(WEIGHTS), None, (), ()),
        ({"state_dict": WEIGHTS, "epoch": 3}, "state_dict", (), ("epoch",)),
        ({"epoch": 3, "net": WEIGHTS, "acc": 0.9}, "net", (), ("epoch", "acc")),
        ({"ema": OTHERS, "model": WEIGHTS}, "model", ("ema",), ()),
        ({"state_dict_ema": OTHERS, "state_dict": WEIGHTS}, "state_dict", ("state_dict_ema",), ()),
        ({"params_ema": OTHERS, "params": WEIGHTS}, "params", ("params_ema",), ()),
        ({"model_ema": WEIGHTS, "epoch": 1}, "model_ema", (), ("epoch",)),
        ({"ema": {"state_dict": WEIGHTS, "decay": 0.9}}, "ema.state_dict", (), ("ema.decay",)),
        (
            {"model": {"state_dict": WEIGHTS, "ema": OTHERS, "lr": 1}, "epoch": 2},
            "model.state_dict",
            ("model.ema",),
            ("epoch", "model.lr"),
        ),
        ({**WEIGHTS, "ema": OTHERS}, None, ("ema",), ()),
        ({**WEIGHTS, "fc._extra_state": None, "step": 4}, None, (), ("fc._extra_state", "step")),
        # The best accuracy so far, as the ImageNet example of PyTorch keeps it.
        ({"best_acc1": torch.tensor([71.0]), "state_dict": WEIGHTS}, "state_dict", (), ("best_acc1",)),
        ({"best_acc1": torch.tensor(71.0), "detector": WEIGHTS}, "detector", (), ("best_acc1",)),
        ({"class_weights": torch.ones(9), "model": WEIGHTS}, "model", (".",), ("class_weights",)),
        ({"generator": WEIGHTS, "generator_ema": OTHERS}, "generator", ("generator_ema",), ()),
        ({"a": {"b": {"c": {"model": WEIGHTS}}}}, "a.b.c.model", (), ()),
        ({"first": OTHERS, "same": WEIGHTS, "net": WEIGHTS}, "net", ("first", "same"), ()),
        ({"model": WEIGHTS, 7: OTHERS}, "model", (), ("7",)),
        ({"scale": torch.tensor(2.0)}, None, (), ()),
        (
            {"model": WEIGHTS, "optimizer": {"state": {"conv.weight": {"exp_avg": torch.ones(2, 3)}}}},
            "model",
            (),
            ("optimizer",),
        ),
    ],
)
def test_finds_the_weights(
    content: Any, key: str | None, alternatives: tuple[str, ...], ignored: tuple[str, ...]
) -> None:
    found = unwrap(content, FILE, None)
    assert (found.key, found.prefix) == (key, "")
    assert found.alternatives == alternatives
    assert found.ignored == ignored
    if content.keys() != {"scale"}:
        assert list(found.tensors) == list(WEIGHTS)
        assert not found.tensors["conv.weight"].any()


@pytest.mark.parametrize(
    ("key", "took", "value"),
    [
        ("ema", "ema.state_dict", 1.0),
        ("ema.state_dict", "ema.state_dict", 1.0),
        ("model", "model", 0.0),
        ("v1.0.weights", "v1.0.weights", 1.0),
        ("3", "3", 1.0),
        (".", None, 1.0),
    ],
)
def test_key_names_another(key: str, took: str | None, value: float) -> None:
    content = {
        "model": WEIGHTS,
        "ema": {"state_dict": OTHERS, "decay": 0.9},
        "v1.0": {"weights": OTHERS},
        3: OTHERS,
        "conv.weight": torch.ones(2, 3),
    }
    found = unwrap(content, FILE, key)
    assert found.key == took
    assert found.tensors["conv.weight"].flatten()[0] == value
    assert set(found.alternatives) | {found.key or "."} >= {"model", "ema.state_dict", "v1.0.weights", "."}


def test_unknown_key_names_the_candidates() -> None:
    content = {"model": WEIGHTS, "ema": OTHERS, "epoch": 3}
    assert "ema, model" in refused(content, "xyz", "key-unknown").hint
    assert "model?" in refused(content, "modle", "key-unknown").hint
    refused(content, "epoch", "key-unknown")
    refused(content, "", "key-unknown")
    refused(content, ".", "key-unknown")


def test_equally_likely_nests_need_a_key() -> None:
    error = refused({"generator": WEIGHTS, "discriminator": OTHERS}, None, "key-needed")
    assert "generator, discriminator" in error.message
    assert unwrap({"generator": WEIGHTS, "discriminator": OTHERS}, FILE, "generator").key == "generator"


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, [torch.ones(2)], torch.ones(2), None, {1: torch.ones(2)}])
def test_no_tensors(content: object) -> None:
    refused(content, None, "no-tensors")


def test_a_file_that_holds_itself() -> None:
    content: dict[str, Any] = {"model": WEIGHTS}
    content["self"] = content
    assert unwrap(content, FILE, None).key == "model"


@pytest.mark.parametrize(
    ("names", "prefix", "beside"),
    [
        (("conv.weight", "module.bias"), "", ()),
        (("module.conv.weight", "module.bias"), "module.", ()),
        (("module.module.a", "module.module.b"), "module.module.", ()),
        (("_orig_mod.module.a", "_orig_mod.module.b"), "_orig_mod.module.", ()),
        (("n_averaged", "module.a", "module.b"), "module.", ("n_averaged",)),
        (("_orig_mod.n_averaged", "_orig_mod.module.a"), "_orig_mod.module.", ("_orig_mod.n_averaged",)),
        (("n_averaged",), "", ()),
        (("n_averaged", "conv.weight"), "", ()),
        (("module.", "module.a"), "", ()),
        (("modules.a", "modules.b"), "", ()),
    ],
)
def test_prefixes_that_every_name_has(names: tuple[str, ...], prefix: str, beside: tuple[str, ...]) -> None:
    assert split_prefix(names) == (prefix, frozenset(beside))


def test_real_wrappers() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    plain = list(module.state_dict())
    averaged = unwrap(AveragedModel(module).state_dict(), FILE, None)
    assert (list(averaged.tensors), averaged.prefix, averaged.ignored) == (plain, "module.", ("n_averaged",))
    parallel = unwrap({"model": nn.DataParallel(module).state_dict()}, FILE, None)
    assert (list(parallel.tensors), parallel.prefix) == (plain, "module.")


@pytest.mark.slow  # torch.compile imports for seconds
def test_a_compiled_module() -> None:
    module = nn.Conv2d(1, 2, 3)
    compiled = unwrap(torch.compile(module).state_dict(), FILE, None)
    assert (list(compiled.tensors), compiled.prefix) == (["weight", "bias"], "_orig_mod.")


def test_no_average_in_a_plain_state_dict() -> None:
    with pytest.raises(TlvError, match="holds no moving average, only plain weights"):
        unwrap(WEIGHTS, Path("a.pt"), None, ema=True)
