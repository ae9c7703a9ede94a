"""What `tlv analyze-stats --weights` found: the kernels of every layer, from the weights alone."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from tlvcli.core.graph import LayerKind
from tlvcli.core.report import ReportPart


class LayerKernels(ReportPart):
    """The kernels of one layer: the rows of its weight as a matrix of outputs by inputs times kernel area.

    Lists have an entry per kernel; figures of values that are not finite are null.
    """

    name: str
    kind: LayerKind = Field(description="as the names and shapes suggest")
    weight: str = Field(description="the tensor")
    shape: tuple[int, ...]
    dtype: str
    spectral_norm: float | None = Field(description="largest singular value; null where a weight is not finite")
    stable_rank: float | None = Field(
        description="sum of squared singular values over the largest; null for zeros too (Rudelson and Vershynin 2007)"
    )
    effective_rank: float | None = Field(
        description="exponential of the entropy of the singular values over their sum; null for zeros too "
        "(Roy and Vetterli 2007)"
    )
    largest_rank: int = Field(description="the smaller side of the matrix, which no rank exceeds")
    variance: list[float | None] = Field(description="population variance of each kernel, by which TLV ranks them")
    l1: list[float | None] = Field(description="sum of magnitudes of each kernel")
    l2: list[float | None] = Field(description="root of the sum of squares of each kernel")
    dead: list[int] = Field(
        description="kernels of which no weight exceeds 0.1 of the tensor's root mean square (or all are 0, where "
        "they have fewer than 4 weights)"
    )
    copies: dict[int, int] = Field(description="kernels with the same values as an earlier one, and which; not zeros")


class WeightsSection(ReportPart):
    """The layers with a floating weight of two dimensions or more, in the order of the checkpoint."""

    layers: list[LayerKernels]
    without_kernels: list[str] = Field(description="the other layers, as normalisations; in order")
    kernels: int
    dead: int
    copies: int

    def rows(self) -> Iterator[tuple[str, str, int, float | None, float | None, float | None, bool, int | None]]:
        """Yield layer, kind, kernel, variance, l1, l2, whether it is dead and what it is a copy of, for each kernel."""
        for layer in self.layers:
            dead = set(layer.dead)
            for kernel, figures in enumerate(zip(layer.variance, layer.l1, layer.l2, strict=True)):
                yield layer.name, layer.kind, kernel, *figures, kernel in dead, layer.copies.get(kernel)
