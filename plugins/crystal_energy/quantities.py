"""What the head ``energy`` learns and predicts."""

from __future__ import annotations

from crystalcli.vocabulary.quantities import Quantity

ENERGY = Quantity("energy", "eV", extensive=True)
FORCES = Quantity("forces", "eV/Å", "site", shape=(3,))
STRESS = Quantity("stress", "eV/Å³", shape=(6,))
ENERGIES = Quantity("energies", "eV", "site")
LEARNS = (ENERGY, FORCES, STRESS)
