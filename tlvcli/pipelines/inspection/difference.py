"""`tlv inspect --against OTHER`: what became of every tensor of the other checkpoint, the reference."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from tlvcli.core.errors import TlvError
from tlvcli.core.graph import TensorSpec
from tlvcli.core.report import ReportPart
from tlvcli.core.tensors import TensorSource
from tlvcli.io.natural_order import natural_key

if TYPE_CHECKING:
    from tlvcli.methods.weights.difference import ValueDifference
    from tlvcli.methods.weights.renames import PrefixChange

_RELATIVE = "||x - r|| / ||r|| over places where both are finite; null where the reference r is all zero"


class Values(ReportPart):
    """How far the values of one tensor are from the reference's; NaN equals NaN, and -0 equals 0."""

    differing: int = Field(description="elements beyond the tolerance atol + rtol |r|")
    relative_l2: float | None = Field(description=_RELATIVE)
    max_abs: float | None = Field(description="largest |x - r| of finite values; null beyond float64")
    cosine: float | None = Field(description="of the angle between x and r; null where one of them is all zero")


class ChangedTensor(ReportPart):
    """The same name and shape, but other values, or another dtype."""

    name: str
    dtype: str
    reference_dtype: str
    elements: int
    values: Values


class ReshapedTensor(ReportPart):
    """The same name, but another shape; values were not compared."""

    name: str
    shape: tuple[int, ...]
    reference_shape: tuple[int, ...]


class RenamedTensor(ReportPart):
    """The same shape, dtype and bytes under another name."""

    name: str
    reference_name: str


class PrefixRename(ReportPart):
    """What at least half of the renamed tensors have in common: the beginning that was exchanged."""

    prefix: str
    reference_prefix: str
    tensors: int


class BlockDifference(ReportPart):
    """All floating tensors that were compared below one module."""

    name: str = Field(description="the part of the names before a dot; empty for names without")
    tensors: int
    changed: int
    relative_l2: float | None = Field(description=_RELATIVE)


class DifferenceSection(ReportPart):
    """What differs between this checkpoint and the reference; lists are sorted by name."""

    atol: float
    rtol: float
    identical: bool = Field(description="same names, shapes and dtypes, and no value beyond the tolerance")
    unchanged: int
    changed: list[ChangedTensor] = Field(description="of the same dtype")
    retyped: list[ChangedTensor] = Field(description="of another dtype, compared in float64")
    reshaped: list[ReshapedTensor]
    renamed: list[RenamedTensor]
    prefix_rename: PrefixRename | None = Field(description="null where the renamed have no prefix in common")
    added: list[str] = Field(description="not in the reference")
    removed: list[str] = Field(description="only in the reference")
    blocks: list[BlockDifference] = Field(description="in the order of the checkpoint")


def describe_difference(
    source: TensorSource, reference: TensorSource, *, atol: float = 0.0, rtol: float = 0.0
) -> DifferenceSection:
    """Compare two checkpoints tensor by tensor; memory holds two tensors at most.

    Raises:
        TlvError: `not-comparable` where they have neither a name nor the bytes of a tensor in common.
    """
    # Only here: numpy takes a tenth of a second, which a look at the header does not need.
    from tlvcli.methods.weights.difference import value_differences
    from tlvcli.methods.weights.renames import find_prefix_change, find_renames

    new, old = ({spec.name: spec for spec in one.specs} for one in (source, reference))
    added = [spec for name, spec in new.items() if name not in old]
    removed = [spec for name, spec in old.items() if name not in new]
    renames = find_renames(reference, removed, source, added)
    common = [spec for name, spec in new.items() if name in old]
    if not common and not renames:
        raise _not_comparable(source.specs, reference.specs)
    pairs = [(old[spec.name], spec) for spec in common if old[spec.name].shape == spec.shape]
    differences = value_differences(reference, source, pairs, atol=atol, rtol=rtol)
    found = {spec.name: difference for (_, spec), difference in zip(pairs, differences, strict=True)}
    changed = [_describe_changed(*pair, found[pair[1].name]) for pair in pairs]
    retyped = [tensor for tensor in changed if tensor.dtype != tensor.reference_dtype]
    changed = [tensor for tensor in changed if tensor.dtype == tensor.reference_dtype and tensor.values.differing]
    reshaped = [
        ReshapedTensor(name=spec.name, shape=spec.shape, reference_shape=old[spec.name].shape)
        for spec in common
        if old[spec.name].shape != spec.shape
    ]
    renamed = [RenamedTensor(name=rename.after, reference_name=rename.before) for rename in renames]
    added_names = {spec.name for spec in added} - {rename.after for rename in renames}
    removed_names = {spec.name for spec in removed} - {rename.before for rename in renames}
    return DifferenceSection(
        atol=atol,
        rtol=rtol,
        identical=not (changed or retyped or reshaped or renamed or added_names or removed_names),
        unchanged=len(pairs) - len(changed) - len(retyped),
        changed=sorted(changed, key=lambda tensor: natural_key(tensor.name)),
        retyped=sorted(retyped, key=lambda tensor: natural_key(tensor.name)),
        reshaped=sorted(reshaped, key=lambda tensor: natural_key(tensor.name)),
        renamed=sorted(renamed, key=lambda tensor: natural_key(tensor.name)),
        prefix_rename=_describe_prefix(find_prefix_change(renames)),
        added=sorted(added_names, key=natural_key),
        removed=sorted(removed_names, key=natural_key),
        blocks=_blocks([spec for _, spec in pairs if _is_floating(spec)], found),
    )


def _not_comparable(specs: Sequence[TensorSpec], reference: Sequence[TensorSpec]) -> TlvError:
    return TlvError(
        "not-comparable",
        f"the checkpoints have no tensor in common: one has {_example(specs)}, the other {_example(reference)}",
        "compare checkpoints of one network; tlv inspect shows the names, --key takes another part of a nested file",
    )


def _example(specs: Sequence[TensorSpec]) -> str:
    return specs[0].name if specs else "none"


def _describe_changed(before: TensorSpec, spec: TensorSpec, difference: ValueDifference) -> ChangedTensor:
    return ChangedTensor(
        name=spec.name,
        dtype=spec.dtype,
        reference_dtype=before.dtype,
        elements=spec.num_elements,
        values=Values(
            differing=difference.differing,
            relative_l2=_finite(difference.relative_l2),
            max_abs=_finite(difference.largest),
            cosine=_finite(difference.cosine),
        ),
    )


def _describe_prefix(change: PrefixChange | None) -> PrefixRename | None:
    if change is None:
        return None
    return PrefixRename(prefix=change.after, reference_prefix=change.before, tensors=change.renames)


def _blocks(specs: Sequence[TensorSpec], found: dict[str, ValueDifference]) -> list[BlockDifference]:
    from tlvcli.methods.weights.difference import ValueDifference

    blocks: dict[str, list[ValueDifference]] = {}
    depth = _depth_of_blocks([spec.name for spec in specs])
    for spec in specs:
        block = ".".join(spec.name.split(".")[:-1][:depth])
        blocks.setdefault(block, []).append(found[spec.name])
    described = []
    for name, members in blocks.items():
        total = ValueDifference()
        for member in members:
            total = total.merge(member)
        number = sum(member.differing > 0 for member in members)
        described.append(
            BlockDifference(name=name, tensors=len(members), changed=number, relative_l2=_finite(total.relative_l2))
        )
    return described


def _depth_of_blocks(names: Iterable[str]) -> int:
    """Return how many parts of a name make a block: the first ones that are not the same everywhere."""
    modules = [name.split(".")[:-1] for name in names]
    deepest = max(map(len, modules), default=1)
    return next((depth for depth in range(1, deepest) if len({tuple(one[:depth]) for one in modules}) > 1), deepest)


def _is_floating(spec: TensorSpec) -> bool:
    return "float" in spec.dtype or spec.dtype == "complex64"


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None
