"""Odd but legal files are read with the right values, and as other programs read them where those are right."""

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import units
from corpus.legal import ALL, Legal, make

from crystalcli.engine.read.reading import Failure, read_file
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.formats import read


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make(tmp_path_factory.mktemp("legal"))


def first(path: Path, n: int) -> Entry:
    items = list(read_file(path))
    assert not [i for i in items if isinstance(i, Failure)], items
    assert len(items) == n
    (entry, *_) = read(path)
    assert isinstance(entry, Entry)
    return entry


@pytest.mark.parametrize("legal", ALL, ids=lambda c: c.name)
def test_right_values(legal: Legal, files: dict[str, Path]) -> None:
    entry = first(files[legal.name], legal.n)
    atoms = entry.atoms
    assert atoms.get_chemical_formula(mode="reduce") == legal.symbols or str(atoms.symbols) == legal.symbols
    np.testing.assert_allclose(atoms.cell.array, legal.cell, atol=1e-12)
    if legal.positions is not None:
        np.testing.assert_allclose(atoms.positions, legal.positions, atol=1e-12)
    assert tuple(atoms.pbc) == legal.pbc
    for key, value in legal.labels.items():
        np.testing.assert_allclose(entry.labels[key], value, rtol=1e-12, err_msg=key)
    assert entry.tags.items() >= legal.tags.items()
    assert not legal.tags.keys() & entry.labels.keys()
    assert set(entry.left_out) == set(legal.left_out)
    assert legal.notes in "; ".join(entry.notes)
    (read_entry, *_) = read_file(files[legal.name])
    assert isinstance(read_entry, Entry)
    assert bool(read_entry.warnings) == bool(legal.warns), read_entry.warnings
    assert legal.warns in "; ".join(read_entry.warnings)
    held = [i for c in atoms.constraints for i in np.atleast_1d(c.index)]
    assert tuple(held) == legal.fixed
    assert entry.id == legal.id or not legal.id
    speed = np.zeros((len(atoms), 3)) if legal.velocities is None else np.asarray(legal.velocities, dtype=float)
    factor = 1.0 if legal.name.endswith("xyz") else units.fs
    np.testing.assert_allclose(atoms.get_velocities() * factor, speed, atol=1e-12)


@pytest.mark.parametrize("legal", [c for c in ALL if c.agrees == "ase"], ids=lambda c: c.name)
def test_ase_reads_the_same(legal: Legal, files: dict[str, Path]) -> None:
    mine = first(files[legal.name], legal.n).atoms
    kind = "extxyz" if legal.name.endswith("xyz") else "vasp"
    theirs = ase.io.read(files[legal.name], format=kind)
    assert mine.numbers.tolist() == theirs.numbers.tolist()
    np.testing.assert_allclose(mine.positions, theirs.positions, atol=1e-12)
    np.testing.assert_allclose(mine.cell.array, theirs.cell.array, atol=1e-12)
    assert mine.pbc.tolist() == theirs.pbc.tolist()
    np.testing.assert_allclose(mine.get_momenta(), theirs.get_momenta(), atol=1e-12)
    assert len(mine.constraints) == len(theirs.constraints)


@pytest.mark.parametrize("legal", [c for c in ALL if c.agrees == "pymatgen"], ids=lambda c: c.name)
def test_pymatgen_reads_the_same(legal: Legal, files: dict[str, Path]) -> None:
    from pymatgen.io.vasp import Poscar

    mine, theirs = first(files[legal.name], legal.n).atoms, Poscar.from_file(files[legal.name]).structure
    assert [s.symbol for s in theirs.species] == list(mine.symbols)
    np.testing.assert_allclose(mine.positions, theirs.cart_coords, atol=1e-9)


def test_there_are_many() -> None:
    assert len({c.name for c in ALL}) == len(ALL) >= 100
