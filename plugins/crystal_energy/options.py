"""Options of the head ``energy``, and what it learns and predicts."""

from __future__ import annotations

from dataclasses import dataclass

from crystalcli.contracts.options import option
from crystalcli.vocabulary.quantities import Quantity

ENERGY = Quantity("energy", "eV", extensive=True)
FORCES = Quantity("forces", "eV/Å", "site", shape=(3,))
STRESS = Quantity("stress", "eV/Å³", shape=(6,))
ENERGIES = Quantity("energies", "eV", "site")
PRESSURE = Quantity("pressure", "eV/Å³")
"""That of the potential: −1/3 of the trace of the stress, without what moving atoms add."""
LEARNS = (ENERGY, FORCES, STRESS, PRESSURE)


@dataclass(frozen=True)
class EnergyOptions:
    """Head ``energy``.

    The weights are for losses of the errors' length (``l1``), whose slope is as large for one energy as for all forces
    of a structure together, however small they are: with larger ones energies and stresses of few structures push the
    weights about, and forces, of which there are hundreds, learn less (docs/results/potentials.md, elements).
    """

    hidden: int = option(64, "width of the fully connected layers on every atom; 0: a linear map only", min=0, max=4096)
    n_hidden: int = option(1, "fully connected layers", min=1, max=20)
    energy_weight: float = option(0.01, "weight of the error of the energy per atom in the loss", min=0.0, max=1e6)
    forces_weight: float = option(1.0, "weight of the error of the forces in the loss", min=0.0, max=1e6)
    stress_weight: float = option(0.03, "weight of the error of the stress in the loss", min=0.0, max=1e6)
    pressure_weight: float = option(0.01, "weight of the error of the pressure in the loss", min=0.0, max=1e6)
    wall: bool = option(True, "push apart atoms that come nearer than any two of their elements in training")
    zbl: bool = option(False, "add the screened nuclear repulsion of Ziegler, Biersack and Littmark at short distances")
