"""Answers of OPTIMADE and OQMD are read where they hold a whole structure."""

import json

import pytest

from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.formats import looks_readable, read
from crystalcli.vocabulary.errors import InputError

ATTRIBUTES = {
    "lattice_vectors": [[3, 0, 0], [0, 3, 0], [0, 0, 4]],
    "cartesian_site_positions": [[0, 0, 0], [1.5, 1.5, 2]],
    "species": [
        {"name": "Cs1", "chemical_symbols": ["Cs"], "concentration": [1.0]},
        {"name": "Cl", "chemical_symbols": ["Cl"], "concentration": [1.0]},
    ],
    "species_at_sites": ["Cs1", "Cl"],
    "dimension_types": [1, 1, 1],
    "nsites": 2,
    "_mp_gap": 5.1,
}
ITEM = {"id": "mp-1", "type": "structures", "attributes": ATTRIBUTES}
PAGE = {"data": [ITEM], "links": {"next": None}, "meta": {}}
OQMD = {
    "data": [
        {
            "name": "CsCl", "entry_id": 7, "natoms": 2, "delta_e": -2.1, "unit_cell": [[3, 0, 0], [0, 3, 0], [0, 0, 4]],
            "sites": ["Cs @ 0 0 0", "Cl @ 0.5 0.5 0.5"],
        }
    ],
    "links": {"next": "https://example.org/?offset=1"},
}  # fmt: skip


def found(tmp_path, data):
    (tmp_path / "a.json").write_text(data if isinstance(data, str) else json.dumps(data))
    return list(read(tmp_path / "a.json"))


@pytest.mark.parametrize(
    "data",
    [
        PAGE,
        {**PAGE, "data": ITEM},
        {"structures": {'elements HAS "Cs"': {"https://example.org": PAGE}}},
        "\n".join(map(json.dumps, [{"x-optimade": {}}, ITEM])),
    ],
    ids=["page", "single", "optimade-get", "lines"],
)
def test_optimade(tmp_path, data):
    (entry,) = found(tmp_path, data)
    assert entry.atoms.get_chemical_symbols() == ["Cs", "Cl"]
    assert entry.atoms.positions[1].tolist() == [1.5, 1.5, 2]
    assert entry.atoms.cell.lengths().tolist() == [3, 3, 4]
    assert (entry.id, entry.labels) == ("mp-1", {"_mp_gap": 5.1})
    assert looks_readable(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"lattice_vectors": None}, "has no lattice_vectors"),
        ({"dimension_types": [1, 1, 0]}, "no crystal in three directions"),
        ({"structure_features": ["implicit_atoms"]}, "atoms are missing"),
        (
            {"species": [{"name": "Cs1", "chemical_symbols": ["Cs", "vacancy"], "concentration": [0.5, 0.5]}]},
            "partial occupancy",
        ),
        ({"species": [{"name": "Cs1", "chemical_symbols": ["X"], "concentration": [1]}]}, "'X' of site 0"),
        ({"species_at_sites": ["Cs1"]}, "three per element"),
    ],
)
def test_what_is_no_whole_crystal_is_refused_by_its_name(tmp_path, changed, said):
    (problem,) = found(tmp_path, {"data": [{**ITEM, "attributes": ATTRIBUTES | changed}]})
    assert isinstance(problem, InputError)
    assert problem.reason.startswith("structure mp-1: ")
    assert said in problem.reason


def test_oqmd(tmp_path):
    (entry,) = found(tmp_path, OQMD)
    assert isinstance(entry, Entry)
    assert entry.atoms.get_chemical_symbols() == ["Cs", "Cl"]
    assert entry.atoms.positions[1].tolist() == [1.5, 1.5, 2]
    assert (entry.id, entry.labels) == ("7", {"delta_e": -2.1})
    assert entry.quantities["delta_e"].unit == "eV/atom"
    assert any("one page of several" in note for note in entry.notes)
    (entry,) = found(tmp_path, {"structures": {"all": {"https://example.org": OQMD}}})
    assert any("one page of several" in note for note in entry.notes)
    (problem,) = found(tmp_path, {"data": [OQMD["data"][0] | {"sites": ["Cs 0 0 0"]}]})
    assert "is not of the kind 'Cs @ 0 0 0'" in problem.reason
