"""What ASE's users hear of structures without an answer: atoms named, no nan, no message of another library."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import ase
import ase.build
import numpy as np
import pytest
import torch
from reference.some_potentials import model_of

from crystalcli import load_potential
from crystalcli.contracts.dynamics import Evaluated
from crystalcli.engine.model import model_file
from crystalcli.engine.potential import ase_calculator
from crystalcli.engine.potential.ase_calculator import CrystalCalculator
from crystalcli.engine.potential.model_potential import ModelPotential
from crystalcli.nouns.systems import Systems
from crystalcli.testing import crystals
from crystalcli.testing.springs import Springs
from crystalcli.vocabulary.errors import InputError, UsageError


def copper() -> ase.Atoms:
    return ase.build.bulk("Cu", cubic=True) * (2, 2, 1)


def through_the_wall(atoms: ase.Atoms) -> None:
    """Atom 1 lies on atom 0 one cell further."""
    atoms.positions[1] = atoms.positions[0] + atoms.cell[0]


def one_plane(atoms: ase.Atoms) -> None:
    """One vector is nearly in the plane of the others: atoms meet their images."""
    atoms.cell[2] = (1.0, 0.0, 1e-3)


SPOILT: dict[str, tuple[Callable[[ase.Atoms], object], str]] = {
    "one place": (lambda a: a.positions.__setitem__(1, a.positions[0]), "duplicate atoms: Cu 0 and Cu 1 are 0 Å apart"),
    "near": (lambda a: a.positions.__setitem__(3, a.positions[2] + 0.1), "atoms overlap: Cu 2 and Cu 3 are 0.173 Å"),
    "through the wall": (through_the_wall, "duplicate atoms: Cu 0 and Cu 1"),
    "no atoms": (lambda a: a.__delitem__(range(16)), "has no atoms"),
    "nan": (lambda a: a.positions.__setitem__((2, 1), math.nan), r"position of atom 2 is \(.*nan"),
    "infinite": (lambda a: a.positions.__setitem__((5, 0), -math.inf), "position of atom 5"),
    "far": (lambda a: a.positions.__setitem__((5, 0), 1e20), "a coordinate is 1e\\+20 Å"),
    "cell of nan": (lambda a: a.cell.__setitem__((1, 1), math.nan), "cell is not finite"),
    "infinite cell": (lambda a: a.cell.__setitem__((1, 1), math.inf), "cell is not finite"),
    "flat cell": (one_plane, "cell volume is|flat"),
    "no cell": (lambda a: a.set_cell(np.zeros((3, 3))), "cell vector a is zero"),
    "no element": (lambda a: a.numbers.__setitem__(4, 0), "atom 4 is no element"),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("model") / "model.safetensors"
    model_file.save(file, model_of(), {})
    return file


@pytest.mark.parametrize("spoilt", SPOILT)
def test_what_has_no_answer_is_refused(spoilt: str) -> None:
    spoil, said = SPOILT[spoilt]
    bad, calculator = copper(), load_potential("emt")
    bad.calc = calculator
    before = bad.get_potential_energy()
    assert math.isfinite(before)
    spoil(bad)
    for ask in (bad.get_potential_energy, bad.get_forces, bad.get_stress):
        with pytest.raises(InputError, match=f"^({said})"):
            ask()
    with pytest.raises(InputError, match=f"structure 2: ({said})"):
        calculator.evaluate([copper(), copper(), bad, copper()])
    good = copper()
    good.calc = calculator
    assert good.get_potential_energy() == before


@pytest.mark.parametrize("spoilt", ["one place", "no atoms", "nan", "through the wall"])
def test_of_a_model_too(spoilt: str, model: Path) -> None:
    spoil, said = SPOILT[spoilt]
    perovskite = crystals.rattled() * (2, 2, 1)
    spoil(perovskite) if spoilt != "no atoms" else perovskite.__delitem__(range(20))
    perovskite.calc = load_potential(str(model))
    with pytest.raises(InputError, match=said.replace("Cu 0", "Sr 0").replace("Cu 1", "Ti 1")):
        perovskite.get_forces()


class Odd(Springs):
    """Springs that lose a number."""

    def __init__(self, structures: list[ase.Atoms], what: str, where: int | tuple[int, ...], value: float) -> None:
        super().__init__(structures)
        self.what, self.where, self.value, self.name = what, where, value, "odd"

    def evaluate(self, systems: Systems, *, stress: bool = False) -> Evaluated:
        found = super().evaluate(systems, stress=stress)
        values = getattr(found, self.what).clone()
        values[self.where] = self.value
        return replace(found, **{self.what: values})


@pytest.mark.parametrize(
    ("what", "where", "value", "said"),
    [
        ("energy", 1, math.nan, "structure 1: odd gives no finite energy"),
        ("energy", 0, -math.inf, "structure 0: odd gives no finite energy"),
        ("forces", (7, 2), math.inf, "structure 1: odd gives no finite forces of O 2"),
        ("stress", (1, 0, 1), math.nan, "structure 1: odd gives no finite stress"),
    ],
)
def test_an_answer_that_is_no_number(what: str, where: int, value: float, said: str) -> None:
    several = [crystals.rattled(0), crystals.rattled(1)]
    with pytest.raises(InputError, match=f"^{said}$"):
        CrystalCalculator(Odd(several, what, where, value)).evaluate(several, stress=True)


def test_the_nearest_atoms_are_named_beside_it() -> None:
    close = crystals.rattled(0)
    close.positions[4] = close.positions[3] + [0.3, 0.0, 0.0]
    close.calc = CrystalCalculator(Odd([close], "forces", slice(None), math.nan))
    with pytest.raises(
        InputError, match=r"^odd gives no finite forces of Sr 0, Ti 1, O 2 and 2 more; O 3, O 4 are 0.3 Å"
    ):
        close.get_forces()


def test_numbers_of_structures_count_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks are evaluated one after the other; messages number all structures."""
    monkeypatch.setattr(ase_calculator, "MOST_ATOMS", 40)
    calculator = CrystalCalculator(ModelPotential(model_of(), "m"))
    many = [crystals.rattled(k) * (2, 1, 1) for k in range(9)]
    with pytest.raises(InputError, match=r"^structure 9: Cu not in the training of m"):
        calculator.evaluate([*many, crystals.one_atom()])
    assert len(calculator.evaluate(many)) == 9
    assert torch.is_tensor(calculator.potential.evaluate(Systems.of(many[:1])).energy)
    assert calculator.evaluate([]) == []
    with pytest.raises(UsageError, match="structure 1 is of type str"):
        calculator.evaluate([many[0], "NaCl"])
