"""One interaction of NequIP: what neighbors send, what an atom keeps, and the gate behind both."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from crystal_nequip.blocks import Blocks
from crystal_nequip.clebsch_gordan import coupling
from crystal_nequip.layers import Gate, Kinds, Linear, RadialNetwork, SpeciesLinear
from crystal_nequip.options import NequipOptions
from crystal_nequip.paths import Paths
from crystal_nequip.sums import neighbor_sums
from crystalcli.contracts.irreps import Irreps


class Interaction(nn.Module):
    """``h_i ← Gate(W₂ n̄^(−1/2) Σ_j (W₁ h_j) ⊗_w(r) Y(r̂) + S_Z h_i)``.

    S. Batzner et al., Nat. Commun. 13, 2453 (2022), doi:10.1038/s41467-022-29939-5.

    Args:
        into: irreps of h. kinds: those that are wanted of the result; what cannot be made of ``into`` is left out.
        channels: by kind. options: of the architecture. elements: atomic numbers with self-connections of their own.
        scale: n̄^(−1/2).
    """

    scale: Tensor

    def __init__(
        self,
        into: Irreps,
        kinds: tuple[str, ...],
        channels: Mapping[str, int],
        options: NequipOptions,
        elements: tuple[int, ...],
        scale: float,
    ) -> None:
        super().__init__()
        self.paths = Paths(into, options.l_max, kinds, options.parity == "even")
        products = self.paths.products
        kept = [k for k in kinds if k in products.kinds | into.kinds]
        self.out = Irreps.parse("+".join(f"{channels[k]}x{k}" for k in kept))
        self.gate = Gate(self.out)
        self.before = Linear(into, into, bias=options.bias)
        self.radial = RadialNetwork(options.bessel, options.radial_width, options.radial_layers, self.paths.n_weights)
        self.after = Linear(products, self.gate.into, bias=options.bias)
        self.keep: Linear | SpeciesLinear = (
            SpeciesLinear(into, self.gate.into, elements)
            if options.self_connection == "species"
            else Linear(into, self.gate.into)
        )
        # kept in the model: the weights were learned with it, and another training set has another
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float64))

    def forward(self, h: Kinds, atomic_numbers: Tensor, basis: Tensor, harmonics: Tensor, blocks: Blocks) -> Kinds:
        """Features of the N atoms after it.

        Of features before it, atomic numbers (N,), a radial basis (E, K) that is zero at the cutoff, harmonics
        (E, (l_max + 1)²) and the blocks of the graph.
        """
        sent = self.before(h)
        x = torch.cat([sent[t.kind].flatten(1) for t in self.paths.source.terms], 1)
        hidden, weights = self.radial(basis)
        heard = self.after(self._products(neighbor_sums(hidden, weights, x, harmonics, self.paths, blocks)))
        kept = self.keep(h, atomic_numbers) if isinstance(self.keep, SpeciesLinear) else self.keep(h)
        both = {k: heard[k] + kept[k] if k in heard and k in kept else (heard | kept)[k] for k in heard | kept}
        found: Kinds = self.gate(both)
        return found

    def _products(self, sums: tuple[Tensor, ...]) -> Kinds:
        """Sums over neighbors, coupled: of each kind all paths, (N, 2l + 1, Σ C)."""
        found: dict[str, list[Tensor]] = {k: [] for k in self.paths.products.kinds}
        places = {(g.source.start, g.order): g for g in self.paths.groups}
        for source, order, kind in self.paths.by_source:
            group = places[source.start, order]
            begin = group.column + group.to.index(kind) * source.size * source.count
            some = sums[self.paths.orders.index(order)][:, :, begin : begin + source.size * source.count]
            flat = some.reshape(len(some), -1, source.count)
            table = coupling(source.degree, order, int(kind[:-1]), flat.dtype, flat.device)
            found[kind].append(self.scale.to(flat.dtype) * (table @ flat))
        return {k: torch.cat(v, 2) for k, v in found.items()}
