"""Head ``energy`` keeps the contract of heads."""

from crystal_energy import ENERGY

from crystalcli.testing import HeadContract


class TestEnergy(HeadContract):
    part = ENERGY


class TestLinear(HeadContract):
    part = ENERGY
    options = {"hidden": 0}
