"""Per-site fields: found where files have them, refused where they do not, in the order of the atoms."""

import ase
import ase.build
import numpy as np
import pytest
from ase.constraints import FixAtoms, FixBondLength, FixCartesian, FixScaled

from crystalcli.engine.read.reading import read_file
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.site_fields import canonical, of_atoms, put_back
from crystalcli.vocabulary.errors import InputError, UsageError

VASP = """three
1.0
4 0 0
0.5 5 0
0 0 6
Cu O
2 1
Selective dynamics
Direct
0.1 0.1 0.1 F F F
0.4 0.5 0.5 T T T
0.7 0.2 0.9 F F F
"""
XYZ = """3
Lattice="4 0 0 0.5 5 0 0 0 6" Properties=species:S:1:pos:R:3:move_mask:L:1:tags:I:1:depth:R:1:PROPERTIES pbc="T T F"
Cu 0.4 0.5 0.6 F 2 -3.5 0.1 0.2 0.3 T
Cu 9.8 2.5 3.0 T 1 -1.5 0.4 0.5 0.6 F
O 2.9 1.0 5.4 T 0 0.0 0.7 0.8 0.9 T
""".replace("PROPERTIES", "spin:R:3:up:L:1")


def entry(tmp_path, name: str, text: str) -> Entry:
    (tmp_path / name).write_text(text)
    (found,) = read_file(tmp_path / name)
    assert isinstance(found, Entry), found
    return found


def test_files_say_what_is_fixed_and_which_tags_atoms_have(tmp_path):
    vasp, xyz = entry(tmp_path, "POSCAR", VASP), entry(tmp_path, "a.extxyz", XYZ)
    assert of_atoms(vasp.atoms, ("fixed", "tags"))["fixed"].tolist() == [1, 0, 1]
    assert of_atoms(vasp.atoms, ("tags",))["tags"].tolist() == [0, 0, 0]
    found = of_atoms(xyz.atoms, ("depth", "fixed", "spin:3", "tags", "up"), xyz.labels)
    assert found["fixed"].tolist() == [1, 0, 0]
    assert found["tags"].tolist() == [2, 1, 0]
    assert found["depth"].tolist() == [-3.5, -1.5, 0.0]
    assert found["spin"].tolist() == [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6], [0.7, 0.8, 0.9]]
    assert found["up"].tolist() == [1, 0, 1]
    assert all(v.dtype == np.float64 for v in found.values())


def test_no_constraint_means_nothing_is_fixed_and_an_array_says_it_too():
    atoms = ase.build.bulk("NaCl", "rocksalt", a=5.6)
    assert of_atoms(atoms, ("fixed",))["fixed"].tolist() == [0, 0]
    atoms.set_array("fixed", np.array([0, 1]))
    assert of_atoms(atoms, ("fixed",))["fixed"].tolist() == [0, 1]
    atoms.set_constraint(FixAtoms([0]))
    with pytest.raises(InputError, match="do not say the same"):
        of_atoms(atoms, ("fixed",))


def test_constraints_that_a_mask_cannot_say_are_refused():
    atoms = ase.build.bulk("NaCl", "rocksalt", a=5.6)
    for constraint in (FixCartesian(1, [True, False, False]), FixScaled([1], [True, True, False])):
        atoms.set_constraint(constraint)
        with pytest.raises(InputError, match="atom 1 is held along some directions only"):
            of_atoms(atoms, ("fixed",))
    atoms.set_constraint(FixCartesian(1, [True, True, True]))
    assert of_atoms(atoms, ("fixed",))["fixed"].tolist() == [0, 1]
    atoms.set_constraint(FixBondLength(0, 1))
    with pytest.raises(InputError, match="FixBondLengths is not known"):
        of_atoms(atoms, ("fixed",))


def test_what_is_missing_or_otherwise_is_refused_with_the_cure():
    atoms = ase.build.bulk("NaCl", "rocksalt", a=5.6)
    atoms.set_array("spin", np.ones((2, 3)))
    atoms.set_array("hole", np.array([0.0, np.nan]))
    atoms.set_array("word", np.array(["a", "b"]))
    with pytest.raises(InputError, match=r"no per-site field 'depth'; its arrays are .*spin.*write it into the file"):
        of_atoms(atoms, ("depth",))
    with pytest.raises(InputError, match="ask for spin:3"):
        of_atoms(atoms, ("spin",))
    with pytest.raises(InputError, match="not finite"):
        of_atoms(atoms, ("hole",))
    with pytest.raises(InputError, match="words"):
        of_atoms(atoms, ("word",))


def test_requests():
    assert canonical(["tags, fixed", "spin:3", "tags"]) == ("fixed", "spin:3", "tags")
    for bad, why in (("a b", "is not NAME"), ("spin:0", "is not NAME"), ("positions", "every graph"), ("a,a:2", "two")):
        with pytest.raises(UsageError, match=why):
            canonical([bad])


def test_back_to_constraints():
    atoms = ase.build.bulk("NaCl", "rocksalt", a=5.6)
    put_back(atoms, {"fixed": np.array([0.0, 1.0]), "tags": np.array([3.0, 1.0])})
    assert atoms.constraints[0].index.tolist() == [1]
    assert atoms.get_tags().tolist() == [3, 1]
