"""What is said of networks that nobody knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.models.recognition.conftest import ShapesOf, specs_of
from tlvcli.io.checkpoint import open_checkpoint
from tlvcli.io.natural_order import natural_key
from tlvcli.models.recognition.describe import Attention, LastLayer, Stage, describe
from tlvcli.models.recognition.identify import identify


@pytest.mark.data
@pytest.mark.parametrize(
    ("file", "depth"), [("akamaster_resnet20-12fca82f.th", 20), ("akamaster_resnet56-4bfd9763.th", 56)]
)
def test_residual_networks_of_cifar(shared_data: Path, file: str, depth: int) -> None:
    specs = open_checkpoint(shared_data / "checkpoints" / file).specs
    blocks = (depth - 2) // 6
    assert identify(specs) is None
    assert describe(specs).sentence == (
        f"{depth - 1} convolutions (3×3) in a stem and 3 stages (layer1, layer2, layer3) of 16, 32, 64 channels, "
        "with batch norm; linear head `linear`, 10 classes; 3 input channels; "
        f"looks like a residual network of {depth} layers ({blocks}+{blocks}+{blocks} blocks)"
    )


def test_stages_of_bottlenecks(shapes_of: ShapesOf) -> None:
    shapes = shapes_of("resnet50", 10, 4)
    facts = describe(specs_of(shapes))
    assert facts.stages == [
        Stage(module="layer1", convolutions=10, channels=256, blocks=3),
        Stage(module="layer2", convolutions=13, channels=512, blocks=4),
        Stage(module="layer3", convolutions=19, channels=1024, blocks=6),
        Stage(module="layer4", convolutions=10, channels=2048, blocks=3),
    ]
    assert (facts.convolutions, facts.batch_norms, facts.linear_layers, facts.in_chans) == (53, 53, 1, 4)
    assert facts.kernels == {"1×1": 36, "3×3": 16, "7×7": 1}
    assert facts.head == LastLayer(module="fc", kind="linear", inputs=2048, num_classes=10)
    assert facts.guess == "a residual network (3+4+6+3 blocks)"


@pytest.mark.parametrize("name", ["resnet50", "vgg11_bn", "densenet121", "vit_b_16", "swin_t", "regnet_y_400mf"])
def test_a_safetensors_file_without_order_reads_the_same(name: str, shapes_of: ShapesOf) -> None:
    specs = specs_of(shapes_of(name, 10, 4))
    assert describe(sorted(specs, key=lambda spec: natural_key(spec.name))) == describe(specs)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "vgg11_bn",
            "8 convolutions (3×3), with batch norm; 3 linear layers; linear head `classifier.6`, 10 classes; "
            "4 input channels; looks like a convolutional network",
        ),
        (
            "mobilenet_v2",
            "52 convolutions (1×1, 3×3), with batch norm; linear head `classifier.1`, 10 classes; 4 input channels; "
            "looks like a network of depthwise separable convolutions",
        ),
        (
            "vit_b_16",
            "1 convolution (16×16); 12 attention layers of width 768; linear head `heads.head`, 10 classes; "
            "4 input channels; looks like a vision transformer of 12 blocks",
        ),
        (
            "squeezenet1_1",
            "26 convolutions (1×1, 3×3); convolution head `classifier.1`, 10 classes; 4 input channels; "
            "looks like a convolutional network",
        ),
    ],
)
def test_kinds_of_networks(name: str, sentence: str, shapes_of: ShapesOf) -> None:
    assert describe(specs_of(shapes_of(name, 10, 4))).sentence == sentence


def test_a_perceptron() -> None:
    facts = describe(specs_of({"0.weight": (256, 784), "0.bias": (256,), "2.weight": (10, 256)}))
    assert facts.widths == [784, 256, 10]
    assert facts.sentence == (
        "2 linear layers of widths 784-256-10; linear head `2`, 10 classes; looks like a multilayer perceptron"
    )


def test_a_language_model_has_no_classes_of_images() -> None:
    block = {"q_proj.weight": (64, 64), "k_proj.weight": (64, 64), "mlp.out.weight": (64, 256)}
    shapes = {f"layers.{number}.{name}": shape for number in range(3) for name, shape in block.items()}
    facts = describe(specs_of({"embed.weight": (1000, 64), **shapes, "norm.weight": (64,)}))
    assert facts.attention == Attention(layers=3, width=64)
    assert (facts.in_chans, facts.guess) == (None, "a transformer of 3 blocks")


def test_no_layers_at_all() -> None:
    assert describe(specs_of({"scale": (), "shift": (3,)})).sentence == "neither convolutions nor linear layers"
    assert describe([]).guess is None


def test_a_trunk_has_no_head(shapes_of: ShapesOf) -> None:
    shapes = {name: shape for name, shape in shapes_of("resnet50", 10, 4).items() if not name.startswith("fc")}
    facts = describe(specs_of(shapes))
    assert (facts.head, facts.linear_layers) == (None, 0)
