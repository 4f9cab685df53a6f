"""Strained crystals tell the convention of their stress: energies and stresses of EMT metals."""

import ase.build
import numpy as np
import pytest
from ase.calculators.emt import EMT

from crystalcli.engine.labels.label_requests import LabelRequest
from crystalcli.engine.labels.labelled import Labelled
from crystalcli.engine.labels.labels import columns
from crystalcli.nouns.structures.entry import Entry
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity

KBAR = 1.0 / 1602.1766208
WRONG = {
    "-eV/Å³": lambda s: -s,
    "GPa": lambda s: 10 * KBAR * s,
    "-GPa": lambda s: -10 * KBAR * s,
    "vasp": lambda s: -KBAR * s,
}
"""What becomes of a stress in eV/Å³ that is taken for something else."""


def strained(symbol: str) -> list[Labelled]:
    """A crystal with two atoms off their sites, under fourteen strains."""
    rng = np.random.default_rng(7)
    found = []
    for k in range(14):
        atoms = ase.build.bulk(symbol, cubic=True)
        atoms.positions[1:3] += [[0.1, 0.05, 0.0], [0.0, 0.0, 0.12]]
        strain = rng.normal(0, 0.012, (3, 3))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.5 * (strain + strain.T)), scale_atoms=True)
        atoms.calc = EMT()
        labels = {"energy": atoms.get_potential_energy(), "stress": atoms.get_stress()}
        known = {"stress": Quantity("stress", "eV/Å³", shape=(6,))}
        found.append(Labelled.of(Entry(str(k), atoms, f"{k}.xyz", labels, quantities=known)))
    return found


@pytest.mark.parametrize("symbol", ["Cu", "Al", "Ni", "Pd"])
def test_the_right_convention_is_confirmed(symbol: str) -> None:
    _, audit = columns(strained(symbol), [LabelRequest.parse("stress")])
    assert any("agrees with the energies of 91 pairs" in line for line in audit.lines)


@pytest.mark.parametrize("symbol", ["Cu", "Al", "Ni", "Pd", "Ag"])
@pytest.mark.parametrize("convention", sorted(WRONG))
def test_a_wrong_one_is_refused_and_the_right_one_named(symbol: str, convention: str) -> None:
    with pytest.raises(UsageError, match=f"'stress' as {convention} contradicts.*--targets stress:ase does not"):
        columns(strained(symbol), [LabelRequest.parse(f"stress:{convention}")])


def test_without_strained_pairs_nothing_is_said() -> None:
    _, audit = columns(strained("Cu")[:2], [LabelRequest.parse("stress")])
    assert not any("strained" in line for line in audit.lines)
