"""Crystal graph convolutions with edge updates and angles: architecture ``threebody``; loads no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from crystal_threebody.options import ThreeBodyOptions
from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.records import Architecture, Part, Recipe, Statistics

if TYPE_CHECKING:
    from crystalcli.contracts.modules import ArchitectureModule


def _network(options: ThreeBodyOptions, node_dim: int, edge_dim: int, statistics: Statistics) -> ArchitectureModule:
    from crystal_threebody.network import ThreeBodyNetwork

    return ThreeBodyNetwork(options, node_dim, edge_dim, statistics)


THREE_BODY = Architecture(
    name="threebody",
    summary="convolutions that update edges and, if wanted, see angles; for property models",
    options=ThreeBodyOptions,
    build=_network,
    featurizer="symmetry",
    head="crystal",
    recipe=Recipe(optimizer="muon", lr=8e-3, weight_decay=0.02, batch_size=64, epochs=80, ema=0.998, clip=1.0),
    requires=frozenset({"edge-features"}),
    provides=frozenset({"nodes"}),
    references=(
        "R. Ruff, P. Reiser, J. Stühmer, P. Friederich, Digital Discovery 3, 594 (2024), doi:10.1039/D4DD00018H",
        "K. Choudhary, B. DeCost, npj Comput. Mater. 7, 185 (2021), doi:10.1038/s41524-021-00650-1",
    ),
)


@hookimpl
def crystal_parts() -> Sequence[Part]:
    """Offer the architecture."""
    return [THREE_BODY]
