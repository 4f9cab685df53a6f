"""Architecture ``nequip``: messages of scalars, vectors and tensors, equivariant under rotations."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from crystal_nequip.blocks import Blocks
from crystal_nequip.clebsch_gordan import coupling
from crystal_nequip.layers import Gate, Kinds, Linear, RadialNetwork, SpeciesLinear
from crystal_nequip.options import L_MAX, NequipOptions
from crystal_nequip.paths import Paths
from crystal_nequip.sums import neighbor_sums
from crystalcli.contracts.irreps import SCALAR, Irreps
from crystalcli.contracts.modules import Embedding, Features
from crystalcli.contracts.nn.basis import BesselBasis
from crystalcli.contracts.nn.harmonics import spherical_harmonics
from crystalcli.contracts.records import Statistics
from crystalcli.nouns.graph import CrystalGraph
from crystalcli.vocabulary.errors import UsageError

ALL_ELEMENTS = tuple(range(1, 119))


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


class Nequip(nn.Module):
    """Embedding of the atoms by interactions in which neighbors send scalars, vectors and tensors; scalars come out.

    S. Batzner et al., Nat. Commun. 13, 2453 (2022), doi:10.1038/s41467-022-29939-5. Needs distances within a smooth
    cutoff of the featurizer; its expanded distances are not used.

    Args:
        node_dim: of the element features.
        options: of the architecture.
        statistics: elements and mean number of neighbors n̄ of the training split.

    Raises:
        UsageError: channels that do not go with the orders.
    """

    def __init__(self, node_dim: int, options: NequipOptions, statistics: Statistics) -> None:
        super().__init__()
        channels = channels_by_kind(options)
        self.l_max, self.basis_scale = options.l_max, options.basis_scale
        self.embed = Linear(Irreps.scalars(node_dim), Irreps.scalars(channels[SCALAR]))
        # of a cutoff of one: which cutoff the graphs have is said when they come
        self.basis = BesselBasis(1.0, options.bessel, trainable=options.trainable_bessel)
        scale = max(statistics.mean_neighbors, 1.0) ** -0.5
        elements = statistics.elements or ALL_ELEMENTS
        irreps = Irreps.scalars(channels[SCALAR])
        layers = []
        for k in range(options.n_layers):
            kinds = tuple(channels) if k < options.n_layers - 1 else (SCALAR,)
            layers.append(Interaction(irreps, kinds, channels, options, elements, scale))
            irreps = layers[-1].out
        self.layers = nn.ModuleList(layers)
        self.embedding_dim = channels[SCALAR]

    def forward(self, graph: CrystalGraph, features: Features) -> Embedding:
        """Embed every atom, (N, C₀).

        Raises:
            UsageError: a featurizer that gives no distances.
        """
        distances, envelope = features.distances, features.envelope
        if distances is None or envelope is None:
            raise UsageError("architecture 'nequip' needs distances within a smooth cutoff; use --featurizer radius")
        units = distances.vectors / torch.linalg.vector_norm(distances.vectors, dim=1, keepdim=True)
        harmonics = spherical_harmonics(units, self.l_max)
        # sin(ω' r/R)/(r/R), without a length: with it what neighbors say is at the beginning about as much as what an
        # atom keeps, layer after layer; (2/R) sin(ω r)/r, as in the paper, is a tenth of it
        basis = self.basis_scale * self.basis(distances.lengths / distances.cutoff) * envelope.unsqueeze(1)
        blocks = Blocks(graph)
        h: Kinds = self.embed({SCALAR: features.nodes.unsqueeze(1)})
        for layer in self.layers:
            h = layer(h, graph.atomic_numbers, basis, harmonics, blocks)
        scalars: Tensor = h[SCALAR].squeeze(1)
        return Embedding(scalars)


def channels_by_kind(options: NequipOptions) -> dict[str, int]:
    """Channels of every kind of features, ``{"0e": 32, "1o": 16, …}``, in order of l.

    Raises:
        UsageError: no numbers, or more than there can be orders.
    """
    parts = options.channels.split("-")
    numbers = [int(p) for p in parts if p.isdigit() and 0 < int(p) <= 1024]
    if len(numbers) != len(parts) or len(parts) > L_MAX + 1:
        raise UsageError(
            f"--channels '{options.channels}' is no list of numbers of 1 … 1024 for l = 0, 1, … (at most {L_MAX}), as "
            "32-16-8"
        )
    numbers = [*numbers, *numbers[-1:] * options.l_max][: options.l_max + 1]
    letters = {"natural": ("e", "o"), "even": ("e", "e"), "full": ("eo", "eo")}[options.parity]
    return {f"{order}{letter}": n for order, n in enumerate(numbers) for letter in letters[order % 2]}
