"""What the head ``energy`` learns and predicts."""

from __future__ import annotations

from crystalcli.vocabulary.quantities import Quantity

ENERGY = Quantity("energy", "eV", extensive=True)
FORCES = Quantity("forces", "eV/Å", "site", shape=(3,))
STRESS = Quantity("stress", "eV/Å³", shape=(6,))
ENERGIES = Quantity("energies", "eV", "site")
PRESSURE = Quantity("pressure", "eV/Å³")
"""That of the potential: −1/3 of the trace of the stress, without what moving atoms add."""
LEARNS = (ENERGY, FORCES, STRESS, PRESSURE)
