from io import StringIO

import torch
from rich.console import Console

from tlvcli.cli.render_difference import render_difference
from tlvcli.cli.render_statistics import narrowed, render_statistics, short
from tlvcli.cli.render_verification import render_verification
from tlvcli.core.tensors import TensorsInMemory
from tlvcli.pipelines.inspection.difference import describe_difference
from tlvcli.pipelines.inspection.statistics import describe_statistics
from tlvcli.pipelines.inspection.verification import VerificationSection, VerifiedAncestor, VerifiedReport


def plain() -> Console:
    return Console(file=StringIO(), width=80, highlight=False)


def drawn(console: Console) -> list[str]:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().splitlines()


def test_numbers_are_short() -> None:
    numbers = (0.0, 1.0, -0.0123456, 1234.5, 9999.9, 123456.0, 0.00012, 1e-38, None)
    assert [short(number) for number in numbers] == [
        "0",
        "1",
        "-0.0123",
        "1234",
        "10000",
        "1.2e5",
        "1.2e-4",
        "1.0e-38",
        "-",
    ]


def test_statistics() -> None:
    weight = torch.tensor([[0.5, -0.5, 0.5, -0.5], [0.0, 0.0, 0.0, 0.0]])
    nan = torch.tensor([1.0, float("nan")])
    section = describe_statistics(TensorsInMemory({"fc.weight": weight, "fc.bias": nan, "g": torch.ones(2)}))
    console = plain()
    render_statistics(section, console)
    lines = drawn(console)
    assert lines[:4] == [
        "tensor     mean    std  x He   min  max    0  flags",
        "fc.weight     0  0.354  0.50  -0.5  0.5  50%  1 dead",
        "fc.bias       1      0           1    1       1 NaN",
        "g             1      0           1    1       constant",
    ]
    assert lines[6:] == [
        "not finite   fc.bias",
        "constant     g",
        "dead         fc.weight: 1 of 2 filters near 0 (1)",
    ]
    console = plain()
    render_statistics(narrowed(section, {"g"}), console)
    lines = drawn(console)
    assert lines[:2] == ["tensor  mean  std  min  max  flags", "g          1    0    1    1  constant"]
    assert lines[4:] == ["constant     g"]


def test_difference() -> None:
    old = {f"backbone.{name}.weight": torch.arange(1.0, 5.0) * (index + 1) for index, name in enumerate("ab")}
    new = {name.removeprefix("backbone."): tensor for name, tensor in old.items()}
    common = {"c.weight": torch.tensor([3.0, 4.0]), "d.weight": torch.zeros(2), "e.weight": torch.ones(2)}
    changed = {"c.weight": torch.tensor([3.0, 5.0]), "d.weight": torch.ones(2), "e.weight": torch.ones(2).half()}
    console = plain()
    render_difference(describe_difference(TensorsInMemory(new | changed), TensorsInMemory(old | common)), console)
    assert drawn(console) == [
        "block  changed  relative L2",
        "c       1 of 1          0.2",
        "d       1 of 1        was 0",
        "e       0 of 1            0",
        "",
        "tensor    relative L2  largest  cosine  differ  dtype",
        "d.weight        was 0        1       -    100%  float32",
        "c.weight          0.2        1  0.9947     50%  float32",
        "e.weight            0        0  1.0000      0%  float32 -> float16",
        "",
        "tensors      0 unchanged, 2 changed, 1 of another dtype",
        "renamed      2 tensors: backbone.* -> *",
    ]


def test_of_many_other_shapes_the_first_are_shown() -> None:
    new, old = ({f"{index:02}.weight": torch.ones(width) for index in range(23)} for width in (2, 3))
    section = describe_difference(TensorsInMemory(new), TensorsInMemory(old))
    brief, whole = plain(), plain()
    render_difference(section, brief)
    render_difference(section, whole, verbose=True)
    assert drawn(brief)[-2:] == ["reshaped     19.weight: 3 -> 2", "             and 3 more; --verbose shows them"]
    assert drawn(whole)[-1] == "reshaped     22.weight: 3 -> 2"
    assert len(drawn(whole)) == 1 + 23


def test_no_difference() -> None:
    source, console = TensorsInMemory({"a": torch.ones(1)}), plain()
    render_difference(describe_difference(source, source), console)
    render_difference(describe_difference(source, source, atol=1e-6), console)
    assert drawn(console) == ["identical: all tensors (1)", "identical: all tensors (1) within 1e-06 + 0 |reference|"]


def test_verification() -> None:
    def ancestor(generation: int, status: str, **found: str) -> VerifiedAncestor:
        known = {"name": "a[b].pt", "sha256": "1" * 64, "path": None, "found_sha256": None}
        return VerifiedAncestor.model_validate({**known, "generation": generation, "status": status, **found})

    section = VerificationSection(
        sha256="0" * 64,
        made_by="tlv train (full)",
        ancestors=[
            ancestor(1, "holds", path="x/a[b].pt", found_sha256="1" * 64),
            ancestor(2, "changed", path="a[b].pt", found_sha256="2" * 64),
            ancestor(1, "missing"),
        ],
        reports=[VerifiedReport(path="r.json", status="changed", sha256="3" * 64)],
        holds=False,
    )
    console = plain()
    render_verification(section, console)
    assert drawn(console) == [
        f"sha256       {'0' * 64}",
        "history      tlv train (full), from",
        "holds        a[b].pt 111111111111 at x/a[b].pt",
        "changed        a[b].pt 111111111111 but a[b].pt is 222222222222",
        "missing      a[b].pt 111111111111",
        "changed      report r.json names 333333333333",
    ]
    console = plain()
    other = section.model_copy(update={"made_by": None, "ancestors": [], "reports": []})
    render_verification(other, console)
    assert drawn(console)[1] == "history      no provenance: written by another tool"
