"""One training step of several models on a batch with missing labels; ``torchrun -m common.one_step FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path

import ase
import numpy as np
import torch

from crystalcli.contracts.modules import Labels
from crystalcli.contracts.nn import joint
from crystalcli.contracts.records import Statistics
from crystalcli.engine.model.model import CrystalModel
from crystalcli.engine.model.model_spec import ModelSpec, PartChoice
from crystalcli.nouns.graph import collate
from crystalcli.nouns.neighbors import build_graph
from crystalcli.testing import crystals
from crystalcli.train.processes import ALONE, ProcessTeam, gathered
from crystalcli.vocabulary.quantities import Quantity

KNN, RADIUS = PartChoice("cgcnn", {}), PartChoice("radius", {"cutoff": 5.0})
EMBED = PartChoice("radius", {"atom_features": "onehot92"})
CGCNN = PartChoice("cgcnn", {"n_conv": 2, "width": 8})
CALM = {"dropout": 0.0}
A, B, Q = Quantity("a"), Quantity("b"), Quantity("q", "e", "site")
CLASS = Quantity("c", classes=2, class_names=("no", "yes"))
ENERGY = Quantity("energy", "eV", extensive=True)
FORCES = Quantity("forces", "eV/Å", "site", shape=(3,))
STRESS = Quantity("stress", "eV/Å³", shape=(6,))

CASES = {
    "structures": (
        KNN,
        KNN,
        CGCNN,
        PartChoice("crystal", {"hidden": 8, "pool_norm": "batch", **CALM}),
        (A, B, CLASS),
    ),
    "structures, float32": (KNN, KNN, CGCNN, PartChoice("crystal", {"hidden": 8}), (A, B)),
    "one process without edges": (KNN, KNN, CGCNN, PartChoice("crystal", {"hidden": 8}), (A,)),
    "sites": (RADIUS, EMBED, CGCNN, PartChoice("site", {"hidden": 8, "weigh": "crystals"}), (Q,)),
    "forces through batch norms": (RADIUS, EMBED, CGCNN, PartChoice("energy", {}), (ENERGY, FORCES, STRESS)),
    "forces and a penalty": (RADIUS, EMBED, PartChoice("pair-moments", {}), PartChoice("energy", {}), (ENERGY, FORCES)),
}


def structures(case: str) -> list[ase.Atoms]:
    """Of several sizes, more labels in the second half than in the first."""
    if case == "one process without edges":
        lonely = [ase.Atoms("He", cell=[30.0] * 3), ase.Atoms("NaCl", [[0, 0, 0], [25, 0, 0]], cell=[60.0] * 3)]
        return [crystals.rattled(0), *lonely]
    return [crystals.rattled(k) * (1 + k % 2, 1, 1) for k in range(5)]


def labels_of(quantity: Quantity, atoms: list[ase.Atoms], rng: np.random.Generator) -> Labels:
    sites = np.repeat(np.arange(len(atoms)), [len(a) for a in atoms])
    rows = len(sites) if quantity.level == "site" else len(atoms)
    value = rng.normal(size=(rows, *quantity.shape))
    if quantity.classes:
        value = rng.integers(0, 2, size=rows).astype(float)
    of = sites if quantity.level == "site" else np.arange(rows)
    known = (of % 3 != 0) if quantity in (A, Q, FORCES) else (of > 1) | (len(atoms) < 4)
    return Labels(torch.as_tensor(value), torch.as_tensor(known))


def step(case: str, team: ProcessTeam = ALONE) -> dict[str, torch.Tensor]:
    """Loss, gradients and running statistics after one step."""
    graph_part, embedding, architecture, head, targets = CASES[case]
    torch.manual_seed(3)
    names = [t.name for t in targets]
    statistics = Statistics(40.0, (), dict.fromkeys(names, 0.3), dict.fromkeys(names, 0.7))
    model = CrystalModel(ModelSpec(graph_part, embedding, architecture, head, targets, statistics)).train()
    dtype = torch.float32 if case.endswith("float32") else torch.float64
    model = model.to(dtype)
    atoms, rng = structures(case), np.random.default_rng(5)
    how = {"cutoff": 5.0} if graph_part is RADIUS else {"cutoff": 8.0, "max_neighbors": 12}
    graphs = [build_graph(a, **how) for a in atoms]  # type: ignore[arg-type]
    labels = {t.name: labels_of(t, atoms, rng) for t in targets}
    part = team.part(np.array([len(a) for a in atoms]))
    whole = collate(graphs, dtype)
    if team.size == 1:
        loss = model.loss(whole, labels, "mse")[1]
    else:
        with joint.sharing():
            loss = team.loss(model, collate(graphs[part], dtype), whole, part.start, labels, "mse", None)
    weights = [p for p in model.parameters() if p.requires_grad]
    torch.autograd.backward(loss, inputs=weights)
    assert team.sum_gradients(weights, mine=team.rank == 1) == (team.size == 2)
    found = {f"gradient {n}": p.grad for n, p in model.named_parameters() if p.grad is not None}
    buffers = {f"buffer {n}": b for n, b in model.named_buffers() if "running" in n or "tracked" in n}
    return {"loss": loss.detach(), **found, **buffers}


if __name__ == "__main__":
    with gathered("cpu") as here:
        torch.save({case: step(case, here) for case in CASES}, Path(sys.argv[1]) / f"{here.rank}.pt")
