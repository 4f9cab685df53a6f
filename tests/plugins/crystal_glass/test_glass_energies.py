"""Energies beside another theory, and voltages: against sums written out, limits, and hulls found in another way."""

from __future__ import annotations

import csv
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from crystal_glass.comparison import (
    CLASSES,
    References,
    called_as,
    chemistry,
    compared,
    corrected,
    errors,
    read_energies,
    refuse_other_atoms,
    summary,
)
from crystal_glass.energies import formed
from crystal_glass.voltage import curves, plateaus_of
from pymatgen.core import Element

from crystalcli.cli.main import run
from crystalcli.engine.host.services import Services
from crystalcli.vocabulary.errors import InputError, UsageError


def test_classes_are_those_of_table_1() -> None:
    found = {"Ti": "oxides", "Al": "oxides"}
    assert {s: chemistry({s, "O"}) for s in found} == found
    assert chemistry({"Li", "Si"}) == "silicides"
    assert chemistry({"Ge", "Te"}) == "tellurides"
    assert chemistry({"Si", "C"}) == "carbides"
    assert chemistry({"Al", "Cu"}) == "alloys"
    assert chemistry({"Si"}) == "elements"
    paper = "As B Br C Cl F Ge N O P S Sb Si Te".split()  # noqa: SIM905
    assert set(paper) | {"H", "I", "Se"} == set(CLASSES)
    rank = [Element(s).X for s in CLASSES]
    assert sorted(rank, reverse=True) == pytest.approx(rank, abs=0.04)  # C and S, P and As are as good as equal


def pairs(count: int = 24) -> list[dict[str, Any]]:
    """Three boxes of every composition, that share an error."""
    rng = np.random.default_rng(5)
    made = []
    for k in range(count):
        energy, off = rng.uniform(-3.0, 0.0), rng.normal(0.0, 0.01)
        for r in range(3):
            mine = energy + rng.normal(0.0, 0.002)
            reference = 0.95 * mine - 0.1 + off
            made.append({"id": f"{k}-{r}", "formula": f"A{k}B", "chemistry": "oxides" if k % 3 else "alloys"}
                        | {"energy": mine, "reference": reference, "difference": mine - reference})  # fmt: skip
    return made


def test_errors_are_sums() -> None:
    some = pairs()
    off = [p["energy"] - p["reference"] for p in some]
    found = errors(some)
    assert (found.boxes, found.compositions) == (72, 24)
    assert found.mae == pytest.approx(sum(map(abs, off)) / 72)
    assert found.mean == pytest.approx(sum(off) / 72)
    assert found.rms == pytest.approx((sum(o * o for o in off) / 72) ** 0.5)
    told = summary(some)
    shares = {k: v["boxes"] for k, v in told["by_chemistry"].items()}
    assert shares == {"alloys": 24, "oxides": 48}
    mean = sum(v["boxes"] * v["mae"] for v in told["by_chemistry"].values()) / 72
    assert mean == pytest.approx(told["all"]["mae"])


def test_the_line_is_that_of_least_squares_and_is_judged_on_compositions_left_out() -> None:
    some = pairs()
    found = corrected(some)
    assert found is not None
    line, apart = found
    x, y = (np.array([p[k] for p in some]) for k in ("energy", "reference"))
    assert [line.slope, line.offset] == pytest.approx(np.polyfit(x, y, 1).tolist())
    assert line.slope == pytest.approx(0.95, abs=0.01)
    assert line.mae_before == pytest.approx(float(np.abs(x - y).mean()))
    assert line.mae_after == pytest.approx(float(np.abs(np.polyval(np.polyfit(x, y, 1), x) - y).mean()))
    formulas = np.array([p["formula"] for p in some])
    for one in ("A0B", "A17B"):
        others = np.polyfit(x[formulas != one], y[formulas != one], 1)
        assert apart[formulas == one].tolist() == pytest.approx(np.polyval(others, x[formulas == one]).tolist())
    assert line.mae_left_out == pytest.approx(float(np.abs(apart - y).mean()))
    assert line.mae_after < line.mae_left_out < line.mae_before
    assert corrected(some[:9]) is None  # three compositions
    assert corrected([{**p, "energy": 1.0} for p in some]) is None


def test_what_is_compared() -> None:
    row = {"id": "Al2O3", "status": "ok", "counts": {"Al": 2, "O": 3}, "energy_md": -6.0, "energy_relaxed": -6.5}
    row |= {"formation_energy": -2.5, "formation_energy_md": -2.0}
    (found,) = compared([row, {**row, "id": "b"}, {**row, "status": "failed"}], References({"Al2O3": -6.6}))
    assert found["difference"] == pytest.approx(0.1)
    assert (found["compared"], found["chemistry"]) == ("energy_relaxed", "oxides")
    (found,) = compared([{**row, "energy_relaxed": None}], References({"Al2O3": -6.6}))
    assert (found["compared"], found["energy"]) == ("energy_md", -6.0)
    (found,) = compared([row], References({"Al2O3": -2.6}, formation=True))
    assert (found["compared"], found["energy"]) == ("formation_energy", -2.5)


def test_their_formation_energies_count_from_our_elements() -> None:
    rows = [{"id": "x", "atoms": 4, "counts": {"Al": 1, "Cu": 3}}, {"id": "y", "atoms": 2, "counts": {"Ti": 2}}]
    elements = {"Al": -3.0, "Cu": -4.0, "Ti": None}
    found = formed(References({"x": -3.9, "y": -8.0, "z": 0.0}), rows, elements)
    assert found == pytest.approx({"x": -3.9 - (-3.0 - 3 * 4.0) / 4})
    assert formed(References({"y": 0.2}, formation=True), rows, elements) == {"y": 0.2}


def test_energies_of_files(tmp_path: Path) -> None:
    def read(text: str) -> References:
        (tmp_path / "e.csv").write_text(text)
        return read_energies(tmp_path / "e.csv", Services())

    assert read("id,energy [eV/atom]\nCu,-3.5\n\nNi,-4\n") == References({"Cu": -3.5, "Ni": -4.0})
    assert read("formation_energy,id\n0.1,Cu\n") == References({"Cu": 0.1}, formation=True)
    for text, said in (
        ("Cu,-3.5\n", "must have the columns id"),
        ("id,energy,formation_energy\n", "must have the columns id"),
        ("id,energy\nCu\n", "e.csv:2: has no id and energy"),
        ("id,energy\nCu,1\nCu,2\n", "e.csv:3: Cu stands twice"),
        ("id,energy\nCu,nan\n", "no finite energy"),
    ):
        with pytest.raises(UsageError) as problem:
            read(text)
        assert said in str(problem.value)
    atoms = ase.Atoms("Cu2", [(0, 0, 0), (0, 0, 2)], cell=[9] * 3, pbc=True, info={"id": "x", "energy": -7.0})
    ase.io.write(tmp_path / "e.extxyz", [atoms, ase.Atoms(atoms, info={"id": "y", "energy": -6.0})])
    assert read_energies(tmp_path / "e.extxyz", Services()).energies == {"x": -3.5, "y": -3.0}
    ase.io.write(tmp_path / "e.extxyz", [atoms, ase.Atoms(atoms, info={"id": "x", "energy": -6.0})])
    with pytest.raises(InputError, match="two structures are called x"):
        read_energies(tmp_path / "e.extxyz", Services())
    ase.io.write(tmp_path / "e.extxyz", ase.Atoms(atoms, info={"id": "x"}))
    with pytest.raises(InputError, match="has no energy to compare with"):
        read_energies(tmp_path / "e.extxyz", Services())


def test_structures_of_another_composition_are_refused() -> None:
    theirs = References({"Cu2": -3.5, "far": -1.0}, counts={"Cu2": {"Cu": 4}, "far": {"Ni": 1}})
    refuse_other_atoms(theirs, {"Cu2": {"Cu": 2}}, Path("e.extxyz"))
    with pytest.raises(InputError, match="far is Ni there, and Cu here"):
        refuse_other_atoms(theirs, {"far": {"Cu": 2}}, Path("e.extxyz"))


def test_energies_are_found_by_ids_that_name_the_elements_in_another_order() -> None:
    path, boxes = Path("e.csv"), ["Cu8Al8-1", "Cu8Al8-2", "Ni16-1"]
    theirs = References({"Al8Cu8-2": -3.0, "Ni16-1": -4.0, "far": 1.0}, counts={"Al8Cu8-2": {"Al": 1, "Cu": 1}})
    found = called_as(theirs, boxes, path)
    assert found.energies == {"Cu8Al8-2": -3.0, "Ni16-1": -4.0, "far": 1.0}
    assert found.counts == {"Cu8Al8-2": {"Al": 1, "Cu": 1}}
    with pytest.raises(UsageError, match="Cu8Al8-1 and Al8Cu8-1 are both the box Cu8Al8-1; leave one of them out"):
        called_as(References({"Cu8Al8-1": -3.0, "Al8Cu8-1": -3.0}), boxes, path)


POINTS = [(0.0, 0.16), (0.1, 0.12), (0.3, -0.05), (0.4, -0.02), (0.5, -0.16)]
POINTS += [(0.7, -0.21), (0.8, -0.19), (0.9, -0.05)]


def test_plateaus_add_up_and_fall() -> None:
    """Σ V Δx z is what all of A gives, −Δg of Aydinol's formula; voltages fall, for the hull is convex."""
    found = plateaus_of(POINTS, 1)
    assert [(round(p.start, 6), round(p.end, 6)) for p in found] == [
        (0.0, round(0.3 / 0.7, 6)), (round(0.3 / 0.7, 6), 1.0), (1.0, round(7 / 3, 6)), (round(7 / 3, 6), 4.0),
    ]  # fmt: skip
    total = sum(p.volts * (p.end - p.start) for p in found)
    host, ion = -5.0, -1.9  # energies of the crystals of B and A

    def energy(share: float, formed: float) -> float:
        """eV of A_xB, x = share / (1 − share)."""
        return (formed + share * ion + (1 - share) * host) / (1 - share)

    whole = energy(0.8, -0.19) - energy(0.0, 0.16) - 4.0 * ion
    assert total == pytest.approx(-whole)
    assert all(a.volts > b.volts for a, b in pairwise(found))
    assert all(p.volts > 0 for p in found)
    assert [p.volts for p in plateaus_of(POINTS, 2)] == pytest.approx([p.volts / 2 for p in found])
    two = plateaus_of([(0.2, -0.1), (0.5, -0.3)], 1)
    assert two[0].volts == pytest.approx(-((-0.3) / 0.5 - (-0.1) / 0.8) / (1.0 - 0.25))
    assert plateaus_of([(0.2, 0.1), (0.5, 0.2)], 1) == []  # above the line to the metal: it takes up none
    assert plateaus_of([], 1) == []


def test_curves_are_of_means_of_binaries() -> None:
    def box(counts: dict[str, int], energy: float | None) -> dict[str, Any]:
        return {"counts": counts, "atoms": sum(counts.values()), "formation_energy": energy}

    rows = [
        box({"Si": 10}, 0.1),
        box({"Li": 5, "Si": 5}, -0.1),
        box({"Li": 5, "Si": 5}, -0.2),
        box({"Li": 9, "Si": 1}, None),
    ]
    rows += [box({"Al": 5, "Li": 5}, -0.1), box({"Al": 2, "Li": 2, "Si": 2}, -9.0), box({"Al": 10}, None)]
    found = curves(rows, "Li")
    assert found.keys() == {"Si"}
    assert found["Si"] == plateaus_of([(0.0, 0.1), (0.5, -0.15)], 1)
    assert curves(rows, "Na") == {}
    with pytest.raises(UsageError, match="no ion of a battery"):
        curves(rows, "Ti")


def test_a_finished_run_takes_energies_and_voltages_later(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Reference energies come when the glasses are there; nothing is melted again for them."""
    words = ["--grid", "Al,Cu", "--step", "25", "--ends", "--atoms", "12", "--potential", "emt", "--melt", "1500"]
    words += [
        "--melt-steps",
        "20",
        "--quench-steps",
        "20",
        "--hold-steps",
        "20",
        "--relax",
        "ions",
        "--relax-steps",
        "20",
    ]
    folder = tmp_path / "run"
    assert run(["glass", *words, "-o", str(folder), "--quiet"]) == 0
    table = (folder / "glasses.csv").read_bytes()
    with (folder / "glasses.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert not (folder / "compared.csv").exists()
    lines = [f"{r['id']},{float(r['energy_relaxed [eV/atom]']) - 0.01 * k}" for k, r in enumerate(rows)]
    (tmp_path / "dft.csv").write_text("id,energy\n" + "\n".join(lines) + "\nother,1.0\n")
    capsys.readouterr()
    more = ["--compare", str(tmp_path / "dft.csv"), "--voltage", "Al"]
    assert run(["glass", "--resume", str(folder), *more]) == 0
    said = capsys.readouterr()
    assert "1 of its 6 are no boxes here: other" in said.err
    assert "MAE 20.0 meV/atom, mean +20.0, of 5 boxes" in said.out + said.err
    assert (folder / "glasses.csv").read_bytes() == table
    report = json.loads((folder / "report.json").read_text())
    assert report["comparison"]["all"]["mae"] == pytest.approx(0.02)
    assert report["comparison"]["by_chemistry"].keys() == {"alloys", "elements"}
    with (folder / "compared.csv").open() as file:
        assert [float(r["difference [eV/atom]"]) for r in csv.DictReader(file)] == pytest.approx(
            [0, 0.01, 0.02, 0.03, 0.04]
        )
    assert {p.name for p in folder.iterdir()} >= {"compared.png", "chemistry.csv", "energies-1.png", "references.json"}
    capsys.readouterr()
    (folder / "voltages.csv").write_text("of the run before\n")
    (tmp_path / "strangers.csv").write_text("id,energy\nother,1.0\n")
    assert run(["glass", "--resume", str(folder), "--compare", str(tmp_path / "strangers.csv")]) == 0
    assert "no glass has an energy to compare with" in capsys.readouterr().err
    left = {p.name for p in folder.iterdir()}  # what the comparison before has written is not of this one
    assert not left & {"compared.csv", "compared.png", "chemistry.csv", "voltages.csv"}
    assert "energies-1.png" in left
    assert run(["glass", "--resume", str(folder), *more]) == 0
    capsys.readouterr()
    assert run(["glass", "--resume", str(folder), *more]) == 0
    assert "finished before; nothing to do" in "".join(capsys.readouterr())
    assert run(["glass", "--resume", str(folder), "--compare", str(tmp_path / "none.csv")]) == 2
    assert json.loads((folder / "run.json").read_text())["finished"] is True


def test_boxes_of_other_shards_are_no_strangers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each of several jobs has the same file of energies; and an element that did not relax is not called unknown."""
    (tmp_path / "dft.csv").write_text("id,energy\nAl6Cu6,0.1\nAl12,0.2\nother,1.0\n")
    words = ["Al", "AlCu", "--atoms", "12", "--potential", "emt", "--shard", "1/2", "--relax", "ions"]
    words += ["--relax-steps", "1", "--melt-steps", "5", "--quench-steps", "5", "--hold-steps", "5", "--no-draw-boxes"]
    words += ["--hotter", "50", "--melt", "500", "--compare", str(tmp_path / "dft.csv"), "-o", str(tmp_path / "run")]
    assert run(["glass", *words]) == 0
    said = capsys.readouterr().err
    assert "1 of its 2 are no boxes here: other" in said
    assert "no reference energy of Al: not relaxed to --fmax 0.05 in --relax-steps 1" in said
