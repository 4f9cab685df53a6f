"""Odd but legal ways to state a setting give the atoms meant; another program agrees where one reads it right."""

import io
import warnings
from collections.abc import Callable

import ase
import ase.io
import gemmi
import numpy as np
import pytest
from ase.formula import Formula
from corpus.cif_settings import ODD, Odd, whole
from gemmi import cif
from pymatgen.io.cif import CifParser

from crystalcli.nouns.structures.cif import from_text


def differ(atoms: ase.Atoms, meant: ase.Atoms, tolerance: float = 0.01) -> str:
    """Empty if both have the same cell and, one to one, the same atoms within ``tolerance`` Å."""
    if atoms.get_chemical_formula() != meant.get_chemical_formula():
        return f"{atoms.get_chemical_formula()}, not {meant.get_chemical_formula()}"
    if not np.allclose(atoms.cell.cellpar(), meant.cell.cellpar(), atol=1e-5):
        return "another cell"
    delta = atoms.get_scaled_positions()[:, None] - meant.get_scaled_positions()[None]
    delta -= np.rint(delta)
    distance = np.linalg.norm(delta @ meant.cell.array, axis=-1)
    distance[atoms.numbers[:, None] != meant.numbers[None]] = np.inf
    unique = len(set(distance.argmin(1).tolist())) == len(atoms)
    return "" if unique and distance.min(1).max() < tolerance else "atoms elsewhere"


def by_gemmi(text: str) -> ase.Atoms:
    small = gemmi.make_small_structure_from_block(cif.read_string(text).sole_block())
    sites = small.get_all_unit_cell_sites()
    cell = small.cell.parameters
    return ase.Atoms(
        [s.element.name for s in sites], scaled_positions=[s.fract.tolist() for s in sites], cell=cell, pbc=True
    )


def by_ase(text: str) -> ase.Atoms:
    return ase.io.read(io.StringIO(text), format="cif")


def by_pymatgen(text: str) -> ase.Atoms:
    (found,) = CifParser.from_str(text).parse_structures(primitive=False)
    return ase.Atoms(
        found.atomic_numbers, scaled_positions=found.frac_coords, cell=found.lattice.abc + found.lattice.angles
    )


ORACLES: dict[str, Callable[[str], ase.Atoms]] = {"gemmi": by_gemmi, "ase": by_ase, "pymatgen": by_pymatgen}


def agrees(oracle: str, odd: Odd) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return not differ(ORACLES[oracle](odd.text), whole(odd.crystal))
        except Exception:  # each raises many kinds
            return False


@pytest.mark.parametrize("odd", ODD, ids=lambda o: o.name)
def test_the_atoms_meant_are_read(odd: Odd) -> None:
    atoms, said = from_text(odd.text)
    assert differ(atoms, whole(odd.crystal)) == ""
    assert bool(said) == bool(odd.says), said
    assert odd.says in " ".join(said)
    stated = Formula(odd.crystal.formula.replace(" ", ""))
    assert atoms.symbols.formula.count() == {s: n * odd.crystal.z for s, n in stated.count().items()}


@pytest.mark.parametrize("odd", ODD, ids=lambda o: o.name)
def test_another_program_agrees_where_one_reads_it_right(odd: Odd) -> None:
    if odd.oracle != "formula":
        assert agrees(odd.oracle, odd)


def test_the_corpus_is_large_enough() -> None:
    assert len(ODD) >= 80
    assert len({o.name for o in ODD}) == len(ODD)


CELL = "data_a\n" + "".join(
    f"_cell_length_{v} 5\n_cell_angle_{a} 90\n" for v, a in zip("abc", ("alpha", "beta", "gamma"), strict=True)
)
SITES = "loop_\n" + "".join(
    f"_atom_site_{c}\n" for c in ("label", "fract_x", "fract_y", "fract_z", "attached_hydrogens")
)


def test_what_a_file_says_to_be_there_and_does_not_list_is_warned_of() -> None:
    plain = CELL + "_space_group_name_H-M_alt 'P 1'\n{}" + SITES + "Na1 0 0 0 0\nO1 .5 .5 .5 {}\n"
    assert from_text(plain.format("", 0))[1] == from_text(plain.format("_cell_modulation_dimension 0\n", "."))[1] == ()
    (said,) = from_text(plain.format("", 2))[1]
    assert said == "2 H are attached to O1 without places of their own: they are missing"
    for item in ("_cell_modulation_dimension 1\n", "_space_group_ssg_name 'P1(abg)0'\n"):
        assert "the average is read" in from_text(plain.format(item, 0))[1][0]
