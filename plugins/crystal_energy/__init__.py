"""Head ``energy``: per-atom energies, summed; forces and stress follow. Loads no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from crystal_energy.options import LEARNS, EnergyOptions
from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.irreps import EmbeddingShape
from crystalcli.contracts.records import Head, Part, Statistics
from crystalcli.vocabulary.quantities import Quantity

if TYPE_CHECKING:
    from crystalcli.contracts.modules import HeadModule


def _energy(
    options: EnergyOptions, shape: EmbeddingShape, targets: tuple[Quantity, ...], statistics: Statistics
) -> HeadModule:
    from crystal_energy.head import EnergyHead

    return EnergyHead(options, shape.node_dim, targets, statistics)


ENERGY = Head(
    name="energy",
    summary="an energy for every atom, summed; forces and stress are its derivatives",
    options=EnergyOptions,
    build=_energy,
    learns=LEARNS,
    requires=frozenset({"nodes"}),
    provides=frozenset({"energy"}),
)


@hookimpl
def crystal_parts() -> Sequence[Part]:
    """Offer the head."""
    return [ENERGY]
