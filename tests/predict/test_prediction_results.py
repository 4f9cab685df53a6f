"""Predictions as results of ASE, names of strangers in every output, and a column for what is true."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import ase
import ase.build
import ase.io
import numpy as np
import pytest
from ase.constraints import FixBondLength, FixScaled
from ase.io.extxyz import read_xyz

from crystalcli.engine.drawing import site_plots
from crystalcli.engine.model.model_names import named_by
from crystalcli.engine.read.reading import read_file
from crystalcli.nouns.structures.constraints import projections
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.offered import ASE_QUANTITIES
from crystalcli.prediction.output import Writer
from crystalcli.prediction.rows import Row
from crystalcli.prediction.structures import results_of
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity

ENERGY, STRESS = ASE_QUANTITIES["energy"], ASE_QUANTITIES["stress"]
FORCES, PER_ATOM = Quantity("forces", "eV/Å", "site", shape=(3,)), Quantity("energy_per_atom", "eV/atom")
GAP, MOMENTS = Quantity("gap", "eV"), Quantity("magmoms", "µB", "site")
ATOMS = ase.build.bulk("NaCl", "rocksalt", a=5.6)
SIX = np.array([0.1, 0.2, 0.3, 0.04, 0.05, 0.06])


def written(quantities: list[Quantity], row: Row, **more: object) -> ase.Atoms:
    text = Writer("extxyz", quantities, as_results=True, **more).text(row)  # type: ignore[arg-type]
    (atoms,) = read_xyz(io.StringIO(text), slice(None))
    return atoms


def test_a_potential_comes_back_as_a_calculator(tmp_path: Path) -> None:
    values = {"energy": -5.25, "forces": np.arange(6.0).reshape(2, 3), "stress": SIX, "gap": 1.5}
    row = Row("a", "", ATOMS, values, labels={"energy": -5.0, "forces": np.full((2, 3), np.nan)})
    atoms = written([ENERGY, FORCES, STRESS, GAP], row)
    assert atoms.get_potential_energy() == -5.25
    np.testing.assert_allclose(atoms.get_forces(), values["forces"])
    np.testing.assert_allclose(atoms.get_stress(), SIX)
    assert atoms.info["predicted_gap"] == 1.5
    assert atoms.info["true_energy"] == -5.0
    assert not [k for k in (*atoms.info, *atoms.arrays) if k.startswith("predicted_") and "gap" not in k]
    path = tmp_path / "a.extxyz"
    path.write_text(Writer("extxyz", [ENERGY, FORCES, STRESS], as_results=True).text(row))
    (entry,) = read_file(path)
    assert isinstance(entry, Entry)
    assert entry.labels["energy"] == -5.25
    np.testing.assert_allclose(entry.labels["stress"], SIX)
    assert entry.quantities["stress"].unit == "eV/Å³"


def test_atoms_held_along_lattice_vectors_are_so_in_extended_xyz() -> None:
    """As selective dynamics says it; ASE would leave them out. What nobody can say is no reason not to predict."""
    atoms = ATOMS.copy()
    atoms.set_cell(np.diag([4.0, 4.0, 6.0]))
    atoms.set_constraint(FixScaled(1, (True, False, True)))
    found = written([ENERGY], Row("a", "", atoms, {"energy": -1.0}))
    assert np.diagonal(projections(found), axis1=1, axis2=2).tolist() == [[1, 1, 1], [0, 1, 0]]
    assert isinstance(atoms.constraints[0], FixScaled)
    atoms.set_constraint(FixBondLength(0, 1))
    assert not written([ENERGY], Row("a", "", atoms, {"energy": -1.0})).constraints


def test_energies_per_atom_become_totals_and_moments_are_results() -> None:
    atoms = written([PER_ATOM], Row("a", "", ATOMS, {"energy_per_atom": -2.5}))
    assert atoms.get_potential_energy() == -5.0
    atoms = written([MOMENTS], Row("a", "", ATOMS, {"magmoms": np.array([1.0, -2.0])}))
    assert atoms.get_magnetic_moments().tolist() == [1.0, -2.0]


def test_only_what_ase_means_is_a_result() -> None:
    assert results_of([ENERGY, FORCES, STRESS, GAP]) == {"energy": "energy", "forces": "forces", "stress": "stress"}
    assert results_of([ENERGY, PER_ATOM]) == {"energy": "energy"}
    for wrong in (
        GAP,
        Quantity("energy", "meV"),
        Quantity("energy_per_atom", "kJ/mol"),
        Quantity("formation_energy_per_atom", "eV/atom"),
        Quantity("forces", "eV/Å", "site"),
        Quantity("stress", "GPa", shape=(6,)),
        Quantity("energy", "eV", "site"),
        Quantity("energy", classes=2),
    ):
        with pytest.raises(UsageError, match="none of what the model predicts"):
            results_of([wrong])
    for kind in ("csv", "jsonl", "pymatgen"):
        with pytest.raises(UsageError, match="extended XYZ"):
            Writer(kind, [ENERGY], as_results=True)


def test_true_has_a_column_where_something_is_labelled() -> None:
    rows = [
        Row("a", "", ATOMS, {"gap": 1.0, "magmoms": np.array([0.1, 0.2])}),
        Row("b", "", ATOMS, {"gap": 2.0, "magmoms": np.ones(2)}, labels={"magmoms": np.array([np.nan, 0.5])}),
        Row("c", "", ATOMS, {"gap": 2.0, "magmoms": np.ones(2)}, labels={"gap": 3.0}),
    ]
    writer = Writer("csv", [GAP, MOMENTS], labelled={"magmoms"})
    table = list(csv.reader(io.StringIO("".join(map(writer.text, rows)))))
    assert table[0] == ["id", "site", "element", "gap [eV]", "magmoms [µB]", "magmoms true [µB]"]
    assert [r[5] for r in table[1:]] == ["", "", "", "0.5", "", ""]
    assert writer.without_column == 1  # c has a gap, which nothing before it had
    plain = Writer("csv", [GAP, MOMENTS])
    assert "true" not in plain.text(rows[0])


HOSTILE = Quantity("=cmd|'x'!A0\x1b]0;t\x07/../../y", "e\x9bV")
WORDS = Quantity("kind", classes=2, class_names=("+1 [red]", "\u202ered"))


def test_names_of_a_strangers_model_steer_nothing() -> None:
    values = {HOSTILE.name: 1.0, "kind": np.array([0.2, 0.8])}
    row = Row("i\x1bd", "", ATOMS, values, {HOSTILE.name: {"sigma": 0.1}}, {HOSTILE.name: 2.0, "kind": 1.0})
    for kind in ("csv", "jsonl", "extxyz", "pymatgen"):
        writer = Writer(kind, [HOSTILE, WORDS], labelled=set(values))
        text = writer.text(row) + writer.end()
        assert all(line.isprintable() for line in text.split("\n")), kind
        if kind == "csv":
            head, first = csv.reader(io.StringIO(text))
            assert not {c[:1] for c in (*head, *first)} & set("=+@")
        elif kind == "jsonl":
            assert json.loads(text)["predictions"][HOSTILE.name]["label"] == 2.0
        elif kind == "pymatgen":
            assert json.loads(text)[0]["properties"][f"true_{HOSTILE.name}"] == 2.0
        else:
            (atoms,) = read_xyz(io.StringIO(text), slice(None))
            assert atoms.info["true_kind"] == "\\u202ered"
    sites = replace(HOSTILE, level="site")
    assert not any("/" in name for name in site_plots.names("p-", sites))


def test_a_name_with_blanks_is_one_key_of_extended_xyz() -> None:
    named = Quantity("band centre: d", "eV", "site")
    text = Writer("extxyz", [named]).text(Row("a", "", ATOMS, {named.name: np.ones(2)}))
    (atoms,) = read_xyz(io.StringIO(text), slice(None))
    assert atoms.arrays["predicted_band_centre__d"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"command": "train", "exit_code": 75}, "no such model; its run is unfinished: crystal train --resume "),
        ({"command": "train", "exit_code": None}, "no such model; its run is unfinished: crystal train --resume "),
        ({"command": "md", "exit_code": 0}, "no such model; this is a run of crystal md"),
        ({"command": "train", "exit_code": 0}, "no such model"),
        (None, "no such model"),
    ],
)
def test_a_missing_model_says_what_to_do(tmp_path: Path, record: dict[str, object] | None, said: str) -> None:
    if record is not None:
        (tmp_path / "run.json").write_text(json.dumps(record))
    for path in (tmp_path, tmp_path / "model.safetensors"):
        with pytest.raises(UsageError) as problem:
            named_by(path)
        assert problem.value.reason == (said + str(tmp_path) if said.endswith(" ") else said)


def test_what_has_no_volume_has_no_stress() -> None:
    """An empty cell, null, or no result at all; and no row is lost by it."""
    atoms = ase.build.molecule("H2O")
    values = {"energy": -5.25, "forces": np.zeros((3, 3)), "stress": np.full(6, np.nan), "pressure": np.nan}
    row = Row("a", "", atoms, values)
    found = written([ENERGY, FORCES, STRESS], row)
    assert found.get_potential_energy() == -5.25
    assert found.calc is not None
    assert "stress" not in found.calc.results
    pressure = Quantity("pressure", "eV/Å³")
    (found,) = read_xyz(io.StringIO(Writer("extxyz", [STRESS, pressure]).text(row)), slice(None))
    assert not [k for k in found.info if k in ("predicted_stress", "predicted_pressure")]
    cells = Writer("csv", [ENERGY, STRESS, pressure]).text(row).splitlines()[1].split(",")
    assert cells == ["a", "-5.25", *[""] * 7]
    said = json.loads(Writer("jsonl", [STRESS, pressure]).text(row))["predictions"]
    assert said["stress"]["value"] == [None] * 6
    assert said["pressure"]["value"] is None
