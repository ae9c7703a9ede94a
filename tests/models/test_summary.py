"""Rows and totals against torchinfo, torchvision's published figures and hand counts; failures; nothing is touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import torchinfo
import torchvision
from torch import Tensor, nn

from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Architecture
from tlvcli.models.builders import build, build_skeleton
from tlvcli.models.summary import SummaryRow, summarise

EXAMPLE = Path(__file__).parents[2] / "examples" / "vgg16_two_classes.py"

# Side of the image in pixels, and the bytes of parameters that torchinfo leaves out of its sum: those of auxiliary
# heads, of layer scales, and of attention with its position tables and class tokens.
ARCHITECTURES = {
    "alexnet": (64, 0),
    "convnext_tiny": (64, 26_496),
    "densenet121": (32, 0),
    "efficientnet_b0": (64, 0),
    "googlenet": (64, 17_401_936),
    "inception_v3": (96, 10_261_544),
    "mnasnet0_5": (64, 0),
    "mobilenet_v3_large": (64, 0),
    "regnet_y_400mf": (64, 0),
    "resnet50": (64, 0),
    "shufflenet_v2_x1_0": (64, 0),
    "squeezenet1_1": (64, 0),
    "swin_t": (64, 34_668_648),
    "vgg16": (64, 0),
    "vit_b_16": (224, 114_001_920),
}


def skeleton(name: str, num_classes: int = 10) -> nn.Module:
    return build_skeleton(Architecture(name=name, num_classes=num_classes))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_totals_are_those_of_torchinfo(name: str) -> None:
    side, left_out = ARCHITECTURES[name]
    real = build(Architecture(name=name, num_classes=10), seed=0)
    theirs = torchinfo.summary(real, (1, 3, side, side), verbose=0, device="cpu")
    summary = summarise(skeleton(name), (1, 3, side, side))
    totals = summary.totals
    assert totals is not None
    assert (totals.parameters, totals.trainable_parameters) == (theirs.total_params, theirs.trainable_params)
    assert totals.mult_adds == theirs.total_mult_adds
    assert totals.forward_backward_bytes == theirs.total_output_bytes
    assert totals.parameter_bytes == theirs.total_param_bytes + left_out
    assert totals.parameter_bytes == 4 * totals.parameters
    # torchinfo asks Python for the size of the storage, which has an object's head besides its elements.
    assert totals.input_bytes == 4 * 3 * side * side
    assert 0 <= theirs.total_input - totals.input_bytes <= 128
    assert sum(row.parameters for row in summary.rows) == totals.parameters
    assert sum(row.products for row in summary.rows) == totals.products


@pytest.mark.parametrize("name", ["resnet50", "inception_v3"])
def test_rows_are_those_of_torchinfo(name: str) -> None:
    side, _ = ARCHITECTURES[name]
    theirs = torchinfo.summary(skeleton(name), (1, 3, side, side), verbose=0, device="meta", depth=9).summary_list
    rows = summarise(skeleton(name), (1, 3, side, side)).rows
    assert [(row.depth, row.class_name, _shape(row)) for row in rows] == [
        (info.depth, info.class_name, tuple(info.output_size)) for info in theirs
    ]
    assert [row.mult_adds for row in rows] == [info.macs if info.is_leaf_layer else 0 for info in theirs]
    assert [row.parameters for row in rows] == [
        info.num_params if info.is_leaf_layer else info.leftover_params() for info in theirs
    ]


def _shape(row: SummaryRow) -> tuple[int, ...]:
    return row.output_shapes[0]


@pytest.mark.parametrize("name", ["resnet18", "vit_b_16", "swin_t", "vit_h_14"])
def test_products_are_what_torchvision_publishes(name: str) -> None:
    weights = torchvision.models.get_model_weights(name)
    published = min(entry.meta["_ops"] for entry in weights)  # in 1e9, of the smallest image
    totals = summarise(skeleton(name, 1000)).totals
    assert totals is not None
    assert totals.products / 1e9 == pytest.approx(published, abs=6e-4)


# The seed's rows: convolutions of a width, their parameters, on maps of a side that the pooling then makes smaller.
SEED_BLOCKS = [
    (64, (1_792, 36_928), 244, 122),
    (128, (73_856, 147_584), 122, 61),
    (256, (295_168, 590_080, 590_080), 61, 30),
    (512, (1_180_160, 2_359_808, 2_359_808), 30, 15),
    (512, (2_359_808, 2_359_808, 2_359_808), 15, 7),
]


def _rows_of_block(
    width: int, parameters: tuple[int, ...], side: int, pooled: int
) -> Iterator[tuple[int, str, tuple[int, int, int], int]]:
    for number in parameters:
        yield 2, "Conv2d", (width, side, side), number
        yield 2, "ReLU", (width, side, side), 0
    yield 2, "MaxPool2d", (width, pooled, pooled), 0


def test_vgg16_with_a_new_head_and_frozen_convolutions() -> None:
    summary = summarise(skeleton(f"{EXAMPLE}:make", 2), (1, 3, 244, 244))
    totals = summary.totals
    assert totals is not None
    assert (totals.parameters, totals.trainable_parameters, totals.frozen_parameters) == (
        14_764_866,
        50_178,
        14_714_688,
    )
    assert f"{totals.mult_adds / 1e9:.2f}" == "17.99"
    sizes = (totals.input_bytes, totals.forward_backward_bytes, totals.parameter_bytes, totals.total_bytes)
    assert [f"{size / 1e6:.2f}" for size in sizes] == ["0.71", "128.13", "59.06", "187.91"]
    shown = [(row.depth, row.class_name, row.output_shapes[0][1:], row.parameters) for row in summary.rows[1:]]
    assert shown == [
        (1, "Sequential", (512, 7, 7), 0),
        *(row for block in SEED_BLOCKS for row in _rows_of_block(*block)),
        (1, "AdaptiveAvgPool2d", (512, 7, 7), 0),
        (1, "Linear", (2,), 50_178),
    ]
    assert summary.rows[20] == SummaryRow(
        name="features.18",
        depth=2,
        class_name="ReLU",
        output_shapes=((1, 512, 30, 30),),
        parameters=0,
        trainable_parameters=0,
        mult_adds=0,
        products=0,
        is_recursive=False,
    )
    convolutions = [row for row in summary.rows if row.class_name == "Conv2d"]
    assert [row.parameters for row in convolutions][:3] == [1_792, 36_928, 73_856]
    assert not any(row.trainable_parameters for row in convolutions)
    assert summary.rows[-1].trainable_parameters == summary.rows[-1].parameters == 50_178


def test_attention_has_its_parameters_and_its_products() -> None:
    summary = summarise(skeleton("vit_b_16"))
    row = next(row for row in summary.rows if row.name.endswith("encoder_layer_3.self_attention"))
    width, tokens = 768, 197
    assert row.parameters == 4 * width * (width + 1)
    assert row.products == 4 * tokens * width * width + 2 * tokens * tokens * width
    assert row.mult_adds == 0
    assert summary.rows[0].parameters == width  # the class token
    assert summary.not_called[:1] == ("encoder.layers.encoder_layer_0.self_attention.out_proj",)


def test_auxiliary_heads_count_though_they_are_not_called() -> None:
    summary = summarise(skeleton("googlenet"), (1, 3, 64, 64))
    heads = [skeleton("googlenet").get_submodule(name) for name in ("aux1", "aux2")]
    assert summary.not_called == ("aux1", "aux2")
    assert (
        summary.rows[0].parameters == sum(value.numel() for head in heads for value in head.parameters()) == 4_350_484
    )


class Looped(nn.Module):
    """A ModuleList, a layer that is called twice, and a tuple and a dict for outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Conv2d(3, 3, 3, padding=1, bias=False), nn.ReLU()])
        self.recurrent = nn.LSTM(3, 5, batch_first=True)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        for block in (self.blocks[0], self.blocks[1], self.blocks[0]):
            images = block(images)
        sequence, _ = self.recurrent(images.flatten(2).transpose(1, 2))
        return {"images": images, "sequence": sequence}


def test_containers_repetitions_and_several_outputs() -> None:
    summary = summarise(Looped(), (2, 3, 4, 4))
    assert [(row.name, row.is_recursive, row.parameters) for row in summary.rows] == [
        ("", False, 0),
        ("blocks", False, 0),
        ("blocks.0", False, 81),
        ("blocks.1", False, 0),
        ("blocks.0", True, 0),
        ("recurrent", False, 4 * 5 * (3 + 5 + 2)),
    ]
    assert summary.rows[0].output_shapes == ((2, 3, 4, 4), (2, 16, 5))
    assert summary.rows[1].output_shapes == ()
    assert summary.rows[5].output_shapes == ((2, 16, 5), (1, 2, 5), (1, 2, 5))
    theirs = torchinfo.summary(Looped(), (2, 3, 4, 4), verbose=0, device="cpu")
    totals = summary.totals
    assert totals is not None
    assert (totals.parameters, totals.mult_adds) == (theirs.total_params, theirs.total_mult_adds)
    assert totals.mult_adds == 2 * 81 * 2 * 16 + 200 * 2 * 16
    assert totals.forward_backward_bytes == theirs.total_output_bytes


def test_a_shared_parameter_counts_once() -> None:
    module = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    module[1].weight = module[0].weight
    summary = summarise(module, (1, 3))
    assert summary.totals is not None
    assert summary.totals.parameters == 9
    assert [row.parameters for row in summary.rows] == [0, 9, 0]


def test_a_failure_names_the_layer_and_keeps_the_rows() -> None:
    summary = summarise(skeleton("vgg16"), (1, 3, 16, 16))
    assert summary.totals is None
    assert summary.failure is not None
    failure = summary.failure
    assert (failure.name, failure.class_name, failure.input_shapes) == ("features.30", "MaxPool2d", ((1, 512, 1, 1),))
    assert "Output size is too small" in failure.message
    assert not failure.needs_values
    assert [row.name for row in summary.rows][-2:] == ["features.29", "features.30"]
    assert summary.rows[-2].output_shapes == ((1, 512, 1, 1),)
    assert summary.rows[-1].output_shapes == ()
    assert summary.rows[0].parameters == 0  # nobody knows that the classifier would not have been called


class Asking(nn.Module):
    def __init__(self, ask: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.ask = ask
        self.last = nn.Conv2d(4, 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.first(images)
        self.ask(features)
        result: Tensor = self.last(features)
        return result


@pytest.mark.parametrize(
    "ask",
    [
        lambda features: features.sum().item(),
        lambda features: bool(features.max() > 0),
        lambda features: features[features > 0],
        lambda features: features.detach().numpy(),
    ],
)
def test_code_that_needs_values_says_so_and_gets_them(ask: Callable[[Tensor], object]) -> None:
    module = Asking(ask)
    by_shapes = summarise(module, (1, 3, 8, 8))
    assert by_shapes.failure is not None
    assert (by_shapes.failure.name, by_shapes.failure.needs_values) == ("", True)
    computed = summarise(module, (1, 3, 8, 8), with_values=True)
    assert computed.totals is not None
    assert computed.totals.mult_adds == (4 * 27 + 4) * 36 + (2 * 4 + 2) * 36
    assert computed.totals.products == 4 * 27 * 36 + 2 * 4 * 36


def test_shapes_and_values_agree() -> None:
    module = build(Architecture(name="resnet18", num_classes=10), seed=0)
    assert summarise(module, (2, 3, 33, 47)) == summarise(module, (2, 3, 33, 47), with_values=True)


@pytest.mark.parametrize("side", [32, 4])
@pytest.mark.parametrize("with_values", [False, True])
def test_the_module_is_left_as_it_was(side: int, with_values: bool) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 5), nn.BatchNorm2d(4), nn.Dropout(), nn.Conv2d(4, 2, 3))
    module[0].requires_grad_(False)
    module[1].eval()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    tensors = [id(parameter) for parameter in module.parameters()]
    random_state = torch.get_rng_state()
    fast_path = torch.backends.mha.get_fastpath_enabled()
    summary = summarise(module, (1, 3, side, side), with_values=with_values)
    assert (summary.failure is None) == (side == 32)
    assert [part.training for part in module.modules()] == [True, True, False, True, True]
    assert [parameter.requires_grad for parameter in module.parameters()] == [False, False, True, True, True, True]
    assert [id(parameter) for parameter in module.parameters()] == tensors
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())
    assert torch.equal(torch.get_rng_state(), random_state)
    assert torch.backends.mha.get_fastpath_enabled() == fast_path


def test_a_skeleton_keeps_what_is_frozen() -> None:
    module = skeleton(f"{EXAMPLE}:make", 2)
    assert module.get_parameter("features.0.weight").is_meta
    assert [name for name, parameter in module.named_parameters() if parameter.requires_grad] == [
        "classifier.weight",
        "classifier.bias",
    ]


def test_a_lazy_layer_is_refused() -> None:
    with pytest.raises(TlvError, match=r"1\.weight has no shape") as caught:
        summarise(nn.Sequential(nn.Flatten(), nn.LazyLinear(3)), (1, 3, 8, 8))
    assert caught.value.error_id == "architecture-invalid"


def test_half_precision_halves_the_bytes() -> None:
    full, half = (summarise(module, (1, 3, 8, 8)).totals for module in (nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3).half()))
    assert full is not None
    assert half is not None
    assert full.total_bytes == 4 * (3 * 64 + 2 * 4 * 36 + 112) == 2 * half.total_bytes
    assert full.products == 4 * 27 * 36
