"""``nequip`` as an architecture: symmetries, derivatives, batches, elements; in float64, all parities."""

from typing import ClassVar

from crystal_nequip import NEQUIP, PAPER, TINY

from crystalcli.contracts.records import Statistics
from crystalcli.testing import ArchitectureContract

ELEMENTS = (1, 2, 8, 11, 13, 17, 18, 22, 29, 38)


class TestNequip(ArchitectureContract):
    part = NEQUIP
    options: ClassVar = {"channels": "6-4-3", "radial_width": 8}
    statistics = Statistics(30.0, ELEMENTS)


class TestTiny(ArchitectureContract):
    part = TINY
    options: ClassVar = {"channels": "6"}
    statistics = Statistics(30.0, ELEMENTS)


class TestEven(ArchitectureContract):
    part = PAPER
    options: ClassVar = {"channels": "6-4-3", "self_connection": "linear", "bias": True, "radial_width": 8}
    statistics = Statistics(30.0, ELEMENTS)


class TestBothParities(ArchitectureContract):
    part = NEQUIP
    options: ClassVar = {"parity": "full", "channels": "3", "l_max": 3, "n_layers": 4, "trainable_bessel": False}
    statistics = Statistics(30.0, ELEMENTS)
