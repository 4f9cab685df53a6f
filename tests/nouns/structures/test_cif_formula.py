"""What a CIF states of its contents against its atoms."""

import ase
import numpy as np
import pytest
from ase.formula import Formula
from gemmi import cif
from hypothesis import given
from hypothesis import strategies as st

from crystalcli.nouns.structures.cif_formula import formulas, refuse_contradiction
from crystalcli.vocabulary.errors import InputError

CELL = 8.0 * np.eye(3)


def said(atoms: str, **tags: str) -> list[str]:
    names = {
        "sum": "_chemical_formula_sum",
        "structural": "_chemical_formula_structural",
        "moiety": "_chemical_formula_moiety",
        "z": "_cell_formula_units_Z",
        "density": "_exptl_crystal_density_diffrn",
    }
    text = "data_x\n" + "".join(f"{names[k]} '{v}'\n" for k, v in tags.items())
    return refuse_contradiction(cif.read_string(text).sole_block(), ase.Atoms(atoms).numbers, CELL)


@pytest.mark.parametrize(
    ("atoms", "tags"),
    [
        ("Mg8Al16O32", {"sum": "Al2 Mg O4", "z": "8"}),
        ("Mg8Al16O32", {"sum": "Mg8 Al16 O32", "structural": "Mg(AlO2)2", "z": "8"}),  # programs write the whole cell
        ("Mg8Al16O32", {"sum": "Mg8 Al16 O32"}),
        ("Mg8Al16O32", {"sum": "MG AL2 O4", "z": "8"}),
        ("O8", {"sum": "O8", "structural": "O2", "z": "4"}),
        ("Fe4O4", {"sum": "Fe0.99 O", "z": "4"}),
        ("C8H16O4", {"sum": "C2 D4 O", "z": "4"}),
        ("C8H16O4", {"sum": "C2 H3 D O", "z": "4(1)"}),
        ("Ca2O4H4", {"sum": "Ca (O H)2", "z": "2"}),
        ("Cu2S2O18H20", {"sum": "Cu S O4, 5(H2 O)", "z": "2"}),
        ("Cu2S2O18H20", {"sum": "CuSO4.5H2O", "z": "2"}),
        ("Co4O4", {"sum": "CO O", "z": "4"}),
        ("C4O8", {"sum": "CO2", "z": "4"}),
        ("Si8", {"z": "8"}),
        ("Si8", {"z": "?"}),
        ("Si8", {"sum": "?", "z": "."}),
        ("Si8", {"density": "0.729"}),
        ("K4Fe1C6N6", {"moiety": "[Fe(C N)6]4-, 4(K 1+)", "z": "1"}),
    ],
)
def test_what_agrees_is_not_mentioned(atoms: str, tags: dict[str, str]) -> None:
    assert said(atoms, **tags) == []


@pytest.mark.parametrize(
    ("atoms", "tags", "named"),
    [
        ("Mg16Al8O32", {"sum": "Al2 Mg O4"}, ("Al2 Mg O4", "Mg16")),
        ("Na4Cl4", {"sum": "Na4 Cl5"}, ("Na4 Cl5", "Na4 Cl4")),
        ("Na99Cl100", {"sum": "Na Cl"}, ("Na Cl", "Na99")),  # one row of a hundred is lost
        ("Si16", {"sum": "Si", "z": "8"}, ("_cell_formula_units_Z is 8", "Si16", "16 formula units")),
        ("Si2", {"sum": "Si", "z": "8"}, ("_cell_formula_units_Z is 8", "Si2")),
        ("Mg2Al4O8", {"sum": "Al2 Mg O4", "z": "8"}, ("_cell_formula_units_Z is 8", "2 formula units")),
        ("Mg1Al2O4", {"sum": "Mg Al2 O4", "structural": "MgAl2O4", "z": "8"}, ("_cell_formula_units_Z is 8",)),
        ("C8H20O4", {"sum": "C2 H4 O"}, ("C2 H4 O", "H20")),  # more hydrogen than there is
        ("H4", {"sum": "H2 O"}, ("H2 O", "H4")),
        ("Fe4O4", {"sum": "Fe0.9 O"}, ("Fe0.9 O",)),
        ("Si4O8", {"sum": "Al2 Si4 O12"}, ("Al2 Si4 O12",)),
        ("Si6", {"z": "4"}, ("_cell_formula_units_Z is 4", "Si6")),
        ("C8O4", {"sum": "C2 H4 O", "z": "8"}, ("_cell_formula_units_Z is 8",)),  # whatever the hydrogens are
    ],
)
def test_what_contradicts_the_atoms_is_refused(atoms: str, tags: dict[str, str], named: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as caught:
        said(atoms, **tags)
    assert all(word in caught.value.reason for word in named), caught.value.reason
    assert caught.value.code == "formula"


@pytest.mark.parametrize(
    ("atoms", "tags", "named"),
    [
        ("C8O4", {"sum": "C2 H4 O", "z": "4"}, "formula says 'C2 H4 O', the atoms are C8 O4"),
        ("C8H12O4", {"sum": "C2 H4 O", "z": "4"}, "formula says"),
        ("Ca2O4", {"sum": "Ca (O D)2"}, "formula says"),
        ("Si8", {"sum": "R2 O3"}, "'R2 O3' is not understood"),
        ("Si8", {"moiety": "Ge"}, "formula says 'Ge'"),
        ("Si8", {"density": "2.33"}, "_exptl_crystal_density_diffrn is 2.33, the atoms have 0.7287 g/cm³"),
        ("Ti2O4", {"sum": "Ti2 O4", "z": "2"}, "taken as formula of the cell"),
    ],
)
def test_what_may_be_so_is_warned_of(atoms: str, tags: dict[str, str], named: str) -> None:
    (warning,) = said(atoms, **tags)
    assert named in warning


@pytest.mark.parametrize("text", ["", "12", "R2 O3", "n(C4 H4)", "Ca(OH", "CaOH)2", "Fe2 3", "Xx", "water", "Fe_2O_3"])
def test_what_is_no_formula_has_no_reading(text: str) -> None:
    assert formulas(text) == ()


@pytest.mark.parametrize("text", ["Ca(OH)2", "Al2(SO4)3", "K4(Fe(CN)6)", "Mg3(Si4O10)(OH)2", "C6H12O6", "Ni(CO)4"])
def test_formulas_are_counted_as_by_ase(text: str) -> None:
    assert formulas(text)[0] == Formula(text).count()


@given(st.dictionaries(st.sampled_from(["C", "H", "Si", "S", "I", "O", "Co", "Fe"]), st.integers(1, 300), min_size=1))
def test_every_sum_formula_is_read_back(amounts: dict[str, int]) -> None:
    text = " ".join(f"{s}{n if n > 1 else ''}" for s, n in amounts.items())
    assert amounts in formulas(text)


@given(st.text(alphabet="CHOFe0123456789.,()[]+-* ", max_size=30))
def test_any_text_is_read_or_left(text: str) -> None:
    assert all(n > 0 for reading in formulas(text) for n in reading.values())
