"""The page of two networks: the similarity of all pairs of layers, and the best partners."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tlvcli.core.report import InputInfo, OutputInfo
from tlvcli.core.runtime import Stopwatch
from tlvcli.io.pages import write_page
from tlvcli.pages.matrix_chart import Side
from tlvcli.pages.page import render_similarity_page
from tlvcli.pages.values import PartnerView, SimilarityPage
from tlvcli.pipelines.analysis.config import AnalyzeStatsConfig
from tlvcli.pipelines.analysis.similarity_result import ComparedNetwork, SimilaritySection
from tlvcli.pipelines.page_origin import command_line, describe_origin

if TYPE_CHECKING:
    import torch


def write_similarity_page(
    config: AnalyzeStatsConfig,
    section: SimilaritySection,
    inputs: Sequence[InputInfo],
    warnings: Sequence[str],
    device: torch.device,
) -> OutputInfo:
    """Write the page that `config.html` names."""
    assert config.html is not None
    assert config.data is not None
    first, second = section.networks
    page = SimilarityPage(
        networks=_names(first, second),
        data=Path(config.data).name,
        verdict=_verdict(section),
        matrix=section.cka,
        sides=(_side(first, second), _side(second, first)),
        partners=(_partners(first), _partners(second)),
        origin=describe_origin(
            command_line("analyze-stats", config),
            inputs,
            [network.preprocessing for network in section.networks],
            warnings,
            Stopwatch().run_info(device),
        ),
    )
    return write_page(Path(config.html), render_similarity_page(page), force=config.force)


def _names(first: ComparedNetwork, second: ComparedNetwork) -> tuple[str, str]:
    if first.architecture.name != second.architecture.name:
        return first.architecture.name, second.architecture.name
    one, other = (Path(network.checkpoint).name for network in (first, second))
    return one, other


def _verdict(section: SimilaritySection) -> list[str]:
    first, second = section.networks
    known = sorted(layer.best_cka for layer in first.layers if layer.best_cka is not None)
    sentences = [
        f"{len(first.layers)} layers of {first.architecture.name} and {len(second.layers)} of "
        f"{second.architecture.name} on {section.images:,} images, in batches of {section.batch_size}."
    ]
    if known:
        sentences.append(
            f"A layer of the first has a best partner in the second with a CKA of {known[0]:.2f} to {known[-1]:.2f}, "
            f"{known[len(known) // 2]:.2f} in the middle."
        )
    return sentences


def _side(network: ComparedNetwork, other: ComparedNetwork) -> Side:
    places = {layer.name: place for place, layer in enumerate(other.layers)}
    return Side(
        tuple(layer.name for layer in network.layers),
        tuple(None if layer.best is None else places[layer.best] for layer in network.layers),
    )


def _partners(network: ComparedNetwork) -> list[PartnerView]:
    return [PartnerView(layer.name, layer.best, layer.best_cka, layer.same_cka) for layer in network.layers]
