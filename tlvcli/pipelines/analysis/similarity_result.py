"""What `tlv analyze-stats --against` found: how alike every layer of one network is to every layer of another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import Field

from tlvcli.core.file_names import NamedText
from tlvcli.core.provenance import Architecture, Preprocessing
from tlvcli.core.report import ReportPart
from tlvcli.models.activations import Stage, Tap


class ComparedLayer(ReportPart):
    """One layer, and the layer of the other network that is most like it."""

    name: str
    stage: Stage = Field(description="output: the layer's own; normalised, activated: after what is behind it")
    best: str | None = Field(
        description="the other network's layer that is most like it; null for a layer that gives every image the same"
    )
    best_cka: float | None
    same_cka: float | None = Field(description="with the other network's layer of the same name; null without one")


class ComparedNetwork(ReportPart):
    """One of the two networks."""

    checkpoint: str
    architecture: Architecture
    preprocessing: Preprocessing
    layers: list[ComparedLayer] = Field(description="in the order in which their outputs are there")
    left_out: list[str] = Field(description="chosen layers that are never called, or give no tensor; sorted")


class SimilaritySection(ReportPart):
    """Unbiased linear CKA: 1 for features equal up to rotation and scale, about 0 for unrelated ones."""

    networks: list[ComparedNetwork] = Field(description="the checkpoint, then the one it is held against")
    split: str
    images: int
    skipped: list[NamedText] = Field(description="images that could not be read, sorted")
    batch_size: int = Field(description="images that make one estimate; the estimates of all batches are summed")
    cka: list[list[float | None]] = Field(
        description="a row per layer of the first network, a column per layer of the second; null beside a layer "
        "that gives every image the same"
    )

    def pairs(self) -> Iterator[tuple[str, str, float | None]]:
        """Yield layer of the first network, layer of the second and their CKA, row by row."""
        first, second = self.networks
        for layer, row in zip(first.layers, self.cka, strict=True):
            for other, value in zip(second.layers, row, strict=True):
                yield layer.name, other.name, value


def partners(taps: Sequence[Tap], others: Sequence[Tap], matrix: Sequence[Sequence[float]]) -> list[ComparedLayer]:
    """Return the layers of one side with their best partners on the other, from CKA [taps][others], NaN for none."""
    places = {tap.layer: place for place, tap in enumerate(others)}
    compared = []
    for tap, row in zip(taps, matrix, strict=True):
        known = [place for place, value in enumerate(row) if value == value]
        best = max(known, key=row.__getitem__, default=None)
        same = row[places[tap.layer]] if tap.layer in places else None
        compared.append(
            ComparedLayer(
                name=tap.layer,
                stage=tap.stage,
                best=None if best is None else others[best].layer,
                best_cka=None if best is None else row[best],
                same_cka=same if same == same else None,
            )
        )
    return compared
