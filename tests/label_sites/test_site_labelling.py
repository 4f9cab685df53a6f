"""``crystal label-sites`` as a workflow: what is kept, what is masked, what fails."""

import csv
import json
from pathlib import Path
from typing import Any

import ase
import ase.build
import ase.io
import numpy as np
import pytest
from ase.constraints import FixAtoms, FixBondLength, FixScaled

from crystalcli.cli.main import run
from crystalcli.engine.labels.site_labels import LABELS, ewald_potential
from crystalcli.engine.potential.potentials import named
from crystalcli.engine.read.reading import read_file
from crystalcli.label_sites import run as site_labelling
from crystalcli.label_sites.options import WORDS
from crystalcli.label_sites.run import LabellingPlan
from crystalcli.nouns.structures.constraints import projections
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.systems import Systems
from crystalcli.vocabulary.errors import NothingUsable, UsageError


def test_old_labels_stay_and_new_ones_come(tmp_path: Path) -> None:
    structures = [ase.build.bulk("NaCl", "rocksalt", a=a) for a in (5.5, 5.7)]
    for k, atoms in enumerate(structures):
        atoms.info = {"energy_of_mine": -1.5 * k, "split": "train"}
        atoms.set_array("charge_of_mine", np.array([0.9, -0.9]))
    ase.io.write(tmp_path / "in.extxyz", [*structures, ase.build.molecule("H2O")])
    plan = LabellingPlan(
        (str(tmp_path / "in.extxyz"),),
        tmp_path / "out.extxyz",
        ("bond_valence", "ewald_potential"),
        charges="charge_of_mine",
        elements=("Na",),
    )
    (tmp_path / "bad.cif").write_text("data_x\n")
    report = site_labelling.label(
        LabellingPlan(
            (str(tmp_path / "in.extxyz"), str(tmp_path / "bad.cif")),
            plan.output,
            plan.labels,
            charges=plan.charges,
            elements=plan.elements,
        )
    )
    assert (report.n, report.sites) == (2, 4)
    assert [f.stage for f in report.failures] == ["label", "read"]
    assert "no charges 'charge_of_mine'" in report.failures[0].reason
    assert report.labelled == {"bond_valence": 2, "ewald_potential": 2}
    entries = [e for e in read_file(plan.output) if isinstance(e, Entry)]
    for k, entry in enumerate(entries):
        assert entry.labels["energy_of_mine"] == -1.5 * k
        assert entry.tags["split"] == "train"
        np.testing.assert_allclose(entry.labels["charge_of_mine"], [0.9, -0.9])
        assert np.isnan(entry.labels["ewald_potential"]).tolist() == [False, True]
        assert entry.labels["bond_valence"][0] == pytest.approx(1.0, abs=0.3)
    with pytest.raises(UsageError, match="overwrite"):
        site_labelling.label(LabellingPlan(plan.inputs, plan.output, ("bond_valence",)))


def test_what_cannot_work_is_refused_first(tmp_path: Path) -> None:
    for labels in ((), ("bond-valence",), ("frequency",)):
        with pytest.raises(UsageError):
            site_labelling.label(LabellingPlan(("none.cif",), tmp_path / "out.extxyz", labels))
    ase.io.write(tmp_path / "w.extxyz", ase.build.molecule("H2O"))
    with pytest.raises(NothingUsable):
        site_labelling.label(LabellingPlan((str(tmp_path / "w.extxyz"),), tmp_path / "out.extxyz", ("bond_valence",)))
    assert not (tmp_path / "out.extxyz").exists()


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"elements": ("Na", "Xx")}, "--elements: 'Xx' is no element"),
        ({"elements": ("X",)}, "--elements: 'X' is no element"),
        ({"potential": "emt"}, "--potential is for --label frequency"),
        ({"charges": "q"}, "--charges is for --label ewald_potential"),
    ],
)
def test_what_nothing_would_come_of_is_refused(wish: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        site_labelling.check(LabellingPlan(("a.cif",), tmp_path / "out.extxyz", ("bond_valence",), **wish))


def test_what_is_held_stays_held(tmp_path: Path) -> None:
    """Whole atoms, atoms along lattice vectors, tags; a constraint that no file could say fails its structure."""
    slab = ase.build.fcc111("Cu", (1, 1, 3), vacuum=5.0)
    slab.info = {}
    slab.set_constraint([FixAtoms([0]), FixScaled(1, (False, False, True))])
    ase.io.write(tmp_path / "slab.vasp", slab, format="vasp")
    tagged = slab.copy()
    tagged.set_constraint(FixAtoms([0]))
    ase.io.write(tmp_path / "tagged.extxyz", tagged)
    bound = slab.copy()
    bound.set_constraint(FixBondLength(0, 1))
    ase.io.write(tmp_path / "bound.traj", bound)
    names = ("slab.vasp", "tagged.extxyz", "bound.traj")
    inputs = tuple(str(tmp_path / name) for name in names)
    report = site_labelling.label(LabellingPlan(inputs, tmp_path / "out.extxyz", ("effective_coordination",)))
    first, second = ase.io.read(tmp_path / "out.extxyz", ":")
    assert np.diagonal(projections(first), axis1=1, axis2=2).tolist() == [[0, 0, 0], [1, 1, 0], [1, 1, 1]]
    assert second.constraints[0].index.tolist() == [0]
    assert second.get_tags().tolist() == [3, 2, 1]
    assert [f.reason for f in report.failures] == [
        "constraint FixBondLengths is not known; only fixed atoms and axes are"
    ]


def test_the_command_names_all_labels() -> None:
    assert tuple(LABELS) == WORDS
    assert (
        site_labelling.units(["bond_valence", "effective_coordination"]) == "bond_valence:v.u.,effective_coordination"
    )


def test_the_typed_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from crystalcli.cli.main import run

    ase.io.write(tmp_path / "cu.extxyz", [ase.build.bulk("Cu", "fcc", a=a) for a in (3.5, 3.6)])
    (tmp_path / "bad.cif").write_text("data_x\n")
    output = tmp_path / "labelled.extxyz"
    line = ["label-sites", str(tmp_path / "cu.extxyz"), "-o", str(output), "--label", "frequency", "--potential", "emt"]
    assert run(line) == 0
    said = capsys.readouterr().out
    assert "frequency: 2 of 2 sites" in said
    assert f"crystal build-graphs {output} --targets frequency:THz" in said
    assert run([*line, str(tmp_path / "bad.cif"), "--overwrite", "--json"]) == 3
    found = json.loads(capsys.readouterr().out)
    assert (found["n"], found["exit_code"], len(found["failed"])) == (2, 3, 1)
    stiff, soft = (e.labels["frequency"][0] for e in read_file(output) if isinstance(e, Entry))
    assert stiff > soft > 0


def test_one_structure_does_not_cost_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slab, on which the method raised, and others for which it may: all that is not known beforehand."""
    from crystalcli.cli.main import run

    good, slab, odd = (ase.build.bulk("NaCl", "rocksalt", a=a) for a in (5.6, 5.7, 5.8))
    slab.pbc = (True, True, False)
    ase.io.write(tmp_path / "in.extxyz", [good, slab, odd])

    def raises(atoms: ase.Atoms, wish: Any) -> Any:
        if atoms.cell.volume > 5.75**3 / 4:
            raise SystemExit(0)
        return ewald_potential(atoms, wish)

    monkeypatch.setattr(site_labelling, "LABELS", LABELS | {"ewald_potential": (LABELS["ewald_potential"][0], raises)})
    line = ["label-sites", str(tmp_path / "in.extxyz"), "-o", str(tmp_path / "out.extxyz")]
    assert run([*line, "--label", "ewald_potential", "--json"]) == 3
    found = json.loads(capsys.readouterr().out)
    assert [f["reason"] for f in found["failed"]] == [
        "needs a crystal that is periodic along three vectors",
        "ewald_potential: calls sys.exit(0)",
    ]
    assert len(list(read_file(tmp_path / "out.extxyz"))) == found["n"] == 1


def test_options_of_the_calculator_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frequencies of Lennard-Jones go with the root of its depth."""
    from crystalcli.cli.main import run

    ase.io.write(tmp_path / "ar.extxyz", ase.build.bulk("Ar", "fcc", a=5.3))
    output = tmp_path / "out.extxyz"
    line = ["label-sites", str(tmp_path / "ar.extxyz"), "-o", str(output), "--label", "frequency", "--potential", "lj"]
    line += ["--sigma", "3.4", "--overwrite", "--json"]

    def frequency(*more: str) -> float:
        assert run([*line, *more]) == 0, capsys.readouterr().err
        (entry,) = (e for e in read_file(output) if isinstance(e, Entry))
        return float(entry.labels["frequency"][0])

    once = frequency("--epsilon", "0.01")
    assert frequency("--epsilon", "0.04") == pytest.approx(2 * once, rel=1e-3)
    monkeypatch.setenv("CRYSTAL_LJ_EPSILON", "0.09")
    assert frequency() == pytest.approx(3 * once, rel=1e-3)
    capsys.readouterr()
    assert run([*line, "--dry-run"]) == 0
    assert json.loads(capsys.readouterr().out)["potential_options"]["epsilon"] == 0.09


@pytest.mark.parametrize("name", ["out.json", "out.cif", "out", "out.extxyz.gz"])
def test_another_format_is_not_written_under_its_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"extended XYZ is written.*end the name with \.extxyz or \.xyz"):
        site_labelling.check(LabellingPlan(("a.cif",), tmp_path / name, ("bond_valence",)))
    site_labelling.check(LabellingPlan(("a.cif",), tmp_path / "out.XYZ", ("bond_valence",)))


def test_a_label_that_no_site_has_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from crystalcli.cli.main import run

    ase.io.write(tmp_path / "cu.cif", ase.build.bulk("Cu"))
    line = ["label-sites", str(tmp_path / "cu.cif"), "-o", str(tmp_path / "out.extxyz"), "--label", "bond_valence"]
    assert run(line) == 0
    said = capsys.readouterr()
    assert "bond_valence: 0 of 1 sites" in said.out
    assert "no site has the label bond_valence" in said.err


def test_tables_with_several_structures_in_a_row(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    texts = []
    for a in (5.5, 5.9):
        ase.io.write(tmp_path / "one.cif", ase.build.bulk("NaCl", "rocksalt", a=a))
        texts.append((tmp_path / "one.cif").read_text())
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["code", "cif_start", "cif_end"], ["salt", *texts]])
    words = ["label-sites", str(tmp_path / "t.csv"), "--label", "bond_valence", "-o", str(tmp_path / "out.extxyz")]
    assert run([*words, "--cif-column", "cif_end", "--id-column", "code"]) == 0
    (entry,) = [e for e in read_file(tmp_path / "out.extxyz") if isinstance(e, Entry)]
    assert (entry.id, entry.atoms.cell.cellpar()[0]) == ("salt", pytest.approx(5.9 / 2**0.5))
    capfd.readouterr()
    assert run([*words, "--overwrite"]) == 2
    assert "several CIF columns" in capfd.readouterr().err


def test_forces_that_are_no_numbers_are_no_missing_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    potential = named("emt")
    inner = potential.evaluate

    def evaluate(systems: Systems, **more: Any) -> Any:
        found = inner(systems, **more)
        found.forces[systems.atomic_numbers == 79] = np.nan
        return found

    monkeypatch.setattr(potential, "evaluate", evaluate)
    monkeypatch.setattr(site_labelling, "named", lambda *_name, **_options: potential)
    ase.io.write(tmp_path / "two.extxyz", [ase.build.bulk("Cu"), ase.build.bulk("Au")])
    plan = LabellingPlan((str(tmp_path / "two.extxyz"),), tmp_path / "o.extxyz", ("frequency",), potential="emt")
    report = site_labelling.label(plan)
    assert (report.n, report.labelled) == (1, {"frequency": 1})
    assert "a force that is not a number" in report.failures[0].reason
