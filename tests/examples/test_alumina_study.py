"""The alumina study: its plan, its journal, its tables, and a run in miniature on runs made here."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import ase.io
import h5py
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from ase.spacegroup import crystal as spacegroup_crystal
from crystal_alumina.matsui import Matsui

STUDY = Path(__file__).parents[2] / "examples" / "lcgcn"
sys.path.insert(0, str(STUDY))

import study as program  # noqa: E402
from alumina_study.cells import Bench  # noqa: E402
from alumina_study.journal import Journal  # noqa: E402
from alumina_study.plan import Study  # noqa: E402
from alumina_study.program import CommandFailed  # noqa: E402
from alumina_study.reading import load  # noqa: E402
from alumina_study.systems import Systems  # noqa: E402
from alumina_study.tables import put, render  # noqa: E402
from alumina_study.timing import line_r2  # noqa: E402

FRAMES = 40


def corundum() -> ase.Atoms:
    """Ten atoms."""
    sites = [(0, 0, 0.35228), (0.30641, 0, 0.25)]
    cell = [4.759, 4.759, 12.991, 90, 90, 120]
    return spacegroup_crystal(["Al", "O"], sites, spacegroup=167, cellpar=cell, primitive_cell=True)


def write_run(path: Path, shake: float | np.ndarray, seed: int, frames: int = FRAMES) -> None:
    """A run in the format of the data: shaken corundum with the energies and some forces of the rigid ions."""
    sites, rng = corundum(), np.random.default_rng(seed)
    shakes = np.broadcast_to(shake, frames)[:, None, None] / 1e-4
    counts = (shakes * rng.normal(size=(frames, len(sites), 3))).astype(np.int16)
    energies, forces = [], []
    for moved in counts:
        atoms = sites.copy()
        atoms.positions += 1e-4 * moved
        found = Matsui().sums(atoms)
        energies.append(found.energies.sum())
        forces.append(found.forces)
    with h5py.File(path, "w") as h:
        h["numbers"], h["cell"] = sites.numbers.astype(np.int8), sites.cell.array
        h["reference_positions"], h["displacement"] = sites.positions, counts
        h["energy"], h["step"] = energies, np.arange(frames) * 50
        h["temperature"], h["pressure_bar"] = np.full(frames, 300.0), np.zeros(frames)
        h["force_index"] = np.arange(frames, dtype=np.int32)
        h["force"] = np.round(np.array(forces) / 1e-3).astype(np.int16)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alumina")
    for k, run in enumerate(("alpha-240-300K", "alpha-240-500K", "alpha-240-800K")):
        write_run(folder / f"{run}.h5", 0.03 * (k + 1), k)
    structures = []
    for name in ("alpha", "ia3", "pna21", "pbca"):
        atoms = corundum()
        atoms.calc = SinglePointCalculator(atoms, energy=float(Matsui().sums(atoms).energies.sum()))
        atoms.info["name"] = name
        structures.append(atoms)
    ase.io.write(folder / "equilibrium.extxyz", structures)
    return folder


def run(data: Path, output: Path, *words: str) -> int:
    line = ["--scale", "mini", "--data", str(data), "--output", str(output), "--device", "cpu"]
    return program.main([*line, "--results", str(output / "results.md"), *words])


def test_a_study_in_miniature(data: Path, tmp_path: Path) -> None:
    assert run(data, tmp_path, "--only", "table-vi", "--method", "mean") == 0
    assert run(data, tmp_path, "--only", "table-vi", "--method", "pairs") == 0
    text = (tmp_path / "results.md").read_text()
    assert text.count("<!-- begin ") == text.count("<!-- end ") == 1
    assert "| **300 K** | paper | 0.3 | 21.2 | 76.6 |" in text
    assert "at most 20 training snapshots" in text
    for label in ("mean (", "ridge on pair distances ("):
        assert text.count(f"{label}20)") == 3
    row = next(line for line in text.splitlines() if "ridge" in line).split("|")[3:-1]
    assert len(row[0].split(" / ")) == 2  # block and random split of its own test part
    assert all(float(part) > 0 for cell in row for part in cell.split(" / "))
    assert "*The smallest error of each row is on the diagonal?* paper: holds;" in text


@pytest.mark.slow
def test_jobs_side_by_side(data: Path, tmp_path: Path) -> None:
    words = ["--only", "table-vii", "--method", "mean", "--method", "pairs"]
    for jobs in ("1", "2"):
        assert run(data, tmp_path / jobs, *words, "--jobs", jobs) == 0
    one, two = ((tmp_path / jobs / "results.md").read_text() for jobs in ("1", "2"))
    assert one == two


def test_a_network_is_trained_once_and_what_is_missing_is_made(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["--only", "table-iii", "--method", "mean", "--method", "lcgcn"]
    assert run(data, tmp_path, *words) == 0
    text = (tmp_path / "results.md").read_text()
    assert "| paper | -1.8 | +0.1 (+1.9) | +3.1 (+4.9) | – |" in text
    for label in ("mean", "`lcgcn`, last layer by steps"):  # the four structures are the same here
        numbers = next(line for line in text.splitlines() if line.startswith(f"| {label}")).split("|")[2:-1]
        assert all(n.split()[0] == numbers[0].strip() for n in numbers)
        assert all(float(n.split()[1].strip("()")) == pytest.approx(0.0, abs=2e-3) for n in numbers[1:])

    assert "crystal train" in capfd.readouterr().err
    journal = {p: p.stat().st_mtime_ns for p in tmp_path.glob("cells/*/*.json")}
    gone = next(p for p in journal if p.name == "equilibrium.json" and p.parent.name.startswith("lcgcn"))
    gone.unlink()
    assert run(data, tmp_path, *words) == 0
    said = capfd.readouterr().err
    assert "2 cells, 1 to do" in said
    assert "crystal train" not in said
    assert all(p.stat().st_mtime_ns == t for p, t in journal.items() if p != gone)
    assert (tmp_path / "results.md").read_text() == text


@pytest.mark.slow
def test_killed_and_started_again(data: Path, tmp_path: Path) -> None:
    words = ["--only", "table-iii", "--method", "pairs", "--method", "lcgcn"]
    assert run(data, tmp_path / "whole", *words) == 0
    cut, rng = tmp_path / "cut", np.random.default_rng(0)
    line = ["--scale", "mini", "--data", str(data), "--output", str(cut), "--results", str(cut / "results.md")]
    command = [sys.executable, str(STUDY / "study.py"), *line, "--device", "cpu", *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    for sign in ("$ crystal build-graphs", "done", "$ crystal train", "$ crystal predict"):
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            assert any(sign in said for said in process.stderr), f"it ended before '{sign}'"
            time.sleep(0.5 * rng.random())
            process.kill()
    assert subprocess.run(command, env=environment, stderr=subprocess.DEVNULL).returncode == 0
    assert (cut / "results.md").read_text() == (tmp_path / "whole" / "results.md").read_text()


def test_a_cell_that_fails_does_not_stop_the_others(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "data"
    broken.mkdir()
    for path in data.iterdir():
        (broken / path.name).symlink_to(path)
    study = load("mini", tables=["table-vi"], methods=["mean"])
    cells = study.cells()
    blocked = tmp_path / "out" / "cells" / cells[0].key
    blocked.parent.mkdir(parents=True)
    blocked.write_text("in the way")
    assert run(broken, tmp_path / "out", "--only", "table-vi", "--method", "mean") == 3
    assert f"{cells[0].key} failed: " in capfd.readouterr().err
    assert sum(Journal(tmp_path / "out").done(c) for c in cells[1:]) == len(cells) - 1


def test_the_plan_of_every_scale() -> None:
    for scale in ("mini", "small", "full"):
        study = load(scale)
        cells = study.cells()
        assert len({c.key for c in cells}) == len(cells)
        largest = max(sum(n for _, n, _ in c.parts) for c in cells)
        assert largest == {"mini": 20, "small": 600, "full": 12400}[scale]
        assert {t.name for t in study.tables} >= {
            f"table-{n}" for n in ("ii", "iii", "iv", "v", "vi", "vii", "viii", "ix")
        }
    assert {c.seed for c in cells if c.method == "lcgcn"} == {0, 1, 2}
    assert {c.seed for c in cells if c.method == "pairs"} == {0}


def test_tables_share_their_trainings() -> None:
    whole = load("small")
    alone = sum(len(Study(whole.scale, whole.methods, (t,)).cells()) for t in whole.tables)
    assert len(whole.cells()) < alone
    on_itself = [c for c in whole.cells() if c.method == "pairs" and c.parts == (("alpha-240-300K", 600, 100),)]
    assert sorted(c.split for c in on_itself) == ["block", "random"]
    assert "pbca-240-300K" in on_itself[0].tests
    assert "alpha-240-800K" in on_itself[0].tests
    assert "equilibrium" in on_itself[0].tests


def test_rows_with_options_are_for_those_who_take_them() -> None:
    study = load("small", tables=["table-ii"])
    table = study.tables[0]
    names = {row.name: [m.name for m in study.methods_of(table, row)] for row in table.rows}
    assert names["max"] == ["paper", "lcgcn", "alone"]
    assert names["none"] == ["mean", "pairs", "potential"]
    assert {c.settings["pool"] for c in study.cells() if c.method == "lcgcn"} == {"average", "max", "fcmax"}


def test_words_that_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, tmp_path, "--only", "table-x") == 2
    assert "no table 'table-x'; there are table-ii" in capsys.readouterr().err


def test_claims_are_judged_from_the_numbers(tmp_path: Path) -> None:
    study = load("mini", tables=["table-vi"], methods=["mean", "pairs", "potential"])
    journal, table = Journal(tmp_path), study.tables[0]
    for cell in study.cells():
        warm = cell.parts[0][0]
        worst = 1.0 if cell.method == "pairs" else 3.0
        counts = {"train": 20, "val": 5, "test": 8}
        own = {"mae": 0.5 if cell.split == "block" else 0.25, "n": 8, "counts": counts}
        journal.write(cell, "trained", own | {"forces_mae": 0.02 if cell.method == "potential" else None})
        for test in cell.tests:
            journal.write(cell, test, {"mae": 0.4 if warm == "alpha-240-800K" else worst, "n": 8})
    text = render(study, table, journal, "command")
    assert "| **300 K** | paper | 0.3 | 21.2 | 76.6 |" in text
    assert "|  | ridge on pair distances (20) | 0.500 / 0.250 | 1.00 | 1.00 |" in text
    assert "diagonal?* paper: holds; ridge on pair distances: 4 of 6; `pair-moments`, with forces: 4 of 6." in text
    assert "*Entries better than those of the ridge on pair distances:* `pair-moments`, with forces: 0 of 9." in text
    forces = "Forces of `pair-moments`, with forces on its own test part, meV/Å"
    assert f"{forces}: 300 K: 20.0; 500 K: 20.0; 800 K: 20.0." in text


def test_a_model_of_another_reference_shows_what_is_relative(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = load("mini", tables=["table-iii"], methods=["formation"])
    (cell,) = study.cells()
    assert (cell.parts, cell.tests) == ((), ("equilibrium",))
    journal = Journal(tmp_path)
    journal.write(cell, "trained", {})
    journal.write(cell, "equilibrium", {"signed": {"alpha": 3000.0, "pbca": 2980.0, "pna21": 3005.5, "ia3": 3000.1}})
    text = render(study, study.tables[0], journal, "command")
    assert "| `cgcnn` of formation energies | (0) | (-20.0) | (+5.50) | (+0.100) |" in text
    assert "| paper, CGCNN of formation energies | (0) | (+25.8) | (+16.4) | – |" in text
    words = ["--only", "table-iii", "--method", "formation"]
    assert run(tmp_path, tmp_path, *words, "--list") == 0
    assert "left out: formation; --given formation=MODEL" in capsys.readouterr().err
    assert run(tmp_path, tmp_path, *words, "--given", "formation=nowhere") == 2


def test_a_reader_of_the_list_may_go(tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "examples" / "lcgcn" / "study.py"
    asks = subprocess.Popen(
        [sys.executable, str(script), "--output", str(tmp_path), "--list"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert asks.stdout is not None
    asks.stdout.close()
    _, said = asks.communicate()
    assert (asks.returncode, "Traceback" in said, "BrokenPipe" in said) == (0, False, False)


def test_a_signal_ends_the_study(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = []

    def stopped(*words: str) -> dict[str, object]:
        said.append(words[0])
        raise CommandFailed(words, 75)

    monkeypatch.setattr("alumina_study.systems.crystal", lambda *_: {})
    monkeypatch.setattr("alumina_study.systems.Systems.ids", lambda *_: ([], {"train": []}))
    monkeypatch.setattr("alumina_study.cells.crystal", stopped)
    assert run(data, tmp_path, "--only", "table-vi", "--method", "lcgcn") == 75
    assert said == ["train"]


def test_blocks_do_not_touch(data: Path, tmp_path: Path) -> None:
    systems = Systems(data, tmp_path, load("full").scale)
    split = systems.split("alpha-240-300K", "block", 0)
    assert split.train.max() < split.val.min() - 1 < split.val.max() < split.test.min() - 1
    random = systems.split("alpha-240-300K", "random", 1)
    assert random.train.max() > random.test.min()
    assert not set(random.train) & set(random.test)


LEARNING = """
title = "learning"
text = ""
corner = "n"
columns = ["error"]
tests = ["alpha-120-ramp"]
splits = ["block"]
"""
POINTS = (8, 24, 72)


def errors_of_the_ridge(folder: Path, seed: int) -> dict[str, float]:
    """Errors of the ridge on rigid ions, by training and test: temperatures, their mixtures, numbers of snapshots."""
    temperatures = {"300": 0.03, "500": 0.05, "800": 0.08}
    for k, (kelvin, shake) in enumerate(temperatures.items()):
        write_run(folder / f"alpha-240-{kelvin}K.h5", shake, 10 * seed + k, 120)
    write_run(folder / "alpha-120-ramp.h5", np.linspace(0.03, 0.05, 120), 10 * seed + 3, 120)
    plan = folder / "plan"
    (plan / "tables").mkdir(parents=True)
    for name in ("tables/table-vi.toml", "tables/table-vii.toml", "methods.toml"):
        (plan / name).symlink_to(STUDY / name)
    rows = "".join(f"[[rows]]\nname = '{n}'\ntrain = {{ alpha-120-ramp = {n} }}\n" for n in POINTS)
    (plan / "tables" / "learning.toml").write_text(LEARNING + rows)
    (plan / "scales.toml").write_text(
        "[trend]\nsnapshots = 72\nvalidation = 10\npool = 0\nprobe = 60\nseeds = [0]\ntimed = 1\n"
    )
    study = load("trend", methods=["pairs"], folder=plan)
    systems = Systems(folder, folder / "out", study.scale)
    bench, cells = Bench(systems, Journal(folder / "out")), study.cells()
    methods = {m.name: m for m in study.methods}
    program.prepare(systems, cells, methods, 1)
    found = {}
    for cell in cells:
        if cell.split == "random":
            continue
        bench.compute(cell, methods[cell.method])
        runs = "+".join(run.split("-")[2].rstrip("K") for run, _, _ in cell.parts)
        counts = f" {cell.parts[0][1]}" if runs == "ramp" else ""
        for test in ("trained", *cell.tests):
            of = runs if test == "trained" else test.split("-")[2].rstrip("K")
            result = bench.journal.read(cell, test)
            assert result is not None
            found.setdefault(f"{runs}{counts}: {of}", result["mae"])
    return found


@pytest.mark.slow
def test_trends_of_the_paper_on_the_potential_of_rigid_ions(tmp_path: Path) -> None:
    """Means of three seeds: more snapshots, nearer temperatures and a second temperature lower the error."""
    all_of_them = []
    for seed in range(3):
        folder = tmp_path / str(seed)
        folder.mkdir()
        all_of_them.append(errors_of_the_ridge(folder, seed))
    mean = {k: np.mean([f[k] for f in all_of_them]) for k in all_of_them[0]}
    curve = [mean[f"ramp {n}: ramp"] for n in POINTS]
    assert curve == sorted(curve, reverse=True)
    assert mean["300: 300"] < mean["500: 300"] < mean["800: 300"]
    assert mean["500: 500"] < min(mean["300: 500"], mean["800: 500"])
    assert mean["800: 800"] < mean["500: 800"] < mean["300: 800"]
    assert mean["300+500: 800"] < min(mean["300: 800"], mean["500: 800"])
    assert mean["300+800: 500"] < min(mean["300: 500"], mean["800: 500"])


def test_marked_places_of_a_document() -> None:
    document = put("# Results\n\nBefore.\n", "a", "one")
    document = put(document, "b", "two")
    changed = put(document, "a", "three")
    assert changed == document.replace("one", "three")
    assert changed.startswith("# Results\n\nBefore.\n")
    with pytest.raises(ValueError, match="without"):
        put(changed.replace("<!-- end b -->", ""), "b", "four")


def test_r2_of_lines() -> None:
    assert line_r2([1, 2, 3], [2.0, 4.0, 6.0]) == pytest.approx(1.0)
    assert line_r2([1, 2, 3, 4], [1.0, 4.0, 9.0, 16.0]) == pytest.approx(0.969, abs=1e-3)
