"""The Stillinger–Weber potential of many structures at once.

    E = Σ_{i<j} ε f₂(r_ij/σ) + Σ_i Σ_{j<k} ε λ g(r_ij/σ) g(r_ik/σ) (cos θ_jik + ⅓)²
    f₂(x) = A (B x⁻⁴ − 1) e^{1/(x − a)},   g(x) = e^{γ/(x − a)},   both zero from x = a on

F. H. Stillinger, T. A. Weber, Phys. Rev. B 31, 5262 (1985), doi:10.1103/PhysRevB.31.5262, eqs. (2.3)–(2.6).

No loop goes over triplets: with u the directions, and the sums S = Σ_j g, V = Σ_j g u, M = Σ_j g u⊗u over the neighbors
of i, Σ_{j<k} g g' (cos θ + ⅓)² = ½ [M:M + ⅔ V·V + S²/9 − 16/9 Σ_j g²].
"""

from __future__ import annotations

import torch
from ase.data import atomic_numbers, chemical_symbols

from crystal_calculators.virial import stress_of
from crystalcli.contracts.dynamics import Evaluated
from crystalcli.nouns.graph import CrystalGraph, edge_vectors, sum_per_structure
from crystalcli.vocabulary.errors import InputError

A, B, REACH, GAMMA = 7.049556277, 0.6022245584, 1.80, 1.20
"""Without units, the same for both elements; p = 4, q = 0."""
PUBLISHED = {"Si": (2.1682, 2.0951, 21.0), "Ge": (1.93, 2.181, 31.0)}
"""ε (eV), σ (Å) and λ. Ge: K. Ding, H. C. Andersen, Phys. Rev. B 34, 6987 (1986), doi:10.1103/PhysRevB.34.6987."""
TOUCHING = -1e-3
"""x − a above which all is zero: e^{1/−0.001} is none in float64, and 1/0 would be infinite."""


class StillingerWeber:
    """See :class:`crystalcli.contracts.dynamics.NeighborPotential`.

    Args:
        weight: times λ, the strength of the three-body term.
    """

    provides = frozenset({"energy", "forces", "stress", "energies"})
    once = False
    cutoff = max(REACH * sigma for _, sigma, _ in PUBLISHED.values())

    def __init__(self, weight: float) -> None:
        table = torch.full((120, 3), torch.nan, dtype=torch.float64)
        for symbol, numbers in PUBLISHED.items():
            table[atomic_numbers[symbol]] = torch.tensor(numbers, dtype=torch.float64)
        table[:, 2] *= weight
        self.table = table

    def evaluate(self, graph: CrystalGraph, *, stress: bool) -> Evaluated:
        """Evaluate all structures of ``graph``.

        Raises:
            InputError: two elements in one structure, for whose pairs nothing is published.
        """
        _refuse_mixtures(graph)
        if self.table.device != graph.positions.device:
            self.table = self.table.to(graph.positions.device)
        i, j = graph.edge_index[0], graph.edge_index[1]
        d = edge_vectors(graph)
        epsilon, sigma, strength = self.table.index_select(0, graph.atomic_numbers).unbind(1)
        e, s = epsilon.index_select(0, i), sigma.index_select(0, i)
        r = d.square().sum(1).sqrt()
        u = d / r[:, None]
        x = r / s
        gap = 1.0 / (x - REACH).clamp_max(TOUCHING)
        fall, g = gap.exp(), (GAMMA * gap).exp()
        steep = x.square().reciprocal().square() * B
        pair = A * (steep - 1.0) * fall
        pair_slope = -A * fall * (4.0 * steep / x + (steep - 1.0) * gap.square())

        around = torch.cat(
            [g[:, None], g[:, None] * u, (g[:, None, None] * u[:, :, None] * u[:, None, :]).flatten(1)], 1
        )
        sums = around.new_zeros(graph.n_atoms, 13).index_add(0, i, around)
        total, vector, tensor = sums[:, 0], sums[:, 1:4], sums[:, 4:].view(-1, 3, 3)
        own = g.new_zeros(graph.n_atoms).index_add(0, i, g.square())
        bent = tensor.square().sum((1, 2)) + vector.square().sum(1) * (2 / 3) + total.square() / 9 - own * (16 / 9)
        energies = epsilon * (g.new_zeros(graph.n_atoms).index_add(0, i, pair) + strength * bent) * 0.5

        turned = (tensor.index_select(0, i) @ u[:, :, None]).squeeze(2)  # M u
        pull = vector.index_select(0, i)
        along, across = (turned * u).sum(1), (pull * u).sum(1)
        by_g = along + across * (2 / 3) + total.index_select(0, i) / 9 - g * (16 / 9)
        aside = 2.0 * (turned - along[:, None] * u) + (pull - across[:, None] * u) * (
            2 / 3
        )  # ∂/∂u, less its part along u
        weight = e * strength.index_select(0, i)
        length = e * pair_slope * 0.5 / s - weight * by_g * g * GAMMA * gap.square() / s
        f = length[:, None] * u + (weight * g / r)[:, None] * aside  # ∂E/∂d of the directed edge
        forces = torch.zeros_like(graph.positions).index_add(0, i, f).index_add(0, j, -f)
        return Evaluated(
            energy=sum_per_structure(graph, energies[:, None])[:, 0],
            forces=forces,
            stress=stress_of(graph, d, f) if stress else None,
            energies=energies,
        )


def _refuse_mixtures(graph: CrystalGraph) -> None:
    z, index = graph.atomic_numbers, graph.structure_index
    first = torch.zeros(graph.n_structures, dtype=z.dtype, device=z.device).scatter_reduce(0, index, z, "amax")
    other = z != first.index_select(0, index)
    if bool(other.any()):
        k = int(index[other][0])
        names = " and ".join(sorted({chemical_symbols[n] for n in z[index == k].tolist()}))
        raise InputError(f"structure {k}: sw has no parameters for {names} together", code="element")
