"""An energy that a model learned for some structures, frozen at the graphs it was asked for, as a potential.

Its minimum near these structures is what the model predicts; far from them it means nothing, and its energies are no
energies of the crystal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from crystalcli.contracts.dynamics import Evaluated
from crystalcli.contracts.modules import SurfaceEnergy
from crystalcli.engine.model.derivatives import Strained
from crystalcli.nouns.graph import CrystalGraph
from crystalcli.nouns.systems import Systems
from crystalcli.vocabulary.errors import InputError


class Surface:
    """See :class:`crystalcli.contracts.dynamics.Potential`. Knows the structures of its graph, and no others.

    Args:
        energies: of the model, or of each member of an ensemble, whose mean is the surface.
        graph: S structures where the parameters were predicted; edges and shifts stay.
        name: what users call it.
        places: (S,) ascending, what ``Systems.places`` calls the structures; default 0 … S − 1.
    """

    def __init__(
        self, energies: Sequence[SurfaceEnergy], graph: CrystalGraph, name: str, places: Tensor | None = None
    ) -> None:
        self.energies, self.graph, self.name = tuple(energies), graph, name
        self.provides = frozenset({"energy", "forces", "stress", "surface"})
        self.device = graph.positions.device
        self.places = torch.arange(graph.n_structures, device=self.device) if places is None else places

    def evaluate(self, systems: Systems, *, stress: bool = False) -> Evaluated:
        """Evaluate some or all of the structures, moved.

        Raises:
            InputError: one that the surface was not made for, or a stress without a volume.
        """
        flat = torch.linalg.det(systems.cell).abs() < 1e-9
        if stress and bool(flat.any()):
            k = int(flat.nonzero()[0])
            raise InputError(f"structure {k}: has no volume, and so no stress: ask for none of it", code="cell")
        which = torch.searchsorted(self.places, systems.places).clamp_max(len(self.places) - 1)
        atoms = torch.isin(self.graph.structure_index, which).nonzero().flatten()
        known = torch.equal(self.places[which], systems.places)
        if not known or not torch.equal(self.graph.atomic_numbers[atoms], systems.atomic_numbers):
            raise InputError(f"structure 0: {self.name} is the surface of other structures", code="surface")
        g = self.graph
        positions = g.positions.index_copy(0, atoms, systems.positions.to(g.positions))
        cell = g.cell.index_copy(0, which, systems.cell.to(g.cell))
        with torch.enable_grad():
            strained = Strained.of(replace(g, positions=positions, cell=cell), stress)
            energy = torch.stack([of(strained.graph).double() for of in self.energies]).mean(0)
            found = strained.derive(energy, keep=False)
        tensor = found["stress"].index_select(0, which) if stress else None
        return Evaluated(energy.detach()[which], found["forces"].index_select(0, atoms), tensor)
