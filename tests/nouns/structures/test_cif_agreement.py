"""gemmi's fast way and pymatgen agree: on made crystals of many groups, near special positions, and on real files."""

import csv
import gzip
import os
import warnings
from pathlib import Path

import ase
import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifParser, CifWriter

from crystalcli.nouns.structures.cif import from_text
from crystalcli.vocabulary.errors import InputError

GROUPS = {  # symbol of the group: lattice, species and sites of its asymmetric unit
    "Fm-3m": (Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]),
    "Fd-3m": (Lattice.cubic(8.08), ["Mg", "Al", "O"], [[0, 0, 0], [0.625, 0.625, 0.625], [0.3874] * 3]),
    "P6_3/mmc": (Lattice.hexagonal(3.2, 5.2), ["Mg"], [[1 / 3, 2 / 3, 0.25]]),
    "R-3c": (Lattice.hexagonal(4.76, 12.99), ["Al", "O"], [[0, 0, 0.3522], [0.3063, 0, 0.25]]),
    "P6_3mc": (Lattice.hexagonal(3.25, 5.2), ["Zn", "O"], [[1 / 3, 2 / 3, 0], [1 / 3, 2 / 3, 0.382]]),
    "P4_2/mnm": (Lattice.tetragonal(4.59, 2.96), ["Ti", "O"], [[0, 0, 0], [0.3053, 0.3053, 0]]),
    "P2_1/c": (
        Lattice.monoclinic(5.1, 5.2, 5.3, 99.2),
        ["Zr", "O"],
        [[0.2754, 0.0395, 0.2083], [0.07, 0.3317, 0.3447]],
    ),
    "Pna2_1": (Lattice.orthorhombic(4.85, 8.35, 9.06), ["Al", "O"], [[0.18, 0.15, 0.99], [0.97, 0.33, 0.43]]),
    "P-1": (Lattice.from_parameters(5, 6, 7, 80, 95, 107), ["Si", "O"], [[0.1, 0.2, 0.3], [0.4, 0.15, 0.7]]),
}


def symmetric_cif(group: str) -> str:
    lattice, species, sites = GROUPS[group]
    with warnings.catch_warnings():  # of spglib, about its own future
        warnings.simplefilter("ignore")
        return str(CifWriter(Structure.from_spacegroup(group, lattice, species, sites), symprec=1e-3))


def by_pymatgen(text: str) -> Structure:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (structure,) = CifParser.from_str(text).parse_structures(primitive=False)
    return structure


def assert_same(atoms: ase.Atoms, structure: Structure, tolerance: float = 1e-3) -> None:
    """Same cell, and a one-to-one match of atoms of one element within ``tolerance`` Å."""
    assert len(atoms) == len(structure)
    assert np.allclose(atoms.cell.cellpar(), structure.lattice.parameters, atol=1e-6)
    here = np.asarray(atoms.get_scaled_positions(wrap=False))
    delta = here[:, None] - structure.frac_coords[None]
    delta -= np.rint(delta)
    distance = np.linalg.norm(delta @ structure.lattice.matrix, axis=-1)
    distance[atoms.numbers[:, None] != np.array(structure.atomic_numbers)[None]] = np.inf
    partner = distance.argmin(1)
    assert len(set(partner.tolist())) == len(atoms)
    assert distance.min(1).max() < tolerance


@pytest.mark.parametrize("group", GROUPS)
def test_symmetry_is_expanded_as_pymatgen_does(group: str) -> None:
    text = symmetric_cif(group)
    assert text.count("_symmetry_equiv_pos_site_id") == 1
    atoms, said = from_text(text)
    assert_same(atoms, by_pymatgen(text))
    assert said == ()


@pytest.mark.parametrize(
    ("written", "merged"), [("0.3333", True), ("0.33333", True), ("0.333", True), ("0.3330", True), ("0.31", False)]
)
def test_sites_near_special_positions(written: str, merged: bool) -> None:
    """1/3 written with few digits means the special position; 0.31 does not (its images are 0.4 Å apart or more)."""
    text = symmetric_cif("P6_3/mmc").replace("0.33333333", written).replace("0.66666667", str(1 - float(written))[:6])
    assert written in text
    if merged:
        atoms, _ = from_text(text)
        assert len(atoms) == 2
        assert np.isclose(atoms.get_distance(0, 1, mic=True), 3.19, atol=0.02)
        if written not in {"0.333", "0.3330"}:  # where pymatgen by itself gives three overlapping atoms
            assert_same(atoms, by_pymatgen(text), 2e-3)
    else:
        with pytest.raises(InputError, match=r"images of site|apart"):
            from_text(text)


def test_positions_outside_the_cell_are_kept_in_p1() -> None:
    text = str(CifWriter(Structure(Lattice.cubic(4), ["Na", "Cl"], [[-0.1, 0, 0], [0.5, 1.2, 0.5]])))
    atoms, _ = from_text(text)
    assert np.allclose(atoms.get_scaled_positions(wrap=False)[:, :2], [[-0.1, 0], [0.5, 1.2]])


def test_group_names_alone() -> None:
    listed = symmetric_cif("Fd-3m")
    begin, end = listed.index("loop_\n _symmetry_equiv"), listed.index("loop_\n _atom_site")
    named = listed[:begin] + listed[end:]
    hall_choice = named.replace("Fd-3m", "'F d -3 m :1'")
    atoms, _ = from_text(hall_choice)
    assert_same(atoms, by_pymatgen(listed))


@pytest.mark.skipif("CRYSTAL_DATA" not in os.environ, reason="needs the data of CRYSTAL_DATA")
@pytest.mark.parametrize("file", ["mp-formation-energy/test.csv.gz", "mp-elasticity-binaries/test.csv.gz"])
def test_real_files(file: str) -> None:
    with gzip.open(Path(os.environ["CRYSTAL_DATA"]) / file, "rt", newline="") as stream:
        texts = [row["cif"] for row in csv.DictReader(stream)][:300]
    for text in texts:
        atoms, said = from_text(text)
        assert_same(atoms, by_pymatgen(text), 2e-3)
        assert said == ()


@pytest.mark.skipif("CRYSTAL_DATA" not in os.environ, reason="needs the data of CRYSTAL_DATA")
def test_real_crystals_written_with_symmetry() -> None:
    """The same crystals, written by pymatgen with the operations of their group: read alike, all atoms back."""
    with gzip.open(Path(os.environ["CRYSTAL_DATA"]) / "mp-formation-energy/val.csv.gz", "rt", newline="") as stream:
        texts = [row["cif"] for row in csv.DictReader(stream)][:120]
    for text in texts:
        plain = by_pymatgen(text)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            symmetric = str(CifWriter(plain, symprec=0.01))
        atoms, _ = from_text(symmetric)
        assert_same(atoms, by_pymatgen(symmetric), 0.02)
