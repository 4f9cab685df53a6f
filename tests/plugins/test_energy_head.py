"""Head ``energy`` keeps the contract of heads, and weighs what it learns as asked."""

import pytest
import torch
from crystal_energy import ENERGY
from crystal_energy.head import EnergyHead
from crystal_energy.options import PRESSURE, STRESS, EnergyOptions

from crystalcli.contracts.modules import Labels, Prediction
from crystalcli.contracts.records import Statistics
from crystalcli.nouns.graph import collate
from crystalcli.nouns.neighbors import build_graph
from crystalcli.testing import HeadContract, crystals


class TestEnergy(HeadContract):
    part = ENERGY


class TestLinear(HeadContract):
    part = ENERGY
    options = {"hidden": 0}


@pytest.mark.parametrize(("stress", "pressure"), [(2.0, 5.0), (0.0, 1.0), (1.0, 0.0)])
def test_stress_and_pressure_have_weights_of_their_own(stress: float, pressure: float) -> None:
    options = EnergyOptions(stress_weight=stress, pressure_weight=pressure)
    head = EnergyHead(options, 3, (STRESS, PRESSURE), Statistics(target_scale={"stress": 2.0, "pressure": 0.5}))
    graph = collate([build_graph(crystals.rattled(0), cutoff=3.0)], torch.float64)
    found = {
        "stress": Prediction(torch.full((1, 6), 3.0, dtype=torch.float64), STRESS),
        "pressure": Prediction(torch.full((1,), 1.0, dtype=torch.float64), PRESSURE),
    }
    labels = {n: Labels(torch.zeros_like(p.value), torch.ones(1, dtype=torch.bool)) for n, p in found.items()}
    loss = head.loss(found, labels, graph, "mse")
    assert float(loss) == pytest.approx(stress * (3.0 / 2.0) ** 2 + pressure * (1.0 / 0.5) ** 2)
