"""Screened nuclear repulsion at short distances."""

from __future__ import annotations

import torch
from ase.data import covalent_radii
from torch import Tensor, nn

from crystalcli.contracts.nn.envelopes import polynomial
from crystalcli.nouns.graph import CrystalGraph, edge_lengths, sum_over_neighbors
from crystalcli.vocabulary.units import COULOMB


class Zbl(nn.Module):
    """``V_ij = (e²/4πε₀) Z_i Z_j φ(r/a)/r · f_c(r/r_max)``, half of it on each atom.

    ``a = 0.46850 Å/(Z_i^0.23 + Z_j^0.23)``, ``φ(x) = Σ c_k exp(−d_k x)`` (J. F. Ziegler, J. P. Biersack, U. Littmark,
    The Stopping and Range of Ions in Solids, 1985, Eq. 2-30); f_c is the polynomial cutoff at r_max = the sum of the
    covalent radii, so that bonds are left alone.
    """

    radii: Tensor
    c: Tensor
    d: Tensor

    def __init__(self) -> None:
        super().__init__()
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
        reach = self.radii.index_select(0, zi) + self.radii.index_select(0, zj)
        charge_i, charge_j = zi.double(), zj.double()
        x = r * (charge_i**0.23 + charge_j**0.23) / 0.46850
        screening = (self.c * torch.exp(-self.d * x.unsqueeze(1))).sum(1)
        pair = COULOMB * charge_i * charge_j * screening / r * polynomial(r / reach)
        return 0.5 * sum_over_neighbors(graph, pair.unsqueeze(1)).squeeze(1)
