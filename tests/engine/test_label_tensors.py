"""Stress as programs write it: unit, sign, order of components; checked against energies of a strained crystal."""

import ase.build
import numpy as np
import pytest
from ase.calculators.emt import EMT

from crystalcli.engine.labels.label_arrays import CONVENTIONS, as_stress, six_components
from crystalcli.engine.labels.label_requests import LabelRequest
from crystalcli.engine.labels.labelled import Labelled
from crystalcli.engine.labels.labels import columns
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.offered import Offered
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity

GPA = 1e9 * 1e-30 / 1.602176634e-19  # eV/Å³, exact SI
ASE = np.array([0.01, -0.02, 0.03, 0.004, -0.005, 0.006])
WRITTEN = {
    "ase": ASE,
    "eV/Å³": ASE,
    "eV/A^3": ASE,
    "-eV/Å³": -ASE,
    "GPa": ASE / GPA,
    "-GPa": -ASE / GPA,
    "kbar": 10 * ASE / GPA,
    "-kbar": -10 * ASE / GPA,
    "vasp": -10 * ASE[[0, 1, 2, 5, 3, 4]] / GPA,  # xx yy zz xy yz zx
}


@pytest.mark.parametrize("convention", sorted(CONVENTIONS))
def test_every_convention_means_the_same_stress(convention: str) -> None:
    found = as_stress(WRITTEN[convention][None], convention)
    np.testing.assert_allclose(found[0], ASE, rtol=1e-12)


def labelled(value: object, quantity: Quantity | None = None) -> Labelled:
    entry = Entry("a", ase.build.bulk("Cu"), "a.xyz", {"stress": value}, quantities={"stress": quantity or STRESS})
    return Labelled.of(entry)


STRESS = Quantity("stress", "eV/Å³", shape=(6,))


def test_a_column_of_stresses_with_one_missing() -> None:
    none = Labelled("b", "b.xyz", 1, {})
    made, audit = columns([labelled(ASE), none], [LabelRequest.parse("stress")])
    assert made[0].quantity == STRESS
    assert made[0].mask.tolist() == [True, False]
    np.testing.assert_array_equal(made[0].values[0], ASE)
    assert any("1 structures have none" in w for w in audit.warnings)


def test_unit_said_by_the_user_counts() -> None:
    made, _ = columns([labelled(WRITTEN["vasp"])] * 2, [LabelRequest.parse("stress:vasp")])
    np.testing.assert_allclose(made[0].values, [ASE, ASE], rtol=1e-12)
    assert made[0].quantity.unit == "eV/Å³"


def test_nine_numbers_must_be_symmetric() -> None:
    full = np.array([[1.0, 6.0, 5.0], [6.0, 2.0, 4.0], [5.0, 4.0, 3.0]])
    np.testing.assert_array_equal(six_components(full.ravel(), "a", "stress"), [1, 2, 3, 4, 5, 6])
    with pytest.raises(UsageError, match="not symmetric"):
        six_components(full + np.triu(np.ones((3, 3)), 1), "a", "stress")
    with pytest.raises(UsageError, match="6 or 9"):
        six_components(np.ones(4), "a", "stress")


def test_an_unknown_convention_lists_what_there_is() -> None:
    with pytest.raises(UsageError, match=r"no convention 'Gpa'.*GPa"):
        as_stress(ASE[None], "Gpa")


def test_a_virial_becomes_the_stress_that_energies_show() -> None:
    atoms = ase.build.bulk("Cu", cubic=True)
    atoms.set_cell(atoms.cell * 0.98, scale_atoms=True)
    atoms.calc = EMT()
    stress = atoms.get_stress(voigt=False)
    offered = Offered(len(atoms), atoms.cell.array)
    offered.take({"virial": -stress * atoms.get_volume()})
    found = offered.labels["stress_from_virial"]
    np.testing.assert_allclose(found, atoms.get_stress(), rtol=1e-12)
    assert found[0] < 0  # a compressed crystal pushes: negative with tension positive


def test_a_stress_that_no_crystal_bears_is_asked_about() -> None:
    """±30 GPa written as such and taken in eV/Å³; one structure that went astray is no reason to ask."""
    _, audit = columns([labelled(1e3 * ASE)] * 2, [LabelRequest.parse("stress")])
    assert any("beyond 4807 GPa; is it in another unit? --targets stress:GPa" in w for w in audit.warnings)
    for values, asked in (([1e3 * ASE] * 2, "stress:eV/Å³"), ([1e3 * ASE, ASE, ASE], "stress"), ([ASE], "stress")):
        _, audit = columns([labelled(v) for v in values], [LabelRequest.parse(asked)])
        assert not any("another unit" in w for w in audit.warnings)
