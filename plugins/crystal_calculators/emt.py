"""Effective-medium theory of many structures at once; parameters, cutoff and numbers are ASE's to rounding.

ASE's own goes from atom to atom of one structure (:class:`ase.calculators.emt.EMT`). K. W. Jacobsen, P. Stoltze,
J. K. Nørskov, Surf. Sci. 366, 394 (1996), doi:10.1016/0039-6028(96)00816-3.
"""

from __future__ import annotations

from dataclasses import dataclass

import ase
import numpy as np
import torch
from ase.calculators import emt as of_ase
from ase.data import chemical_symbols
from torch import Tensor

from crystal_calculators.virial import stress_of
from crystalcli.contracts.dynamics import Evaluated
from crystalcli.nouns.graph import CrystalGraph, edge_vectors, sum_per_structure

BETA = of_ase.beta
"""Of ASE: nearest-neighbor distance over s₀, 1.809."""
LAST = 120
"""Rows of the table of elements."""


@dataclass(frozen=True)
class _Elements:
    """Parameters by atomic number, (LAST,) each, as ASE derives them."""

    e0: Tensor
    s0: Tensor
    v0: Tensor
    eta2: Tensor
    kappa: Tensor
    lam: Tensor
    n0: Tensor
    inv12gamma1: Tensor
    neghalfv0overgamma2: Tensor

    def to(self, device: torch.device) -> _Elements:
        return _Elements(**{k: v.to(device) for k, v in vars(self).items()})


class EMT:
    """EMT as a sum over pairs; see :class:`crystalcli.contracts.dynamics.NeighborPotential`.

    Every pair is visited once, with what each of its atoms does to the other: ``σ₁`` of atom i is the density that its
    neighbors bring, and ``E = Σ_i [E_c(σ₁) + …] + ½ Σ_pairs``.
    """

    provides = frozenset({"energy", "forces", "stress", "energies"})
    once = True

    def __init__(self) -> None:
        known = of_ase.EMT()
        known.initialize(ase.Atoms(list(of_ase.parameters)))
        self.middle, self.cutoff, self.slope = float(known.rc), float(known.rc_list), float(known.acut)
        z = [chemical_symbols.index(s) for s in of_ase.parameters]
        names = {"lam": "lambda", "e0": "E0", "v0": "V0"}

        def table(name: str) -> Tensor:
            values = np.full(LAST, np.nan)
            values[z] = known.par[names.get(name, name)][known.ia2iz]
            return torch.as_tensor(values)

        self.elements = _Elements(**{name: table(name) for name in _Elements.__dataclass_fields__})

    def evaluate(self, graph: CrystalGraph, *, stress: bool) -> Evaluated:
        """Evaluate all structures of ``graph``."""
        if self.elements.e0.device != graph.positions.device:
            self.elements = self.elements.to(graph.positions.device)
        p = _Elements(**{k: v.index_select(0, graph.atomic_numbers) for k, v in vars(self.elements).items()})
        i, j = graph.edge_index[0], graph.edge_index[1]
        d = edge_vectors(graph)
        x, y, z = d.unbind(1)
        r = (x * x + y * y + z * z).sqrt()
        w = torch.sigmoid(self.slope * (self.middle - r))
        falling = self.slope * (w - 1.0)  # (dw/dr)/w
        chi = p.n0[j] / p.n0[i]
        to_i, to_j = w * chi, w / chi
        eta_i, eta_j, kappa_i, kappa_j = p.eta2[i], p.eta2[j], p.kappa[i] / BETA, p.kappa[j] / BETA
        s_i, s_j = BETA * p.s0[i], BETA * p.s0[j]
        sigma_i = to_i * torch.exp(eta_j * (s_j - r))
        sigma_j = to_j * torch.exp(eta_i * (s_i - r))
        pair_i = to_i * torch.exp(kappa_j * (s_j - r)) * p.neghalfv0overgamma2[i]
        pair_j = to_j * torch.exp(kappa_i * (s_i - r)) * p.neghalfv0overgamma2[j]

        zero = r.new_zeros(graph.n_atoms)
        sigma = zero.index_add(0, i, sigma_i).index_add(0, j, sigma_j)
        between = 0.5 * (pair_i + pair_j)
        has = sigma > 0  # ASE leaves out an atom without neighbors
        sigma = torch.where(has, sigma, 1.0)
        ds = -torch.log(sigma * p.inv12gamma1) / (BETA * p.eta2)
        fall, wall = torch.exp(-p.lam * ds), 6.0 * p.v0 * torch.exp(-p.kappa * ds)
        own = torch.where(has, p.e0 * (1.0 + p.lam * ds) * fall + wall, 0.0) - p.e0
        energies = own + zero.index_add(0, i, between).index_add(0, j, between)
        by_sigma = (p.e0 * p.lam.square() * ds * fall + p.kappa * wall) / (BETA * p.eta2 * sigma)

        pull = by_sigma[i] * sigma_i * (falling - eta_j) + by_sigma[j] * sigma_j * (falling - eta_i)
        pull = pull + pair_i * (falling - kappa_j) + pair_j * (falling - kappa_i)  # dE/dr of the pair
        f = (pull / r)[:, None] * d
        forces = torch.zeros_like(graph.positions).index_add(0, i, f).index_add(0, j, -f)
        return Evaluated(
            energy=sum_per_structure(graph, energies[:, None])[:, 0],
            forces=forces,
            stress=stress_of(graph, d, f) if stress else None,
            energies=energies,
        )
