"""Units that files say beside their numbers: of a label they are its unit, of anything else they are warned of."""

import json
from pathlib import Path

import numpy as np
import pytest
from corpus import XYZ, structure_json

from crystalcli.engine.labels import labels
from crystalcli.engine.labels.labelled import Labelled
from crystalcli.engine.labels.labels import LabelRequest
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.formats import read
from crystalcli.vocabulary.units import HARTREE


def of(tmp_path: Path, comment: str) -> Entry:
    (tmp_path / "a.xyz").write_text(XYZ.replace('pbc="T T T"', f'pbc="T T T" {comment}'))
    (entry,) = read(tmp_path / "a.xyz")
    assert isinstance(entry, Entry)
    return entry


def test_of_a_label_it_is_the_unit(tmp_path: Path) -> None:
    entry = of(tmp_path, "energy=-2 energy_unit=Ha gap=1.5 gap_units=meV group=a")
    assert entry.quantities["energy"].extensive
    assert (entry.quantities["energy"].unit, entry.quantities["gap"].unit) == ("Ha", "meV")
    assert (dict(entry.tags), entry.warnings) == ({"group": "a"}, ())
    column, audit = labels.columns([Labelled.of(entry)] * 2, [LabelRequest.parse("energy")])
    np.testing.assert_allclose(column[0].values, -2 * HARTREE)
    assert column[0].quantity.unit == "eV"
    assert any("Ha made eV" in line for line in audit.lines)
    per_atom = of(tmp_path, "energy=-2 energy_unit=eV/atom").quantities["energy"]
    assert (per_atom.unit, per_atom.extensive) == ("eV/atom", False)


@pytest.mark.parametrize("said", ["units=Ha", "length_unit=Bohr", 'virial_unit=Ha virial="1 0 0 0 1 0 0 0 1"'])
def test_what_is_no_unit_of_a_label_is_warned_of(tmp_path: Path, said: str) -> None:
    entry = of(tmp_path, f"energy=-2 {said}")
    assert entry.quantities["energy"].unit == "eV"
    assert len(entry.warnings) == 1
    assert entry.warnings[0].startswith(f"'{said.split(maxsplit=1)[0]}': no label is converted for that")
    assert entry.tags


def test_our_own_units_are_no_news(tmp_path: Path) -> None:
    entry = of(tmp_path, "energy=-2 units=eV length_unit=Angstrom energy_unit=ev")
    assert (entry.quantities["energy"].unit, entry.warnings) == ("eV", ())


def test_in_json_too(tmp_path: Path) -> None:
    structure = json.loads(structure_json())
    (tmp_path / "a.json").write_text(json.dumps([{"structure": structure, "gap": 1.5, "gap_unit": "meV"}]))
    (entry,) = read(tmp_path / "a.json")
    assert isinstance(entry, Entry)
    assert entry.quantities["gap"].unit == "meV"
