"""Where labels of predicted structures are found, what fits, and what is said of the rest."""

from pathlib import Path
from typing import Any

import ase
import ase.build
import numpy as np
import pytest
from ase.stress import voigt_6_to_full_3x3_stress
from common import small_cache

from crystalcli.engine.cache.cache import Column
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.labels.label_requests import parse
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.offered import ASE_QUANTITIES
from crystalcli.prediction.labels import LabelFinder
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity
from crystalcli.vocabulary.units import GPA

ENERGY, STRESS, FORCES = (
    ASE_QUANTITIES["energy"],
    ASE_QUANTITIES["stress"],
    Quantity("forces", "eV/Å", "site", shape=(3,)),
)
PER_ATOM, DIPOLE, CHARGE = (
    Quantity("energy_per_atom", "eV/atom"),
    Quantity("dipole", "e·Å", shape=(3,)),
    Quantity("q", "e", "site"),
)
SIX = np.array([1.0, 2.0, 3.0, 0.4, 0.5, 0.6])


def found(quantity: Quantity, labels: dict[str, Any], asked: str = "", **more: Any) -> tuple[Any, list[str]]:
    said: list[str] = []
    finder = LabelFinder([quantity], parse([asked] if asked else []) or (), said.append)
    entry = Entry("a", ase.build.bulk("NaCl", "rocksalt", a=5.6), "a.xyz", labels, **more)
    value = finder.of(entry).get(quantity.name)
    finder.of(entry)  # what is said is said once
    finder.say_missing()
    return value, said


@pytest.mark.parametrize(
    ("labels", "asked", "factor"),
    [
        ({"stress": SIX}, "", 1.0),
        ({"stress": voigt_6_to_full_3x3_stress(SIX)}, "", 1.0),
        ({"s": voigt_6_to_full_3x3_stress(SIX).ravel()}, "stress=s", 1.0),
        ({"s": SIX}, "stress=s:GPa", GPA),
        ({"s": SIX}, "stress=s:-kbar", -0.1 * GPA),
        ({"stress_from_virial": SIX}, "", 1.0),
    ],
)
def test_stress_in_all_its_forms(labels: dict[str, Any], asked: str, factor: float) -> None:
    value, said = found(STRESS, labels, asked)
    np.testing.assert_allclose(value, SIX * factor)
    assert said == []


def test_the_order_of_vasp_and_the_unit_that_the_format_knows() -> None:
    value, _ = found(STRESS, {"s": SIX}, "stress=s:vasp")
    np.testing.assert_allclose(value, -0.1 * GPA * SIX[[0, 1, 2, 4, 5, 3]])
    value, _ = found(STRESS, {"s": SIX}, "stress=s", quantities={"s": Quantity("s", "GPa", shape=(6,))})
    np.testing.assert_allclose(value, GPA * SIX)


@pytest.mark.parametrize(
    ("quantity", "value"),
    [
        (DIPOLE, np.array([1.0, 2.0, 3.0])),
        (FORCES, np.ones((2, 3))),
        (CHARGE, np.array([0.5, np.nan])),
        (ENERGY, -3.0),
    ],
)
def test_every_shape_is_found_as_it_is(quantity: Quantity, value: Any) -> None:
    got, said = found(quantity, {quantity.name: value})
    np.testing.assert_array_equal(got, value)
    assert said == []


@pytest.mark.parametrize(
    ("quantity", "value", "said"),
    [
        (ENERGY, np.ones(2), "label 'energy' has shape (2,), the model's 'energy' is a number per structure"),
        (CHARGE, np.ones((2, 3)), "label 'q' has shape (2, 3), the model's 'q' is a number per site"),
        (CHARGE, np.ones(3), "label 'q' has shape (3,), the model's 'q' is a number per site"),
        (FORCES, np.ones(2), "label 'forces' has shape (2,), the model's 'forces' is a vector per site"),
        (DIPOLE, 1.0, "label 'dipole' has shape (), the model's 'dipole' is a vector per structure"),
        (STRESS, np.ones(5), "label 'stress' has shape (5,), a tensor has 6 or 9 numbers"),
        (STRESS, np.arange(9.0), "label 'stress' is not symmetric"),
    ],
)
def test_what_does_not_fit_is_said_once_and_not_compared(quantity: Quantity, value: Any, said: str) -> None:
    got, heard = found(quantity, {quantity.name: value})
    assert got is None
    assert heard == [f"{said}; not compared"]


def test_per_atom_and_totals() -> None:
    assert found(PER_ATOM, {"energy": 4.0})[0] == 2.0
    assert found(PER_ATOM, {"e": 4.0}, "energy_per_atom=e/atom")[0] == 2.0
    assert found(Quantity("e_total", "eV", extensive=True), {"e": 4.0})[0] == 8.0
    assert found(CHARGE, {"q": np.array([1.0, 2.0])})[0].tolist() == [1.0, 2.0]


def test_units_that_are_known_are_made_the_models() -> None:
    """``energy`` of ASE is a total in eV, whatever the unit of the model."""
    said = {"quantities": {"energy": ENERGY}}
    value, heard = found(Quantity("energy_per_atom", "kcal/mol/atom"), {"energy": -4.0}, **said)
    assert value == pytest.approx(-2.0 * 23.0605, rel=1e-5)
    assert heard == []
    assert found(Quantity("energy_per_atom", "K"), {"energy": -4.0}, **said) == (
        None,
        ["label 'energy' is in 'eV/atom', the model's 'energy_per_atom' in 'K'; not compared"],
    )
    # the word of the user counts, and a unit that nobody says is that of the model
    assert found(Quantity("e", "eV"), {"energy": -4.0}, "e=energy:meV", **said)[0] == pytest.approx(-4e-3)
    assert found(PER_ATOM, {"energy": -4.0}, "energy_per_atom=energy/atom:eV", **said)[0] == -2.0
    assert found(Quantity("e", "kcal/mol"), {"e": -4.0}) == (-4.0, [])
    value, heard = found(Quantity("energy", extensive=True), {"energy": -4.0}, **said)
    assert value is None
    assert "in a unit that nobody said; not compared; --labels energy=energy" in heard[0]
    assert found(Quantity("energy", extensive=True), {"energy": -4.0}, "energy=energy", **said)[0] == -4.0
    forces = found(Quantity("f", "meV/Å", "site", shape=(3,)), {"f": np.ones((2, 3))}, quantities={"f": FORCES})[0]
    np.testing.assert_allclose(forces, 1000.0)


def test_a_total_is_not_multiplied_again() -> None:
    """A label may be called a total without being one made by crystal; what ASE calls energy is one."""
    said: dict[str, Any] = {"quantities": {"energy": ENERGY}}
    for target in (Quantity("energy_total"), Quantity("energy_total", "eV", extensive=True)):
        value, heard = found(target, {"energy": -23.9}, **said)
        assert value is None
        assert heard[0].startswith(
            "label 'energy' may be 'energy_total' or a share of it, and is not compared; say --labels"
        )
    assert found(Quantity("energy_total"), {"energy": -23.9}, "energy_total=energy", **said)[0] == -23.9
    known = {"quantities": {"e": Quantity("e", "eV", extensive=True)}}
    value, heard = found(Quantity("e_total", "eV", extensive=True), {"e": 4.0}, **known)
    assert value is None
    assert heard == ["label 'e' is a total already; not compared; --labels e_total=e compares it as it is"]
    value, heard = found(Quantity("energy", "eV"), {"energy": -23.9}, **said)
    assert value is None
    assert "is a total, the model's 'energy' is no total" in heard[0]


def test_what_may_be_a_total_or_not_is_not_guessed() -> None:
    """Formation energies are written per atom and in all, mostly without saying so."""
    formation = Quantity("formation_energy_per_atom", "eV/atom")
    value, said = found(formation, {"formation_energy": -1.0})
    assert value is None
    assert len(said) == 1
    assert said[0].endswith("--labels formation_energy_per_atom=formation_energy, or …=formation_energy/atom")
    assert found(formation, {"formation_energy": -1.0}, "formation_energy_per_atom=formation_energy") == (-1.0, [])
    assert found(formation, {"formation_energy": -1.0}, "formation_energy_per_atom=formation_energy/atom")[0] == -0.5
    assert found(formation, {"formation_energy": -1.0, formation.name: -2.0}) == (-2.0, [])
    assert found(formation, {"other": 1.0}) == (None, [])


def test_what_was_asked_for_and_is_nowhere_is_said() -> None:
    value, said = found(ENERGY, {"e0": 1.0, "gap": 2.0}, "energy=REF_energy")
    assert value is None
    assert said == ["no structure has a label 'REF_energy' to compare 'energy' with; they have: e0, gap"]
    assert found(ENERGY, {}, "energy")[1] == [
        "no structure has a label 'energy' to compare 'energy' with; they have none"
    ]
    assert found(ENERGY, {})[1] == []


def test_requests_that_cannot_be_granted() -> None:
    for quantity, asked, said in (
        (STRESS, "stress=s:bar", "no convention 'bar'"),
        (ENERGY, "energy=e:K", "in 'eV'; labels in 'K'"),
        (PER_ATOM, "energy_per_atom=e/atom:K", "in 'eV/atom'; labels in 'K/atom'"),
        (ENERGY, "forces", "predicts energy, not 'forces'"),
    ):
        with pytest.raises(UsageError, match=said):
            found(quantity, {}, asked)


def test_columns_of_a_cache(tmp_path: Path) -> None:
    structures = small_cache.crystals(6)
    n = len(structures)
    there = np.arange(n) % 2 == 0
    columns = [
        Column(ENERGY, np.arange(float(n)), there),
        Column(STRESS, np.tile(SIX, (n, 1)), there),
        Column(Quantity("gap", "meV"), np.ones(n), there),
        Column(CHARGE, np.ones(2 * n), np.ones(2 * n, dtype=bool)),
    ]
    data = GraphDataset.open([small_cache.write(tmp_path / "a.h5", structures=structures, columns=columns)])

    def of(quantity: Quantity, asked: str = "") -> tuple[Column | None, list[str]]:
        said: list[str] = []
        finder = LabelFinder([quantity], parse([asked] if asked else []) or (), said.append)
        return finder.of_cache(data).get(quantity.name), said

    column, said = of(PER_ATOM)
    assert column is not None
    np.testing.assert_allclose(column.values[there], np.arange(n)[there] / 2)
    assert column.quantity == PER_ATOM
    assert said == []
    assert of(STRESS)[0] is not None
    assert of(Quantity("g", "meV"), "g=gap")[0] is not None
    made = of(Quantity("gap", "eV"))[0]
    assert made is not None
    np.testing.assert_allclose(made.values, 1e-3)
    assert of(Quantity("gap", "K")) == (None, ["label 'gap' is in 'meV', the model's 'gap' in 'K'; not compared"])
    gone, said = of(FORCES, "forces=q")
    assert gone is None
    assert said == [
        "label 'q' of the cache is a number per site, the model's 'forces' is a vector per site; not compared"
    ]
