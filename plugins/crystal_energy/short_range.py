"""Short distances: screened nuclear repulsion, and a wall in front of pairs of atoms nearer than any in training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from ase.data import covalent_radii
from torch import Tensor, nn

from crystalcli.contracts.element_tables import ElementTable
from crystalcli.contracts.nn.basis import polynomial
from crystalcli.nouns.graph import CrystalGraph, edge_lengths, sum_over_neighbors, with_edges
from crystalcli.vocabulary.units import COULOMB

WALL_STIFFNESS = 200.0
"""eV/Å³."""
WALL_MARGIN = 0.05
"""Å below the shortest distance of training at which the wall begins."""


class Zbl(nn.Module):
    """``V_ij = (e²/4πε₀) Z_i Z_j φ(r/a)/r · f_c(r/r_max)``, half of it on each atom.

    ``a = 0.46850 Å/(Z_i^0.23 + Z_j^0.23)``, ``φ(x) = Σ c_k exp(−d_k x)`` (J. F. Ziegler, J. P. Biersack, U. Littmark,
    The Stopping and Range of Ions in Solids, 1985, Eq. 2-30); f_c is the polynomial cutoff at r_max = the sum of the
    covalent radii, so that bonds are left alone, or where edges end, if that is nearer.

    Args:
        cutoff: Å, of the graphs; 0: not known, as in models that were made before it was kept.
    """

    radii: Tensor
    c: Tensor
    d: Tensor

    def __init__(self, cutoff: float = 0.0) -> None:
        super().__init__()
        self.cutoff = cutoff if cutoff > 0.0 else torch.inf
        # kept in the model: the weights beside it were fitted with these, and a later ASE may have others
        self.register_buffer("radii", torch.tensor(covalent_radii, dtype=torch.float64))
        # not kept: the constants of the equation
        self.register_buffer(
            "c", torch.tensor([0.18175, 0.50986, 0.28022, 0.02817], dtype=torch.float64), persistent=False
        )
        self.register_buffer(
            "d", torch.tensor([3.19980, 0.94229, 0.40290, 0.20162], dtype=torch.float64), persistent=False
        )

    def forward(self, graph: CrystalGraph) -> Tensor:
        """Energies of the atoms, (N,) eV float64."""
        r = edge_lengths(graph).double()
        zi, zj = (graph.atomic_numbers.index_select(0, end) for end in graph.edge_index)
        reach = (self.radii.index_select(0, zi) + self.radii.index_select(0, zj)).clamp_max(self.cutoff)
        charge_i, charge_j = zi.double(), zj.double()
        x = r * (charge_i**0.23 + charge_j**0.23) / 0.46850
        screening = (self.c * torch.exp(-self.d * x.unsqueeze(1))).sum(1)
        pair = COULOMB * charge_i * charge_j * screening / r * polynomial(r / reach)
        return 0.5 * sum_over_neighbors(graph, pair.unsqueeze(1)).squeeze(1)


class Wall(nn.Module):
    """``V_ij = k (w_ij − r)³`` for r < w_ij, else 0; half of it on each atom.

    Deviation: not in any of the papers. A learned energy is arbitrary where there were no data, often a hole into which
    a pair of atoms falls sooner or later. Value, slope and curvature vanish at w, which lies ``WALL_MARGIN`` below the
    shortest distance of the two elements in training, so that nothing is changed where the model has learned. With
    k = 200 eV/Å³ a pair 0.1 Å behind the wall is pushed with 6 eV/Å.

    Args:
        shortest: (Z, Z', Å) for every pair of elements that are neighbors in training.
    """

    begin: Tensor
    element_tables: ClassVar = {"begin": ElementTable(0, 1, by_number=True, from_statistics=True)}

    def __init__(self, shortest: Sequence[tuple[int, int, float]]) -> None:
        super().__init__()
        begin = torch.zeros(120, 120, dtype=torch.float64)
        for a, b, distance in shortest:
            begin[a, b] = begin[b, a] = max(distance - WALL_MARGIN, 0.0)
        self.register_buffer("begin", begin)

    def forward(self, graph: CrystalGraph) -> Tensor:
        """Energies of the atoms, (N,) eV float64."""
        zi, zj = (graph.atomic_numbers.index_select(0, end) for end in graph.edge_index)
        begin = self.begin.view(-1).index_select(0, zi * 120 + zj)
        with torch.no_grad():  # almost always none, and then there is nothing to differentiate
            behind = (edge_lengths(graph).double() < begin).nonzero().squeeze(1)
        few = with_edges(graph, behind)
        depth = begin.index_select(0, behind) - edge_lengths(few).double()
        return 0.5 * WALL_STIFFNESS * sum_over_neighbors(few, (depth**3).unsqueeze(1)).squeeze(1)
