"""The built-in readers and calculators keep their contracts."""

import crystal_alumina
import crystal_calculators
import pytest

from crystalcli.testing import CalculatorContract, ReaderContract

PARTS = {p.name: p for p in [*crystal_alumina.crystal_parts(), *crystal_calculators.crystal_parts()]}


class TestAluminaReader(ReaderContract):
    part = PARTS["alumina"]


class TestMatsui(CalculatorContract):
    part = PARTS["matsui"]


class TestEmt(CalculatorContract):
    part = PARTS["emt"]


class TestStillingerWeber(CalculatorContract):
    part = PARTS["sw"]


class TestLennardJones(CalculatorContract):
    part = PARTS["lj"]


class TestMorse(CalculatorContract):
    part = PARTS["morse"]

    @pytest.mark.parametrize("alpha", [0.8, 2.0])
    def test_other_options(self, alpha: float) -> None:
        class Softer(CalculatorContract):
            part = PARTS["morse"]
            options = {"alpha": alpha}

        Softer().test_forces()
