"""Head ``energy``: an energy for every atom, summed to the total."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from crystal_energy.constant import Constant
from crystal_energy.options import ENERGIES, ENERGY, EnergyOptions
from crystal_energy.short_range import Wall, Zbl
from crystalcli.contracts.element_tables import ElementTable
from crystalcli.contracts.modules import Embedding, Labels, Prediction
from crystalcli.contracts.nn.losses import masked_error
from crystalcli.contracts.records import Statistics
from crystalcli.nouns.graph import CrystalGraph, sum_per_structure
from crystalcli.vocabulary.quantities import Quantity

FORCE_LENGTH = 0.03
"""Å: beside forces, an error of the energy per atom counts against the root mean square force times this. The deviation
of the energies themselves says nothing of it: it is a few meV along a trajectory, half an eV among strained cells."""


class EnergyHead(nn.Module):
    """``e_i = μ_Z + m + s·(MLP(v_i) + w·v_i)``, ``E = Σ_i e_i`` (+ wall, + ZBL).

    μ_Z are the references of the training split and m the mean of what they leave. The scale s is the root mean
    square force (times 1 Å) where forces are learned, else the deviation of the energy per atom: then outputs of
    order one give forces and energies of the right size. Sums are taken in float64. The linear way past the layers
    lets an additive term of the architecture reach the energy as it is.

    Args:
        options: of the head. dim: width of the embedding. targets: among energy, forces, stress, pressure.
        statistics: of the training split.
    """

    references: Tensor
    mean: Tensor
    scale: Tensor
    extensive = True
    needs_epochs = True
    element_tables: ClassVar = {"references": ElementTable(0, by_number=True, from_statistics=True)}

    def __init__(self, options: EnergyOptions, dim: int, targets: tuple[Quantity, ...], statistics: Statistics) -> None:
        super().__init__()
        self.targets = {t.name: t for t in targets}
        weights = (
            ("energy", options.energy_weight),
            ("forces", options.forces_weight),
            ("stress", options.stress_weight),
            ("pressure", options.pressure_weight),
        )
        self.weights = {n: w for n, w in weights if n in self.targets}
        self.units = {n: statistics.target_scale.get(n, 1.0) for n in self.weights}
        if "forces" in self.units:
            self.units["energy"] = self.units["forces"] * FORCE_LENGTH
        layers: list[nn.Module] = []
        width = dim
        for _ in range(options.n_hidden if options.hidden else 0):
            layers += [nn.Linear(width, options.hidden), nn.SiLU()]
            width = options.hidden
        self.layers = nn.Sequential(*layers, nn.Linear(width, 1)) if layers else None
        self.linear = nn.Linear(dim, 1, bias=not layers)
        table = torch.zeros(120, dtype=torch.float64)
        if statistics.references:
            table[list(statistics.elements)] = torch.tensor(statistics.references, dtype=torch.float64)
        scale = statistics.target_scale.get("forces", statistics.target_scale.get("energy", 1.0))
        self.register_buffer("references", table)
        self.register_buffer("mean", torch.tensor(statistics.target_mean.get("energy", 0.0), dtype=torch.float64))
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float64))
        self.zbl = Zbl(statistics.cutoff) if options.zbl else None
        self.wall = Wall(statistics.shortest) if options.wall else None

    def forward(self, graph: CrystalGraph, embedding: Embedding) -> dict[str, Prediction]:
        """Predict ``energy`` (S,) and ``energies`` (N,), eV."""
        learned = self.linear(embedding.nodes)
        if self.layers is not None:
            learned = learned + self.layers(embedding.nodes)
        energies = self.references.index_select(0, graph.atomic_numbers) + self.mean
        energies = energies + self.scale * learned.squeeze(1).double()
        if self.zbl is not None:
            energies = energies + self.zbl(graph)
        if self.wall is not None:
            energies = energies + self.wall(graph)
        total = sum_per_structure(graph, energies)
        return {
            "energy": Prediction(total, self.targets.get("energy", ENERGY)),
            "energies": Prediction(energies, ENERGIES),
        }

    def closed_form(self, structures: int) -> Constant:  # noqa: ARG002
        """Finds the constant, of any number of structures."""
        return Constant(self)

    def loss(
        self, predictions: Mapping[str, Prediction], labels: Mapping[str, Labels], graph: CrystalGraph, kind: str
    ) -> Tensor:
        """``Σ_q λ_q ⟨loss((q̂ − q)/scale_q)⟩``: energy per atom, components of forces, of stress, pressure.

        Raises:
            UsageError: an unknown kind.
        """
        total = self.scale.new_zeros(())
        for name, weight in self.weights.items():
            unit = torch.as_tensor(self.units[name], dtype=torch.float64, device=self.scale.device)
            if name == "energy":
                unit = unit * graph.atom_counts
            total = total + weight * masked_error(predictions[name].value, labels[name], unit, kind)
        return total
