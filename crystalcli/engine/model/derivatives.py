"""Forces and stress from an energy: the only place that differentiates one.

``F_i = −∂E/∂r_i``; ``σ = (1/V) ∂E/∂ε`` with a symmetric strain ε that acts on cell and positions, V = |det cell|
(D. P. Knuth et al., Comput. Phys. Commun. 190, 33 (2015), doi:10.1016/j.cpc.2015.01.003, Eq. 5).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from crystalcli.nouns.graph import CrystalGraph

DERIVED = ("forces", "stress", "pressure")
PER_VOLUME = ("stress", "pressure")
"""Not defined, and NaN, of what has no volume: a molecule."""


@dataclass(frozen=True)
class Strained:
    """A graph whose energy can be differentiated.

    Args:
        graph: with positions and cell that depend on the two leaves.
        positions: (N, 3) leaf.
        strain: (S, 3, 3) leaf of zeros, or none.
    """

    graph: CrystalGraph
    positions: Tensor
    strain: Tensor | None

    @classmethod
    def of(cls, graph: CrystalGraph, stress: bool) -> Strained:
        """Make the positions of ``graph``, and a strain if ``stress``, leaves of a computation."""
        positions = graph.positions.detach().requires_grad_()
        if not stress:
            return cls(replace(graph, positions=positions), positions, None)
        strain = torch.zeros_like(graph.cell).requires_grad_()
        symmetric = 0.5 * (strain + strain.mT)
        of_atoms = symmetric.index_select(0, graph.structure_index)
        moved = positions + (positions.unsqueeze(1) @ of_atoms).squeeze(1)
        return cls(replace(graph, positions=moved, cell=graph.cell + graph.cell @ symmetric), positions, strain)

    def derive(self, energy: Tensor, *, keep: bool) -> dict[str, Tensor]:
        """Forces (N, 3) eV/Å and, if asked for, stress (S, 3, 3) eV/Å³ (tensile positive; NaN without a volume).

        Args:
            energy: (S,) eV, of :attr:`graph`.
            keep: the result is to be differentiated itself, in training.
        """
        leaves = [self.positions] if self.strain is None else [self.positions, self.strain]
        found = torch.autograd.grad(energy.sum(), leaves, create_graph=keep, allow_unused=True, materialize_grads=True)
        derived = {"forces": -found[0].double()}
        if self.strain is not None:
            volume = torch.linalg.det(self.graph.cell.detach().double()).abs()
            there = (volume > 0.0).view(-1, 1, 1)
            # divided by one where there is none: a division by NaN has the gradient NaN, though nothing counts there
            stress = found[1].double() / torch.where(volume > 0.0, volume, 1.0).view(-1, 1, 1)
            derived["stress"] = torch.where(there, stress, torch.nan)
        return derived


def to_pressure(stress: Tensor) -> Tensor:
    """(S, 3, 3) → (S,), the pressure of an energy without kinetic part, ``−tr σ/3``."""
    return -stress.diagonal(dim1=-2, dim2=-1).mean(-1)
