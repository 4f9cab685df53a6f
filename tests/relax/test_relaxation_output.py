"""What relaxations write reads back bit by bit, whatever ids hold and however atoms are held."""

import json
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.constraints import FixAtoms, FixBondLengths, FixCartesian, FixedPlane
from hypothesis import given
from hypothesis import strategies as st

from crystalcli.engine.read.reading import Failure, read_file
from crystalcli.relax import report as output
from crystalcli.relax.fixing import Fixing
from crystalcli.relax.outcome import Geometry, Outcome, space_group
from crystalcli.vocabulary.errors import InputError, UsageError

floats = st.floats(allow_nan=False, allow_infinity=False, width=64, min_value=-1e4, max_value=1e4)
triples = st.tuples(floats, floats, floats).map(list)


def geometry(**changes: object) -> Geometry:
    rng = np.random.default_rng(0)
    made = {
        "numbers": [29, 13, 8],
        "pbc": [True, True, False],
        "cell": (5 * np.eye(3) + rng.normal(0, 0.1, (3, 3))).tolist(),
        "positions": rng.normal(size=(3, 3)).tolist(),
        "energy": -1 / 3,
        "forces": rng.normal(size=(3, 3)).tolist(),
        "stress": (np.eye(3) / 7).tolist(),
        "energies": [0.1, 0.2, -0.3],
        "sigma": None,
        "may_move": [],
    }
    return Geometry(**{**made, **changes})


def read_back(outcome: Outcome, path: Path) -> ase.Atoms:
    assert outcome.geometry is not None
    path.write_text(output.extxyz(outcome, outcome.geometry), encoding="utf-8")
    return ase.io.read(path, format="extxyz")


@given(
    positions=st.lists(triples, min_size=3, max_size=3), energy=floats, forces=st.lists(triples, min_size=3, max_size=3)
)
def test_numbers_come_back_as_the_same_bits(tmp_path_factory, positions, energy, forces) -> None:
    g = geometry(positions=positions, energy=energy, forces=forces)
    outcome = Outcome("x", "x.cif", "converged", geometry=g)
    assert Outcome.from_json(json.loads(json.dumps(outcome.to_json()))) == outcome
    atoms = read_back(outcome, tmp_path_factory.mktemp("x") / "x.extxyz")
    assert atoms.positions.tolist() == positions
    assert atoms.get_potential_energy() == energy
    assert atoms.calc.results["forces"].tolist() == forces
    assert atoms.cell.array.tolist() == g.cell
    assert atoms.pbc.tolist() == g.pbc
    assert atoms.get_stress(voigt=False).tolist() == g.stress
    assert atoms.calc.results["energies"].tolist() == g.energies


@pytest.mark.parametrize("name", ['a "quoted" one', "back\\slash", "Ünïcode ≠", "two\nlines", "007", "k=v"])
def test_ids_come_back(name: str, tmp_path: Path) -> None:
    outcome = Outcome(name, "x", "steps", geometry=geometry())
    atoms = read_back(outcome, tmp_path / "x.extxyz")
    assert str(atoms.info["id"]).lstrip("0") == name.replace("\n", "\\n").lstrip("0")
    entries = list(read_file(tmp_path / "x.extxyz"))
    assert len(entries) == 1
    assert not isinstance(entries[0], Failure)


def test_held_atoms_and_molecules_come_back(tmp_path: Path) -> None:
    whole = [[True] * 3, [False] * 3, [True] * 3]
    atoms = read_back(Outcome("x", "x", "steps", geometry=geometry(may_move=whole)), tmp_path / "a.extxyz")
    assert isinstance(atoms.constraints[0], FixAtoms)
    assert atoms.constraints[0].index.tolist() == [1]
    partly = [[True] * 3, [False] * 3, [True, False, True]]
    atoms = read_back(Outcome("x", "x", "steps", geometry=geometry(may_move=partly)), tmp_path / "b.extxyz")
    found = {int(c.index[0]): c.mask.tolist() for c in atoms.constraints if isinstance(c, FixCartesian)}
    assert found[2] == [False, True, False]
    alone = geometry(cell=[[0.0] * 3] * 3, pbc=[False] * 3, stress=None)
    atoms = read_back(Outcome("x", "x", "steps", geometry=alone), tmp_path / "c.extxyz")
    assert not atoms.cell.array.any()
    assert "stress" not in atoms.calc.results


def test_table_of_failures_and_cifs(tmp_path: Path) -> None:
    crystal = geometry(pbc=[True] * 3)
    made = [Outcome(n, "x", "converged", geometry=crystal) for n in ("a/b", "a_b", "A/B", "..")]
    made.append(Outcome.failed(Failure("f.cif", "f", "read", "syntax", 'no "number", here')))
    lines = output.table(made, 0.01).splitlines()
    assert len(lines) == 6
    assert lines[-1].startswith('f,f.cif,false,syntax,"no ""number"", here",0,')
    output.write_cifs(tmp_path, made)
    assert len({p.name.lower() for p in tmp_path.iterdir()}) == 4
    back = ase.io.read(tmp_path / "a_b.cif")
    np.testing.assert_allclose(back.cell.lengths(), crystal.atoms().cell.lengths(), rtol=1e-9)


def test_space_groups() -> None:
    copper = ase.Atoms("Cu4", scaled_positions=[[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]], cell=[3.6] * 3)
    assert space_group(copper, 0.01) == "Fm-3m (225)"
    copper.positions[0] += [0.03, 0.01, 0.02]
    assert space_group(copper, 0.01) != "Fm-3m (225)"
    assert space_group(copper, 0.1) == "Fm-3m (225)"


def test_what_users_hold() -> None:
    atoms = ase.Atoms("AlO2H", [[0, 0, 0], [0, 0, 1], [0, 0, 2], [0, 0, 3]])
    atoms.set_constraint(FixCartesian(3, (True, False, False)))
    held = Fixing.parse("Al, H", 1.5, "").apply(atoms)
    assert held.constraints[0].index.tolist() == [0, 1, 3]
    assert len(held.constraints) == 1
    assert Fixing.parse("", None, "0,2-3").mask(atoms).tolist() == [True, False, True, True]
    assert Fixing.parse("", None, "").apply(atoms) is atoms
    bonded = atoms.copy()
    bonded.set_constraint([FixBondLengths([[0, 1]]), FixedPlane(3, (0, 0, 1))])  # one does not say which atoms it is of
    kinds = [type(c) for c in Fixing.parse("Al,O,H", None, "").apply(bonded).constraints]
    assert kinds == [FixAtoms, FixBondLengths]  # refused by name where constraints become directions
    with pytest.raises(InputError, match="names atom 9, but there are 4"):
        Fixing.parse("", None, "9").apply(atoms)
    for elements, indices in (("Alu", ""), ("", "3-1"), ("", "x"), ("", "-1")):
        with pytest.raises(UsageError):
            Fixing.parse(elements, None, indices)
