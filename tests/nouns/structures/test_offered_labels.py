"""What the formats offer as labels and tags: results, info, arrays, site properties, records; units where known."""

import json
from pathlib import Path

import ase
import ase.db
import ase.io
import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator
from corpus import XYZ, structure_json

from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.formats import read


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
