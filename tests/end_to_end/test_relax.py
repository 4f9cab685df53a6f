"""``crystal relax`` as a program: what it writes, exit codes, kills, signals, what stands on the screen."""

import contextlib
import csv
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import ase.build
import ase.io
import numpy as np
import pytest
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms

from crystalcli.cli.main import run
from crystalcli.relax import view
from crystalcli.vocabulary.display import number

CRYSTAL = [sys.executable, "-m", "crystalcli"]
RESULTS = ("relaxed.extxyz", "relaxation.csv")
METALS = ("relax", "m*.cif", "--potential", "emt", "--batch-size", "2", "--symprec", "0.05")


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    stdout: str
    stderr: str


def crystal(*args: str, cwd: Path, code: int = 0) -> Done:
    """Run in this process: starting one takes longer than most of what is tested here."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        found = run(["relax", *args] if args[:1] != ("relax",) else list(args))
    assert found == code, err.getvalue() + out.getvalue()
    assert "Traceback" not in err.getvalue()
    return Done(out.getvalue(), err.getvalue())


def table(path: Path) -> dict[str, dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Structures of metals that EMT knows, one that it does not, one that cannot be read, and a slab."""
    path = tmp_path_factory.mktemp("relax")
    rng = np.random.default_rng(0)
    for k in range(6):
        atoms = ase.build.bulk(("Cu", "Al", "Ni")[k % 3], "fcc", a=(3.6, 4.05, 3.5)[k % 3], cubic=True)
        atoms.positions += rng.normal(0, 0.1, (4, 3))
        ase.io.write(path / f"m{k}.cif", atoms)
    (path / "odd").mkdir()
    ase.io.write(path / "odd" / "iron.cif", ase.build.bulk("Fe"))
    (path / "odd" / "broken.cif").write_text("data_\n_cell_length_a 3\n")
    slab = ase.build.fcc111("Al", (1, 1, 4), vacuum=6.0, periodic=True)
    slab.set_constraint(FixAtoms([0, 1]))
    slab.positions[2:] += rng.normal(0, 0.05, (2, 3))
    ase.io.write(path / "odd" / "slab.vasp", slab, format="vasp")
    crystal(*METALS, "-o", "whole", cwd=path)
    return path


def test_structures_and_table(folder: Path) -> None:
    rows = table(folder / "whole" / "relaxation.csv")
    assert list(rows) == [f"m{k}" for k in range(6)]
    frames = ase.io.read(folder / "whole" / "relaxed.extxyz", ":")
    for atoms, (name, row) in zip(frames, rows.items(), strict=True):
        assert atoms.info["id"] == name
        assert isinstance(atoms.calc, SinglePointCalculator)
        stored, forces = atoms.get_potential_energy(), atoms.get_forces()
        stress = atoms.get_stress()
        assert stored == float(row["energy [eV]"])
        assert np.linalg.norm(forces, axis=1).max() == pytest.approx(float(row["fmax [eV/Å]"]), rel=1e-12)
        atoms.calc = EMT()
        assert atoms.get_potential_energy() == pytest.approx(stored, rel=1e-12)
        np.testing.assert_allclose(atoms.get_forces(), forces, atol=1e-11)
        np.testing.assert_allclose(atoms.get_stress(), stress, atol=1e-12)
        assert row["converged"] == "true"
        assert float(row["energy [eV]"]) < float(row["energy_start [eV]"])
        assert 0 < float(row["displacement_mean [Å]"]) < float(row["displacement_max [Å]"]) < 1.0
        assert row["spacegroup"] == "Fm-3m (225)"
        assert row["spacegroup_start"] == "P1 (1)"
    record = json.loads((folder / "whole" / "run.json").read_text())
    assert record["exit_code"] == 0
    assert set(record["inputs"]) == {f"m{k}.cif" for k in range(6)}
    assert len((folder / "whole" / "metrics.jsonl").read_text().splitlines()) == 6
    assert not (folder / "whole" / "shards").exists()


def test_what_goes_wrong_is_reported_and_the_others_go_on(folder: Path) -> None:
    done = crystal("odd", "m0.cif", "--potential", "emt", "-o", "some", "--json", cwd=folder, code=3)
    report = json.loads(done.stdout)
    assert (report["structures"], report["converged"], report["without_result"]) == (4, 2, 2)
    assert report["exit_code"] == 3
    rows = table(folder / "some" / "relaxation.csv")
    assert rows["iron"]["reason"] == "element"
    assert "does not know Fe" in rows["iron"]["message"]
    assert rows["broken"]["converged"] == "false"
    assert [a.info["id"] for a in ase.io.read(folder / "some" / "relaxed.extxyz", ":")] == ["slab", "m0"]
    whole = {a.info["id"]: a for a in ase.io.read(folder / "whole" / "relaxed.extxyz", ":")}
    m0 = ase.io.read(folder / "some" / "relaxed.extxyz", -1)
    np.testing.assert_array_equal(m0.positions, whole["m0"].positions)


def test_held_atoms_come_back_held(folder: Path) -> None:
    slab = ase.io.read(folder / "some" / "relaxed.extxyz", 0)
    start = ase.io.read(folder / "odd" / "slab.vasp")
    np.testing.assert_array_equal(slab.constraints[0].index, [0, 1])
    np.testing.assert_allclose(slab.positions[:2], start.positions[:2], atol=1e-12)
    height = "--fix-below", str(slab.positions[1, 2] + 0.1)
    crystal("odd/slab.vasp", "--potential", "emt", *height, "--fix-indices", "3", "-o", "h", cwd=folder)
    held = ase.io.read(folder / "h" / "relaxed.extxyz")
    np.testing.assert_array_equal(held.constraints[0].index, [0, 1, 3])
    crystal("odd/slab.vasp", "--potential", "emt", "--fix-elements", "Al", "-o", "all", cwd=folder)
    assert table(folder / "all" / "relaxation.csv")["slab"]["steps"] == "0"


def test_nothing_usable(folder: Path) -> None:
    done = crystal("odd/iron.cif", "--potential", "emt", "-o", "none", cwd=folder, code=4)
    assert "none of 1 structures could be relaxed (element: 1)" in done.stderr


WRONG = {
    "--fmax -1": "--fmax -1 is no limit",
    "--steps -1": "--steps -1 is negative",
    "--pressure 5": "--pressure acts on free cells only",
    "--fix-elements Xy": "'Xy' is no element",
    "--fix-indices 3-1": "'3-1' is no number or range",
    "--sigma 2.5": "--sigma belongs to calculator lj, which is not chosen here",
    "--relaxer fir": "no relaxer 'fir'; did you mean 'fire'",
    "--fire.max-step 9": "max-step",
    "--scheduler Slurm:short": "as in slurm:short:20, not 'Slurm:short'",
}


@pytest.mark.parametrize("flags", WRONG)
def test_mistakes_do_nothing(folder: Path, flags: str) -> None:
    done = crystal("m0.cif", "--potential", "emt", "-o", "never", *flags.split(), cwd=folder, code=2)
    assert WRONG[flags] in done.stderr
    assert not (folder / "never").exists()


def test_single_points_and_forces_that_never_vanish(folder: Path) -> None:
    crystal("m0.cif", "--potential", "emt", "--steps", "0", "-o", "point", cwd=folder)
    row = table(folder / "point" / "relaxation.csv")["m0"]
    assert (row["converged"], row["reason"], row["steps"]) == ("false", "single-point", "0")
    done = crystal("m0.cif", "--potential", "emt", "--fmax", "0", "--steps", "5", "-o", "zero", cwd=folder)
    assert "--fmax 0 is never reached: every structure takes all 5 steps" in done.stderr
    crystal("m0.cif", "--potential", "emt", "--steps", "2", "-o", "few", cwd=folder, code=3)
    row = table(folder / "few" / "relaxation.csv")["m0"]
    assert (row["converged"], row["reason"], row["steps"]) == ("false", "steps", "2")


def test_the_same_command_again_and_other_ones(folder: Path) -> None:
    args = [*METALS, "-o", "whole"]
    assert "finished before; nothing to do" in crystal(*args, cwd=folder).stdout
    other = crystal(*args, "--fmax", "0.1", cwd=folder, code=2)
    assert "holds another run of relax (fmax differ); --overwrite replaces it" in other.stderr
    before = (folder / "whole" / "relaxed.extxyz").read_bytes()
    crystal("relax", "-c", "whole/config.toml", "-o", "again", cwd=folder)
    assert (folder / "again" / "relaxed.extxyz").read_bytes() == before
    crystal("--resume", "whole", "--fmax", "0.1", cwd=folder, code=2)
    crystal("m0.cif", "--potential", "emt", "-o", "again", "--overwrite", "--cif", cwd=folder)
    assert len(table(folder / "again" / "relaxation.csv")) == 1
    assert ase.io.read(folder / "again" / "cif" / "m0.cif").get_chemical_formula() == "Cu4"


def test_workers_change_nothing(folder: Path) -> None:
    crystal(*METALS, "-o", "two", "-j", "2", cwd=folder)
    for name in RESULTS:
        assert (folder / "two" / name).read_bytes() == (folder / "whole" / name).read_bytes()


def test_plan(folder: Path) -> None:
    done = crystal("m*.cif", "--potential", "lj", "--sigma", "2.5", "--dry-run", "--json", "-o", "d", cwd=folder)
    plan = json.loads(done.stdout)
    assert plan["potential_options"]["sigma"] == 2.5
    assert plan["files"] == 6
    assert not (folder / "d").exists()


def started(cwd: Path, output: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*CRYSTAL, *METALS, "-o", output], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for_shards(process: subprocess.Popen[str], path: Path, count: int) -> None:
    while process.poll() is None and len(list(path.glob("shards/*.json"))) < count:
        time.sleep(0.005)


def kill_sometimes(folder: Path, output: str, kills: int, seed: int) -> int:
    """Run to the end, killed at random moments on the way; returns how often. The results must be those of no kill."""
    chance, done = random.Random(seed), 0
    path = folder / output
    while done < kills:
        process = started(folder, output)
        if chance.random() < 0.3:  # while the folder is being made
            while process.poll() is None and not path.exists():
                time.sleep(0.001)
            time.sleep(chance.random() * 0.03)
        else:
            wait_for_shards(process, path, min(2, len(list(path.glob("shards/*.json")))) + (chance.random() < 0.5))
            time.sleep(chance.random() * 0.3)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            done += 1
        process.communicate()
        if (path / "relaxed.extxyz").exists():
            break
    crystal(*METALS, "-o", output, cwd=folder)
    for name in RESULTS:
        assert (path / name).read_bytes() == (folder / "whole" / name).read_bytes(), f"{name} after {done} kills"
    return done


def test_kills(folder: Path) -> None:
    assert kill_sometimes(folder, "killed", 4, seed=1) >= 1


@pytest.mark.slow
def test_fifty_kills(folder: Path) -> None:
    done, round_ = 0, 0
    while done < 50:
        done += kill_sometimes(folder, f"killed-{round_}", 5, seed=100 + round_)
        round_ += 1


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_signals_stop_resumable(folder: Path, name: str) -> None:
    output = f"stopped-{name}"
    process = started(folder, output)
    wait_for_shards(process, folder / output, 1)
    process.send_signal(getattr(signal, name))
    _, said = process.communicate(timeout=60)
    if process.returncode == 0:
        pytest.skip("was done before the signal came")
    assert process.returncode == 75, said
    assert f"stopped by {name}" in said
    assert json.loads((folder / output / "run.json").read_text())["exit_code"] == 75
    done = crystal("--resume", output, cwd=folder)
    assert "shards were finished before" in done.stdout
    for result in RESULTS:
        assert (folder / output / result).read_bytes() == (folder / "whole" / result).read_bytes()


def test_other_inputs_are_refused_on_resume(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "m0.cif").write_bytes((folder / "m0.cif").read_bytes())
    crystal("m0.cif", "--potential", "emt", "--steps", "1", "-o", "r", cwd=tmp_path, code=3)
    (tmp_path / "m0.cif").write_bytes((folder / "m1.cif").read_bytes())
    done = crystal("--resume", "r", cwd=tmp_path, code=2)
    said = "error: m0.cif: is not the file that this run was started with"
    assert done.stderr == f"{said}; --overwrite replaces what is there, another --output keeps it\n"


def test_a_file_is_mended_and_the_same_command_given_again(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "m.cif").write_text("data_m\n_cell_length_a 4\n")
    crystal("m.cif", "--potential", "emt", "--steps", "1", "-o", "r", cwd=tmp_path, code=4)
    (tmp_path / "m.cif").write_bytes((folder / "m1.cif").read_bytes())
    crystal("m.cif", "--potential", "emt", "--steps", "1", "-o", "r", cwd=tmp_path, code=3)
    assert (tmp_path / "r" / "relaxed.extxyz").exists()


@pytest.mark.parametrize("cell", ["none", "full"])
def test_the_way_of_every_structure(folder: Path, tmp_path: Path, cell: str) -> None:
    """Frames in order, energies as ASE finds them there, the last one that of relaxed.extxyz; the rest unchanged."""
    plain = ("relax", str(folder / "m0.cif"), str(folder / "m1.cif"), "--potential", "emt", "--cell", cell)
    crystal(*plain, "-o", "plain", cwd=tmp_path)
    crystal(*plain, "-o", "run", "--trajectory-every", "3", cwd=tmp_path)
    assert (tmp_path / "run" / "relaxed.extxyz").read_bytes() == (tmp_path / "plain" / "relaxed.extxyz").read_bytes()
    assert not (tmp_path / "plain" / "trajectories").exists()
    for name, relaxed in zip(("m0", "m1"), ase.io.read(tmp_path / "run" / "relaxed.extxyz", ":"), strict=True):
        frames = ase.io.read(tmp_path / "run" / "trajectories" / f"{name}.extxyz", ":")
        steps = [a.info["steps"] for a in frames]
        assert steps[:-1] == list(range(0, steps[-1], 3))
        assert steps[-1] == relaxed.info["steps"]
        assert [a.info["converged"] for a in frames] == [False] * (len(frames) - 1) + [True]
        assert np.array_equal(frames[-1].positions, relaxed.positions)
        for atoms in frames:
            again = atoms.copy()
            again.calc = EMT()
            assert again.get_potential_energy() == pytest.approx(atoms.get_potential_energy(), abs=1e-9)
            np.testing.assert_allclose(again.get_forces(), atoms.get_forces(), atol=1e-9)


def test_under_a_pressure_enthalpies_are_told(tmp_path: Path) -> None:
    ase.io.write(tmp_path / "cu.xyz", ase.build.bulk("Cu", a=3.59), format="extxyz")
    flags = ["--potential", "emt", "--cell", "isotropic", "--pressure", "20", "-o", "r", "--report"]
    crystal("cu.xyz", *flags, cwd=tmp_path)
    with (tmp_path / "r" / "relaxation.csv").open(encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    e, v = (float(row[f"{k}"]) - float(row[f"{k.replace(' ', '_start ', 1)}"]) for k in ("energy [eV]", "volume [Å³]"))
    gained = -(e + 20 / 160.21766208 * v)
    assert e > 0.0 > -gained
    shown = view.shown(json.loads((tmp_path / "r" / "report.json").read_text()))
    assert shown.table is not None
    assert dict(zip(shown.table.heads, shown.table.rows[0], strict=True))["ΔH (eV)"] == f"{-gained:.4f}"
    page = (tmp_path / "r" / "report.html").read_text(encoding="utf-8")
    assert "mean enthalpy gained" in page
    assert f"{number(1e3 * gained)} meV/atom" in page
