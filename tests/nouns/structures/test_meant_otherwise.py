"""Files that look like one thing and are another: types, labels, several structures, numbers with something behind."""

import pytest
from corpus.case import POSCAR, XYZ

from crystalcli.nouns.structures.formats import format_of, read
from crystalcli.nouns.structures.numbers import hint
from crystalcli.vocabulary.errors import InputError


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("POSCAR", POSCAR.replace("Na Cl", "NA Cl"), "'NA' is no element; write Na"),
        ("POSCAR", POSCAR.replace("Na Cl", "NH4 Cl"), "'NH4' is no element"),
        ("a.xyz", XYZ.replace("Na 0", "Na1 0"), "'Na1' of atom 0 is no element; write Na"),
        ("a.xyz", "2\nAtoms. Timestep: 0\n1 0 0 0\n2 2 2 2\n", "1, 2 where symbols stand: types of LAMMPS"),
        ("a.xyz", "1\nAtoms. Timestep: 0\n1 0 0 0\n", "types of LAMMPS"),
    ],
)
def test_an_element_is_not_guessed_but_named(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    try:
        (problem,) = read(tmp_path / name)
    except InputError as raised:
        problem = raised
    assert isinstance(problem, InputError)
    assert said in problem.reason
    assert "Nh" not in problem.reason


def test_other_numbers_where_symbols_stand_are_atomic_numbers_which_is_said(tmp_path):
    (tmp_path / "a.xyz").write_text(XYZ.replace("Na 0", "11 0").replace("Cl 1", "17 1"))
    (entry,) = read(tmp_path / "a.xyz")
    assert entry.atoms.get_chemical_symbols() == ["Na", "Cl"]
    assert "'17' is taken as an atomic number, Cl" in entry.notes


@pytest.mark.parametrize("between", ["", "\n", "\n0 0 0\n0 0 0\n\n"])
@pytest.mark.parametrize("scale", ["1.0", "-179.4", "1 1 1"])
def test_a_second_structure_in_a_poscar_is_not_lost_without_a_word(tmp_path, between, scale):
    second = POSCAR.replace("1.0\n", f"{scale}\n", 1)
    (tmp_path / "POSCAR").write_text(POSCAR + between + second)
    entry, problem = read(tmp_path / "POSCAR")
    assert len(entry.atoms) == 2
    assert problem.reason.startswith("another structure begins here")
    assert problem.line == 11 + between.count("\n")


def test_energies_of_cp2k_are_in_hartree(tmp_path):
    rows = "Na 0 0 0\nCl 2 2 2\n"
    (tmp_path / "x-pos-1.xyz").write_text(f"2\n i =        0, time =        0.000, E =        -8.0721897221\n{rows}")
    (entry,) = read(tmp_path / "x-pos-1.xyz")
    assert entry.labels["E"] == -8.0721897221
    assert (entry.quantities["E"].unit, entry.quantities["E"].extensive) == ("Ha", True)
    (tmp_path / "a.xyz").write_text(f"2\nE=-8.07\n{rows}")
    (entry,) = read(tmp_path / "a.xyz")
    assert "E" not in entry.quantities


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1,200.5", "between thousands"),
        ("1,200,500", "between thousands"),
        ("1,200", "decimal comma"),
        ("1.2(3)", "uncertainty"),
        ("1.2 ± 0.1", "uncertainty"),
        ("1.2+/-0.1", "uncertainty"),
        ("<0.1", "bound"),
        (">= 3", "bound"),
        ("12 %", "without %"),
        ("oxide", ""),
        ("4b", ""),
        ("2(b)", ""),
    ],
)
def test_what_may_be_wrong_with_a_number(text, said):
    assert said in hint(text)
    assert bool(hint(text)) == bool(said)


def test_names_that_end_in_the_name_of_a_file_of_vasp(tmp_path):
    for name in ("mp-149_POSCAR", "Si.CONTCAR", "6362_OUTCAR.gz", "a-XDATCAR"):
        assert format_of(tmp_path / name) in ("poscar", "outcar", "xdatcar")
    assert format_of(tmp_path / "myposcar") is None
