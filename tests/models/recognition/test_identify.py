"""What identify says of networks that are whole, wrapped, beheaded or changed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.models.recognition.conftest import Shapes, ShapesOf, specs_of
from tlvcli.models.builders import classifier_names
from tlvcli.models.recognition.identify import identify
from tlvcli.models.recognition.result import RecognisedPart, Recognition


def without(shapes: Shapes, *modules: str) -> Shapes:
    return {name: shape for name, shape in shapes.items() if not name.startswith(modules)}


def found(shapes: Shapes, prefix: str = "", **beside: tuple[int, ...]) -> Recognition:
    extra = {name.replace("__", "."): shape for name, shape in beside.items()}
    recognition = identify([*specs_of(shapes, prefix), *specs_of(extra)])
    assert recognition is not None
    return recognition


@pytest.mark.parametrize("name", classifier_names())
def test_every_classifier_of_any_classes_and_channels(name: str, shapes_of: ShapesOf) -> None:
    for num_classes, in_chans in ((1000, 3), (10, 4), (10, 1)):
        shapes = shapes_of(name, num_classes, in_chans)
        for order in (shapes, dict(sorted(shapes.items()))):
            recognition = found(order)
            assert (recognition.architecture, recognition.also, recognition.exact) == (name, [], True)
            assert (recognition.num_classes, recognition.in_chans) == (num_classes, in_chans)
            assert {part.state for part in recognition.parts} == {"intact"}


@pytest.mark.parametrize(
    ("num_classes", "in_chans", "sentence"),
    [
        (1000, 3, "resnet18, 1000 classes"),
        (10, 4, "resnet18 with 4 input channels, 10 classes"),
        (1, 1, "resnet18 with 1 input channel, 1 class"),
    ],
)
def test_the_sentence_of_a_whole_network(num_classes: int, in_chans: int, sentence: str, shapes_of: ShapesOf) -> None:
    assert found(shapes_of("resnet18", num_classes, in_chans)).sentence == sentence


def test_files_from_before_the_counter_of_batches(shapes_of: ShapesOf) -> None:
    shapes = {name: shape for name, shape in shapes_of("resnet18", 10, 4).items() if "num_batches" not in name}
    assert found(shapes).exact


def test_a_replaced_head(shapes_of: ShapesOf) -> None:
    trunk = without(shapes_of("resnet18", 1000, 3), "fc")
    recognition = found(trunk, fc__0__weight=(128, 512), fc__2__weight=(10, 128), fc__2__bias=(10,))
    assert recognition.sentence == "resnet18, 10 classes; head `fc` differs"
    assert (recognition.exact, recognition.num_classes, recognition.in_chans) == (False, 10, 3)
    assert (recognition.missing, recognition.extra) == (
        ["fc.weight", "fc.bias"],
        ["fc.0.weight", "fc.2.weight", "fc.2.bias"],
    )
    assert recognition.agreement == pytest.approx(100 / 103)
    vgg = without(shapes_of("vgg16", 1000, 3), "classifier")
    recognition = found(vgg, classifier__weight=(2, 25088), classifier__bias=(2,))
    assert recognition.sentence == "vgg16, 2 classes; head `classifier` differs"
    assert recognition.parts == [
        RecognisedPart(module="features.0", role="stem", state="intact"),
        RecognisedPart(module="classifier", role="head", state="replaced"),
    ]


def test_a_head_whose_tensors_disagree(shapes_of: ShapesOf) -> None:
    recognition = found({**shapes_of("resnet18", 1000, 3), "fc.bias": (999,)})
    assert (recognition.sentence, recognition.exact) == ("resnet18, 1000 classes; head `fc` differs", False)
    assert [part.state for part in recognition.parts] == ["intact", "replaced"]


def test_heads_that_disagree(shapes_of: ShapesOf) -> None:
    other = {"aux1.fc2.weight": (7, 1024), "aux1.fc2.bias": (7,)}
    recognition = found({**shapes_of("googlenet", 10, 4), **other})
    assert recognition.sentence == "googlenet with 4 input channels, 10 classes; auxiliary head `aux1` differs"
    assert (recognition.exact, recognition.differing) == (False, [])


def test_no_head_or_only_its_last_layer_gone(shapes_of: ShapesOf) -> None:
    headless = found(without(shapes_of("resnet50", 10, 4), "fc"))
    assert headless.sentence == "resnet50 with 4 input channels without its head"
    assert (headless.num_classes, headless.missing) == (None, ["fc.weight", "fc.bias"])
    cut = found(without(shapes_of("vgg16", 1000, 3), "classifier.6"))
    assert cut.sentence == "vgg16 without the last layer of its head `classifier`"
    assert found(without(shapes_of("vgg16", 1000, 3), "classifier")).sentence == "vgg16 without its head"


@pytest.mark.parametrize(("name", "module"), [("googlenet", "aux"), ("inception_v3", "AuxLogits")])
def test_auxiliary_heads_left_out(name: str, module: str, shapes_of: ShapesOf) -> None:
    recognition = found(without(shapes_of(name, 1000, 3), module))
    plural = "s" if name == "googlenet" else ""
    assert recognition.sentence == f"{name}, 1000 classes, without its auxiliary head{plural}"
    assert (recognition.exact, recognition.num_classes) == (False, 1000)


def test_another_stem(shapes_of: ShapesOf) -> None:
    recognition = found({**shapes_of("resnet18", 10, 4), "conv1.weight": (64, 3, 3, 3)})
    assert recognition.sentence == "resnet18, 10 classes; stem `conv1` differs"
    assert (recognition.in_chans, recognition.differing) == (3, ["conv1.weight"])


@pytest.mark.parametrize("prefix", ["backbone.", "model.", "net.", "features.", "encoder.model.", "a.b.c."])
def test_wrapped(prefix: str, shapes_of: ShapesOf) -> None:
    recognition = found(shapes_of("resnet18", 10, 4), prefix)
    assert recognition.sentence == f"resnet18 with 4 input channels, 10 classes, below `{prefix}`"
    assert (recognition.prefix, recognition.exact, recognition.beside) == (prefix, False, [])


def test_wrapped_with_something_beside(shapes_of: ShapesOf) -> None:
    trunk = without(shapes_of("resnet50", 1000, 3), "fc")
    recognition = found(trunk, "backbone.", projector__weight=(128, 2048), projector__bias=(128,))
    assert recognition.sentence == (
        "resnet50 without its head, below `backbone.`; 2 tensors beside it: projector.weight, projector.bias"
    )
    assert recognition.beside == ["projector.weight", "projector.bias"]


def test_one_of_two_encoders(shapes_of: ShapesOf) -> None:
    shapes = shapes_of("resnet18", 1000, 3)
    recognition = identify([*specs_of(shapes, "query."), *specs_of(shapes, "key."), *specs_of({"queue": (128, 9)})])
    assert recognition is not None
    assert (recognition.architecture, recognition.prefix, len(recognition.beside)) == ("resnet18", "query.", 123)


def test_like_another(shapes_of: ShapesOf) -> None:
    shapes = without(shapes_of("resnet50", 10, 4), "layer4.2.bn3.weight")
    recognition = found({**shapes, "layer3.0.conv1.weight": (300, 512, 1, 1)}, ema__decay=(), ema__steps=())
    assert recognition.sentence == ("like resnet50, but 1 tensor differs in shape, 1 is missing, 2 are extra")
    assert recognition.differing == ["layer3.0.conv1.weight"]
    assert recognition.missing == ["layer4.2.bn3.weight"]
    assert recognition.extra == ["ema.decay", "ema.steps"]
    num_kept = len([name for name in shapes if "num_batches" not in name]) - 1
    assert recognition.agreement == pytest.approx(num_kept / (num_kept + 1 + 2))
    assert (recognition.exact, recognition.parts) == (False, [])


def test_too_little_in_common(shapes_of: ShapesOf) -> None:
    half = dict(list(shapes_of("resnet50", 1000, 3).items())[:150])
    assert identify(specs_of(half)) is None
    assert identify(specs_of({"conv1.weight": (64, 3, 7, 7)})) is None
    assert identify([]) is None


def test_timm_where_torchvision_does_not_match(shapes_of: ShapesOf) -> None:
    pytest.importorskip("timm")
    recognition = found(shapes_of("timm:resnet18d", 10, 4))
    assert recognition.sentence == "timm:resnet18d with 4 input channels, 10 classes"
    assert (recognition.exact, recognition.num_classes, recognition.in_chans) == (True, 10, 4)
    shapes = shapes_of("timm:levit_128s", 10, 3)
    assert found(without(shapes, "head_dist")).sentence == ("timm:levit_128s, 10 classes, without its head `head_dist`")
    # Both have it; torchvision is named alone.
    assert found(shapes_of("timm:resnet18", 10, 4)).sentence == "resnet18 with 4 input channels, 10 classes"


def test_relatives_with_the_same_tensors(shapes_of: ShapesOf) -> None:
    pytest.importorskip("timm")
    recognition = found(shapes_of("timm:tf_efficientnet_b0", 1000, 3))
    assert recognition.architecture == "timm:efficientnet_b0"
    assert "timm:tf_efficientnet_b0" in recognition.also
    num_others = len(recognition.also)
    assert recognition.sentence == (
        f"timm:efficientnet_b0 (or one of {num_others} others with the same tensors), 1000 classes"
    )


def test_hostile_names_stay_on_one_line(shapes_of: ShapesOf) -> None:
    recognition = identify(specs_of(shapes_of("resnet18", 10, 4), "\x1b[31m\n."))
    assert recognition is not None
    assert recognition.sentence.endswith("below `�[31m�.`")
    assert recognition.sentence.isprintable()


def test_no_torch() -> None:
    code = (
        "import sys; from tlvcli.core.graph import TensorSpec; "
        "from tlvcli.models.recognition.describe import describe; "
        "from tlvcli.models.recognition.identify import identify; "
        "specs = [TensorSpec(f'layer{i}.weight', (8, 8, 3, 3), 'float32') for i in range(60)]; "
        "assert identify(specs) is None and describe(specs).convolutions == 60; "
        "assert not {'torch', 'torchvision', 'timm', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
