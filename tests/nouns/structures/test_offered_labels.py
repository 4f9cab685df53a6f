"""What the formats offer as labels and tags: results, info, arrays, site properties, records; units where known."""

import json
from pathlib import Path

import ase
import ase.db
import ase.io
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from corpus import XYZ, structure_json
from pymatgen.core import Lattice, Structure
from pymatgen.entries.computed_entries import ComputedStructureEntry

from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.formats import read
from crystalcli.vocabulary.errors import InputError
from crystalcli.vocabulary.quantities import Quantity


def entries(path: Path) -> list[Entry]:
    found = [e for e in read(path) if isinstance(e, Entry)]
    assert found
    return found


def frame() -> ase.Atoms:
    atoms = ase.Atoms("NaCl", [[0, 0, 0], [1.5, 1.5, 1.5]], cell=[3, 3, 3], pbc=True, tags=[0, 1])
    forces = np.array([[0.1, 0, 0], [-0.1, 0, 0]])
    atoms.calc = SinglePointCalculator(atoms, energy=-3.5, forces=forces, stress=np.arange(6) * 1e-3)
    atoms.info |= {"gap": 1.25, "step": 7, "group": "md-1", "converged": True, "tensor": np.eye(3)}
    atoms.arrays["shielding"] = np.array([np.nan, 380.0])
    atoms.arrays["label"] = np.array(["a", "b"])
    return atoms


def assert_offered(entry: Entry) -> None:
    assert entry.labels["energy"] == -3.5
    assert entry.quantities["energy"].unit == "eV"
    assert entry.quantities["energy"].extensive
    assert entry.labels["forces"].shape == (2, 3)
    assert (entry.quantities["forces"].level, entry.quantities["forces"].unit) == ("site", "eV/Å")
    assert entry.labels["gap"] == 1.25
    assert entry.labels["step"] == 7
    assert entry.tags["group"] == "md-1"
    np.testing.assert_allclose(entry.labels["stress"], np.arange(6) * 1e-3, atol=1e-12)
    assert (entry.quantities["stress"].shape, entry.quantities["stress"].unit) == ((6,), "eV/Å³")
    assert not {"tags", "label", "positions", "numbers", "converged"} & set(entry.labels)


def test_extxyz(tmp_path: Path) -> None:
    ase.io.write(tmp_path / "a.extxyz", [frame(), frame()], format="extxyz")
    first, second = entries(tmp_path / "a.extxyz")
    assert_offered(first)
    assert np.isnan(first.labels["shielding"][0])
    assert first.labels["shielding"][1] == 380
    assert first.quantities["shielding"].level == "site"
    assert [first.id, second.id] == [":0", ":1"]
    assert second.source.endswith("a.extxyz:1")


def test_extxyz_ids_are_no_labels(tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_text(XYZ.replace('pbc="T T T"', 'pbc="T T T" id=007 e=1.5'))
    (entry,) = entries(tmp_path / "a.xyz")
    assert (entry.id, entry.labels) == ("007", {"e": 1.5})


def test_database(tmp_path: Path) -> None:
    atoms = frame()
    atoms.info = {}
    with ase.db.connect(tmp_path / "a.db") as database:
        database.write(atoms, gap=1.25, step=7, group="md-1")
    (entry,) = entries(tmp_path / "a.db")
    assert_offered(entry)


def test_json_records(tmp_path: Path) -> None:
    site = json.loads(structure_json())["sites"]
    for k, magmom in enumerate([1.5, None]):
        site[k]["properties"] = {"magmom": magmom, "name": "x"}
    structure = json.loads(structure_json(sites=site, properties={"gap": 2.0}))
    record = {"material_id": "mp-1", "structure": structure, "energy": -7.0, "split": "train", "@module": "pymatgen.x"}
    (tmp_path / "a.json").write_text(json.dumps([record, record]))
    first, second = entries(tmp_path / "a.json")
    assert first.id == second.id == "mp-1"
    assert first.labels["energy"] == -7.0
    assert first.labels["gap"] == 2.0
    assert first.tags == {"split": "train"}
    assert first.labels["magmom"][0] == 1.5
    assert np.isnan(first.labels["magmom"][1])
    assert "energy" not in first.quantities, "a record says no unit"


def test_json_by_id(tmp_path: Path) -> None:
    structure = json.loads(structure_json())
    (tmp_path / "a.json").write_text(json.dumps({"x": structure, "y": structure, "note": "two"}))
    assert [e.id for e in entries(tmp_path / "a.json")] == ["x", "y"]


def test_columns_called_as_what_a_crystal_has_as_a_whole(tmp_path: Path) -> None:
    names = {"magmom": (1, "µB"), "energy": (1, "eV"), "dipole": (3, ""), "stress": (6, ""), "virial": (9, "")}
    for name, (width, unit) in names.items():
        row = " 1" * width
        rows = f"Fe 0 0 0{row}\nFe 1.5 1.5 1.5{row}\n"
        for whole in ("", " energy=-3 magmom=2"):
            comment = f'Lattice="3 0 0 0 3 0 0 0 3" Properties=species:S:1:pos:R:3:{name}:R:{width}{whole}'
            (tmp_path / "a.xyz").write_text(f"2\n{comment}\n{rows}")
            (entry,) = entries(tmp_path / "a.xyz")
            called = f"{name}_of_sites" if whole and name in ("energy", "magmom") else name
            assert len(entry.labels[called]) == 2
            assert (entry.quantities[called].level, entry.quantities[called].unit) == ("site", unit)
            assert not whole or (entry.labels["energy"], entry.labels["magmom"]) == (-3, 2)


def test_total_moment_beside_those_of_sites(tmp_path: Path) -> None:
    structure = json.loads(structure_json())
    for k, site in enumerate(structure["sites"]):
        site["properties"] = {"magmom": float(k)}
    (tmp_path / "a.json").write_text(json.dumps({"structure": structure, "magmom": 2.1}))
    (entry,) = entries(tmp_path / "a.json")
    assert entry.labels["magmom"] == 2.1
    assert entry.labels["magmom_of_sites"][1] == 1
    assert entry.quantities["magmom_of_sites"].level == "site"
    assert "magmom_of_sites" in entry.notes[0]


def test_charges_with_which_a_calculation_begins(tmp_path: Path) -> None:
    atoms = frame()
    atoms.set_initial_charges([0.5, -0.5])
    ase.io.write(tmp_path / "a.extxyz", atoms)
    ase.io.write(tmp_path / "a.traj", atoms)
    with ase.db.connect(tmp_path / "a.db") as database:
        database.write(atoms)
    for name in ("a.extxyz", "a.traj", "a.db"):
        (entry,) = entries(tmp_path / name)
        assert entry.labels["initial_charges"].tolist() == [0.5, -0.5]
        assert entry.quantities["initial_charges"].unit == "e"


def test_records_that_call_their_structure_otherwise(tmp_path: Path) -> None:
    plain = json.loads(structure_json())
    (tmp_path / "a.json").write_text(json.dumps([{"initial_structure": plain, "gap": 1.5, "id": "x"}]))
    (entry,) = entries(tmp_path / "a.json")
    assert (entry.id, entry.labels["gap"]) == ("x", 1.5)
    (tmp_path / "a.json").write_text(json.dumps([{"relaxed_structure": plain, "initial_structure": plain, "gap": 1}]))
    (problem,) = read(tmp_path / "a.json")
    assert "several structures (relaxed_structure, initial_structure)" in str(problem)
    (tmp_path / "a.json").write_text(json.dumps({"structure_1": plain, "structure_2": plain}))
    assert [e.id for e in entries(tmp_path / "a.json")] == ["structure_1", "structure_2"]


def test_what_sites_and_species_of_json_say(tmp_path: Path) -> None:
    plain = json.loads(structure_json())
    for site, movable in zip(plain["sites"], (False, True), strict=False):
        site["properties"] = {"selective_dynamics": [movable] * 3}
        site["species"][0]["oxidation_state"] = 2.0
    (tmp_path / "a.json").write_text(json.dumps({**plain, "charge": 1.0}))
    (entry,) = entries(tmp_path / "a.json")
    assert entry.atoms.constraints[0].index.tolist() == [0]
    assert entry.labels["oxidation_state"][0] == 2
    assert "charge of the cell" in entry.left_out


def test_whether_places_of_jarvis_are_cartesian_may_be_a_word(tmp_path: Path) -> None:
    atoms = {
        "lattice_mat": np.diag([4.0] * 3).tolist(),
        "coords": [[0, 0, 0], [0.5, 0.5, 0.5]],
        "elements": ["Na", "Cl"],
    }
    for word, place in (("False", 2.0), ("true", 0.5), (False, 2.0), (None, 2.0), (True, 0.5)):
        (tmp_path / "a.json").write_text(json.dumps([{"jid": "J", "atoms": {**atoms, "cartesian": word}}]))
        (entry,) = entries(tmp_path / "a.json")
        assert entry.atoms.positions[1, 0] == place
    (tmp_path / "a.json").write_text(json.dumps([{"jid": "J", "atoms": {**atoms, "cartesian": "fractional"}}]))
    assert "neither true nor false" in str(next(read(tmp_path / "a.json")))


def test_a_database_of_ase_as_json_is_named(tmp_path: Path) -> None:
    with ase.db.connect(tmp_path / "a.json") as database:
        database.write(frame())
    with pytest.raises(InputError, match=r"ase db a\.json --insert-into a\.db"):
        list(read(tmp_path / "a.json"))


def test_entries_of_pymatgen_have_totals_in_ev_and_ids_among_their_data(tmp_path: Path) -> None:
    structure = Structure(Lattice.cubic(4.2), ["Mg", "O"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    made = [
        ComputedStructureEntry(structure, -12.0, correction=-0.7, data={"mat_id": "agm1"}),
        ComputedStructureEntry(structure, -11.0, entry_id="mp-2"),
    ]
    (tmp_path / "a.json").write_text(json.dumps({"entries": [entry.as_dict() for entry in made]}))
    first, second = entries(tmp_path / "a.json")
    assert [first.id, second.id] == ["agm1", "mp-2"]
    assert [first.labels["energy"], second.labels["energy"], first.labels["correction"]] == [-12.0, -11.0, -0.7]
    assert first.quantities["energy"] == Quantity("energy", "eV", extensive=True)
    assert "without the correction" in first.notes[0]
