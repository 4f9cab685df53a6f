"""Relaxed structures by differentiable optimisation of learned springs (DOGSS); loads no torch.

Architecture ``dogss``, head ``springs``, and head ``displacements`` to measure it by.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from crystal_dogss.options import DisplacementsOptions, DogssOptions, SpringsOptions
from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.irreps import EmbeddingShape
from crystalcli.contracts.records import Architecture, Head, Part, Recipe, Statistics
from crystalcli.vocabulary.quantities import Quantity

if TYPE_CHECKING:
    from crystalcli.contracts.modules import ArchitectureModule, HeadModule

PAPER = "J. Yoon, Z. W. Ulissi, Phys. Rev. Lett. 125, 173001 (2020), doi:10.1103/PhysRevLett.125.173001"
POSITIONS = Quantity("relaxed_positions", "Å", "site", shape=(3,), meaning="position")
STRAIN = Quantity("relaxed_strain", shape=(6,))


def _network(options: DogssOptions, node_dim: int, edge_dim: int, statistics: Statistics) -> ArchitectureModule:
    from crystal_dogss.network import DogssNetwork

    return DogssNetwork(options, node_dim, edge_dim, statistics)


def _springs(
    options: SpringsOptions, shape: EmbeddingShape, targets: tuple[Quantity, ...], statistics: Statistics
) -> HeadModule:
    from crystal_dogss.cell_head import CellSpringsHead
    from crystal_dogss.head import SpringsHead

    kind = CellSpringsHead if any(q.name == STRAIN.name for q in targets) else SpringsHead
    return kind(options, shape, targets, statistics)


def _displacements(
    options: DisplacementsOptions, shape: EmbeddingShape, targets: tuple[Quantity, ...], statistics: Statistics
) -> HeadModule:
    from crystal_dogss.displacements import DisplacementsHead

    return DisplacementsHead(options, shape, targets, statistics)


def _fixed_and_tags(_options: DogssOptions) -> tuple[str, ...]:
    return ("fixed", "tags")


def _fixed(_options: SpringsOptions | DisplacementsOptions) -> tuple[str, ...]:
    return ("fixed",)


DOGSS = Architecture(
    name="dogss",
    summary="convolutions that update atoms and edges, for springs between atoms",
    options=DogssOptions,
    build=_network,
    featurizer="cgcnn",
    head="springs",
    recipe=Recipe(
        loss="l1", optimizer="muon", lr=4e-3, weight_decay=0.01, batch_size=16, epochs=60, clip=1.0, ema=0.995
    ),
    fields=_fixed_and_tags,
    requires=frozenset({"edge-features"}),
    provides=frozenset({"nodes", "edges"}),
    references=(PAPER,),
)
SPRINGS = Head(
    name="springs",
    summary="relaxed positions: the minimum of springs between neighbors, found by descent",
    options=SpringsOptions,
    build=_springs,
    level="site",
    learns=(POSITIONS, STRAIN),
    edges=True,
    again=True,
    fields=_fixed,
    requires=frozenset({"nodes", "edges"}),
    provides=frozenset({"surface"}),
    references=(PAPER,),
)
DISPLACEMENTS = Head(
    name="displacements",
    summary="baseline: relaxed positions by pushes along edges, in one go",
    options=DisplacementsOptions,
    build=_displacements,
    level="site",
    learns=(POSITIONS,),
    edges=True,
    fields=_fixed,
    requires=frozenset({"nodes", "edges"}),
)


@hookimpl
def crystal_parts() -> Sequence[Part]:
    """Offer the architecture and both heads."""
    return [DOGSS, SPRINGS, DISPLACEMENTS]
