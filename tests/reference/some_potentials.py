"""Untrained potentials that are smooth and not trivial, for tests of what uses potentials."""

import ase
import torch

from crystalcli.contracts.records import Statistics
from crystalcli.engine.model.model import CrystalModel
from crystalcli.engine.model.model_spec import ModelSpec, PartChoice
from crystalcli.nouns.graph import CrystalGraph, collate
from crystalcli.nouns.neighbors import build_graph
from crystalcli.vocabulary.quantities import Quantity

CUTOFF = 4.5
ENERGY = Quantity("energy", "eV", extensive=True)
FORCES = Quantity("forces", "eV/Å", "site", shape=(3,))
STRESS = Quantity("stress", "eV/Å³", shape=(6,))
ALL = (ENERGY, FORCES, STRESS)


def model_of(
    targets: tuple[Quantity, ...] = ALL, featurizer: str = "radius", max_neighbors: int = 12, **options: object
) -> CrystalModel:
    torch.manual_seed(2)
    statistics = Statistics(40.0, (8, 22, 38), {"energy": 0.1}, {"energy": 0.2, "forces": 0.7}, (), (-3.0, -5.0, -7.0))
    spec = ModelSpec(
        PartChoice(
            featurizer, {"cutoff": CUTOFF} | ({"max_neighbors": max_neighbors} if featurizer == "cgcnn" else {})
        ),
        PartChoice(featurizer),
        PartChoice("lcgcn", {"n_conv": 2, "width": 16, "message_scale": "neighbors"}),
        PartChoice("energy", options),
        targets,
        statistics,
    )
    return CrystalModel(spec).double().eval()


def graph_of(*atoms: ase.Atoms) -> CrystalGraph:
    return collate([build_graph(a, cutoff=CUTOFF) for a in atoms], torch.float64)
