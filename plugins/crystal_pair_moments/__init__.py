"""A potential of pair splines and moments as a part; loads no torch. Architecture ``pair-moments``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from crystal_pair_moments.options import PairMomentsOptions
from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.records import Architecture, Part, Recipe, Statistics

if TYPE_CHECKING:
    from crystalcli.contracts.modules import ArchitectureModule

PAIRS = "S. R. Xie, M. Rupp, R. G. Hennig, npj Comput. Mater. 9, 162 (2023), doi:10.1038/s41524-023-01092-7"
SMOOTHING = "P. H. C. Eilers, B. D. Marx, Stat. Sci. 11, 89 (1996), doi:10.1214/ss/1038425655"
MOMENTS = "M. I. Baskes, Phys. Rev. B 46, 2727 (1992), doi:10.1103/PhysRevB.46.2727"


def _build(
    options: PairMomentsOptions,
    node_dim: int,
    edge_dim: int,  # noqa: ARG001
    statistics: Statistics,
) -> ArchitectureModule:
    from crystal_pair_moments.architecture import PairMoments

    return PairMoments(node_dim, options, statistics)


PAIR_MOMENTS = Architecture(
    name="pair-moments",
    summary="splines for pairs of elements and moments that see angles, for energies, forces and stress",
    options=PairMomentsOptions,
    build=_build,
    featurizer="radius",
    head="energy",
    recipe=Recipe(optimizer="adam", lr=0.007, batch_size=4, epochs=40, schedule="one-cycle", ema=0.99),
    requires=frozenset({"smooth-cutoff"}),
    provides=frozenset({"nodes"}),
    references=(PAIRS, SMOOTHING, MOMENTS),
)


@hookimpl
def crystal_parts() -> Sequence[Part]:
    """Offer the architecture."""
    return [PAIR_MOMENTS]
