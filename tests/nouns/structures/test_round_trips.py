"""Random crystals written by ASE and pymatgen come back as they were, from every format."""

import gzip
import json
from pathlib import Path

import ase
import ase.db
import ase.io
import numpy as np
import pytest
from ase.constraints import FixAtoms
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymatgen.io.ase import AseAtomsAdaptor
from pymatgen.io.vasp import Poscar

from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.formats import read

SETTINGS = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@st.composite
def crystals(draw: st.DrawFn) -> ase.Atoms:
    """A skewed, perhaps left-handed cell with up to 12 atoms of any element, in random order."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(1, 12))
    cell = draw(st.sampled_from([3.0, 6.0, 15.0])) * (np.eye(3) + rng.uniform(-0.35, 0.35, (3, 3)))
    if draw(st.booleans()):
        cell = cell[[1, 0, 2]]
    return ase.Atoms(rng.integers(1, 100, n), rng.uniform(-0.5, 1.5, (n, 3)) @ cell, cell=cell, pbc=True)


def only(path: Path) -> Entry:
    (entry,) = read(path)
    assert isinstance(entry, Entry)
    return entry


def assert_equal(found: ase.Atoms, made: ase.Atoms, tolerance: float = 1e-9) -> None:
    assert found.numbers.tolist() == made.numbers.tolist()
    assert np.allclose(found.cell.array, made.cell.array, atol=tolerance)
    assert np.allclose(found.positions, made.positions, atol=tolerance)
    assert found.pbc.tolist() == made.pbc.tolist()


@SETTINGS
@given(crystals())
def test_extxyz(tmp_path: Path, atoms: ase.Atoms) -> None:
    ase.io.write(tmp_path / "a.extxyz", atoms, format="extxyz")
    assert_equal(only(tmp_path / "a.extxyz").atoms, atoms, 1e-7)


@SETTINGS
@given(crystals(), st.booleans())
def test_poscar_by_ase(tmp_path: Path, atoms: ase.Atoms, direct: bool) -> None:
    ase.io.write(tmp_path / "POSCAR", atoms, format="vasp", direct=direct)
    assert_equal(only(tmp_path / "POSCAR").atoms, ase.io.read(tmp_path / "POSCAR"), 1e-12)


@SETTINGS
@given(crystals())
def test_poscar_by_pymatgen(tmp_path: Path, atoms: ase.Atoms) -> None:
    structure = AseAtomsAdaptor.get_structure(atoms[np.argsort(atoms.numbers, kind="stable")])
    (tmp_path / "x.vasp").write_text(Poscar(structure, comment="x").get_str(significant_figures=15))
    found, hand = only(tmp_path / "x.vasp").atoms, np.sign(atoms.cell.volume * atoms.cell.handedness)
    assert np.allclose(found.positions, hand * structure.cart_coords, atol=1e-9)  # it turns left-handed cells over
    assert np.allclose(found.cell.array, hand * structure.lattice.matrix, atol=1e-9)


@SETTINGS
@given(crystals())
def test_cif(tmp_path: Path, atoms: ase.Atoms) -> None:
    """CIF forgets how the cell is turned: lengths, angles and fractional coordinates are what comes back."""
    ase.io.write(tmp_path / "a.cif", atoms, wrap=False)
    found = only(tmp_path / "a.cif").atoms
    assert found.numbers.tolist() == atoms.numbers.tolist()
    assert np.allclose(found.cell.cellpar(), atoms.cell.cellpar(), atol=1e-3)
    assert np.allclose(found.get_scaled_positions(wrap=False), atoms.get_scaled_positions(wrap=False), atol=1e-4)


@SETTINGS
@given(crystals())
def test_json(tmp_path: Path, atoms: ase.Atoms) -> None:
    text = json.dumps(AseAtomsAdaptor.get_structure(atoms).as_dict())
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(text.encode()))
    assert_equal(only(tmp_path / "a.json.gz").atoms, atoms)


def test_database(tmp_path: Path) -> None:
    made = [ase.Atoms("NaCl", [[0, 0, 0], [1.5, 1.5, 1.5 + 0.1 * k]], cell=[3, 3, 4], pbc=True) for k in range(3)]
    with ase.db.connect(tmp_path / "a.db") as database:
        for k, atoms in enumerate(made):
            database.write(atoms, gap=0.5 * k, phase="rocksalt")
    entries = [e for e in read(tmp_path / "a.db") if isinstance(e, Entry)]
    assert [e.labels["gap"] for e in entries] == [0, 0.5, 1.0]
    assert entries[2].tags["phase"] == "rocksalt"
    assert entries[2].source.endswith("a.db:3")
    for entry, atoms in zip(entries, made, strict=True):
        assert_equal(entry.atoms, atoms)


def test_constraints_survive(tmp_path: Path) -> None:
    atoms = ase.Atoms("Na3", [[0, 0, 0], [2, 0, 0], [0, 2, 0]], cell=[4, 4, 4], pbc=True, constraint=FixAtoms([0, 2]))
    ase.io.write(tmp_path / "POSCAR", atoms, format="vasp")
    (constraint,) = only(tmp_path / "POSCAR").atoms.constraints
    assert constraint.index.tolist() == [0, 2]
    ase.io.write(tmp_path / "a.xyz", atoms, format="extxyz")
    assert len(only(tmp_path / "a.xyz").atoms.constraints) == 1


@pytest.mark.parametrize(
    "text",
    [
        "c\n2.0\n2 0 0\n0 2 0\n0 0 2\nNa Cl\n1 1\nCartesian\n0 0 0\n1 1 1\n",
        "c\n-64\n2 0 0\n0 2 0\n0 0 2\nNa Cl\n1 1\nCartesian\n0 0 0\n1 1 1\n",
        "c\n1.0\n4 0 0\n0 4 0\n0 0 4\nNa Cl Na\n1 1 1\nSelective\nDirect\n0 0 0 T T F\n.5 .5 .5 F F F\n"
        ".5 0 0 T T T\n\n0 0 0\n0 0 0\n0 0 0\n",
    ],
)
def test_poscar_scales_and_orders(tmp_path: Path, text: str) -> None:
    (tmp_path / "POSCAR").write_text(text)
    assert_equal(only(tmp_path / "POSCAR").atoms, ase.io.read(tmp_path / "POSCAR"), 1e-12)


def test_numbers_of_python_that_are_none_in_json_cost_what_they_stand_for(tmp_path: Path) -> None:
    """``json.dump`` writes NaN: a label is missing then, and a place is the end of its own structure."""
    structure = AseAtomsAdaptor.get_structure(ase.Atoms("NaCl", [[0, 0, 0], [2, 2, 2]], cell=np.eye(3) * 4, pbc=True))
    records = [{"id": f"m{k}", "structure": structure.as_dict(), "e": float(k)} for k in range(3)]
    records[0]["e"] = float("nan")
    records[1]["structure"]["lattice"]["matrix"][0][0] = float("inf")
    (tmp_path / "t.json").write_text(json.dumps(records))
    first, second, third = read(tmp_path / "t.json")
    assert isinstance(first, Entry)
    assert np.isnan(first.labels["e"])
    assert "not finite" in str(second)
    assert isinstance(third, Entry)
    assert third.labels["e"] == 2.0
