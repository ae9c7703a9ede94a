"""Which layers of two networks are compared, and where they are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from tlvcli.core.errors import TlvError
from tlvcli.core.layer_globs import refuse_unknown
from tlvcli.models.activation_trace import find_taps
from tlvcli.models.activations import Tap
from tlvcli.models.graph import graph_of_module
from tlvcli.models.module_taps import find_module_taps
from tlvcli.pipelines.analysis.config import At
from tlvcli.pipelines.analysis.networks import Network

_WEIGHTED = ("conv1d", "conv2d", "conv3d", "depthwise-conv2d", "conv-transpose", "linear")


@dataclass(frozen=True)
class ChosenLayers:
    """Where the layers of one network are read, in the order of their calls; `left_out` have nothing to read."""

    taps: tuple[Tap, ...]
    left_out: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """The layers that are read."""
        return [tap.layer for tap in self.taps]


def choose_similarity_layers(networks: Sequence[Network], globs: Sequence[str], at: At) -> list[ChosenLayers]:
    """Return of each network the modules whose whole name a glob fits; without one, convolutions and linear layers.

    Convolutions and linear layers are read `at` their own output or behind the activation function, anything else,
    as blocks, at its output.

    Raises:
        TlvError: `layers-unknown`, also where one of the networks has nothing to read.
    """
    every = [[name for name, _ in network.module.named_modules() if name] for network in networks]
    refuse_unknown(globs, [name for names in every for name in names])
    chosen = []
    for network, names in zip(networks, every, strict=True):
        layers = _choose(network, names, globs, at)
        if not layers.taps:
            raise TlvError(
                "layers-unknown",
                f"{network.opened.reference}: {', '.join(globs) or 'convolutions and linear layers'}: none is called",
                "--layers may be repeated, with globs for either network; tlv inspect --summary shows the calls",
            )
        chosen.append(layers)
    return chosen


def _choose(network: Network, names: Sequence[str], globs: Sequence[str], at: At) -> ChosenLayers:
    weighted = [layer for layer in graph_of_module(network.module).layers if layer.kind in _WEIGHTED]
    if globs:
        # Not `is_named`: `layer1` is the block's output here, not also the outputs of all that is in the block.
        named = {name for name in names if any(fnmatchcase(name, glob) for glob in globs)}
        weighted = [layer for layer in weighted if layer.name in named]
    else:
        named = {layer.name for layer in weighted}
    prepared = network.preprocessing
    shape = (prepared.channels, prepared.image_size, prepared.image_size)
    followed = {tap.layer: tap for tap in (find_taps(network.module, weighted, shape, at=at) if weighted else ())}
    read = find_module_taps(network.module, named, shape)
    taps = tuple(followed.get(tap.layer, tap) for tap in read)
    return ChosenLayers(taps, tuple(sorted(named.difference(tap.layer for tap in taps))))
