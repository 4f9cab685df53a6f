"""``crystal md`` as a program: lines, exit codes, signals, resume."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import ase.build
import ase.io
import in_process
import pytest

CRYSTAL = [sys.executable, "-m", "crystalcli", "md"]
LJ = ["Ar.extxyz", "--potential", "lj", "--threads", "1"]


def md(*args: str, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = in_process.crystal(["md", *args], cwd)
    assert done.returncode == code, done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    if code:
        assert len([x for x in done.stderr.splitlines() if x.startswith("error: ")]) == (code not in (3, 7))
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("md")
    ase.io.write(path / "Ar.extxyz", ase.build.bulk("Ar", "fcc", a=5.3, cubic=True))
    return path


def test_the_plan_is_shown_and_nothing_written(folder: Path) -> None:
    line = [*LJ, "--sampler", "npt", "--pressure", "0.1", "--sigma", "3.3", "--temperature", "20:40", "--time", "0.1"]
    found = json.loads(md(*line, "--dry-run", "--json", "-o", "none", cwd=folder).stdout)
    assert found["steps"] == 100
    assert found["sampler"] == {
        "name": "npt",
        "options": {
            "pressure": 0.1,
            "mode": "isotropic",
            "damping": 100.0,
            "cell_damping": 1000.0,
            "chain": 3,
            "substeps": 1,
            "suzuki_yoshida": "1",
        },
    }
    assert found["potential"]["options"]["sigma"] == 3.3
    assert found["temperature"] == "20:40@100"
    assert not (folder / "none").exists()


def test_a_run_its_config_and_changes_on_resume(folder: Path) -> None:
    line = [*LJ, "--sampler", "nvt", "--damping", "50", "--temperature", "20@10,20:40@10", "--frame-every", "5"]
    same = [*line, "-o", "a", "--no-analysis"]
    done = md(*same, "--json", cwd=folder)
    assert json.loads(done.stdout)["steps"] == 20
    assert done.stderr.splitlines()[0].startswith("step 0/20  0.000 ps  T 20.0 K (target 20)  E_pot ")
    md("-c", "a/config.toml", "-o", "b", "--quiet", cwd=folder)
    assert (folder / "a" / "trajectory.extxyz").read_bytes() == (folder / "b" / "trajectory.extxyz").read_bytes()
    said = md("--resume", "a", "--dt", "2", "--steps", "30", "--temperature", "300", cwd=folder, code=2).stderr
    assert "--dt, --temperature cannot change a run that is under way" in said
    assert "finished before; nothing to do" in md("--resume", "a", cwd=folder).stdout
    assert "(dt differ); --overwrite replaces it" in md(*same, "--dt", "2", cwd=folder, code=2).stderr
    assert "finished before; nothing to do" in md(*same, cwd=folder).stdout
    longer = json.loads(md(*same, "--steps", "35", "--json", cwd=folder).stdout)
    assert longer["steps"] == json.loads((folder / "a" / "report.json").read_text())["steps"] == 35
    assert md(*same, "--overwrite", "--json", cwd=folder).stdout == done.stdout


def test_a_signal_stops_it_and_resume_goes_on(folder: Path) -> None:
    line = [*LJ, "--sampler", "langevin", "--temperature", "20", "--steps", "3000", "--frame-every", "10", "-o", "sig"]
    run = subprocess.Popen([*CRYSTAL, *line, "--no-analysis"], cwd=folder, stderr=subprocess.PIPE, text=True)
    while not list((folder / "sig").glob("state-*.json")):
        assert run.poll() is None
        time.sleep(0.05)
    os.kill(run.pid, signal.SIGTERM)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 75
    assert "stopped by SIGTERM" in said
    assert re.search(r"SIGTERM at step \d+ of 3000; the same command or --resume sig goes on", said)
    done = md("--resume", "sig", "--time-limit", "1s", cwd=folder, code=75)
    assert "the time limit" in done.stderr


def test_what_is_refused(folder: Path) -> None:
    assert "no potential 'lg'" in md("Ar.extxyz", "--potential", "lg", "--steps", "1", cwd=folder, code=2).stderr
    assert "no potential; give" in md("Ar.extxyz", "--steps", "1", cwd=folder, code=2).stderr
    assert "no structures" in md("--potential", "lj", "--steps", "1", cwd=folder, code=2).stderr
    assert (
        "last 50 steps, the run only 9" in md(*LJ, "--temperature", "3@50", "--steps", "9", cwd=folder, code=2).stderr
    )
    assert "negative" in md(*LJ, "--temperature=-5", "--steps", "1", cwd=folder, code=2).stderr
    assert "say the same" in md(*LJ, "--steps", "1", "--time", "1", cwd=folder, code=2).stderr
    assert "is not a run folder" in md("--resume", "nowhere", cwd=folder, code=2).stderr
    assert "belongs to sampler" in md(*LJ, "--steps", "1", "--friction", "1", cwd=folder, code=2).stderr


def test_an_explosion_is_a_numerical_failure(folder: Path) -> None:
    atoms = ase.Atoms("Ar2", [[0, 0, 0], [0, 0, 1.5]], cell=[12, 12, 12], pbc=True)  # far too near
    ase.io.write(folder / "dense.extxyz", atoms)
    line = ["dense.extxyz", "--potential", "lj", "--steps", "20", "--temperature", "50", "-o", "boom"]
    line += ["--chain", "5", "--substeps", "2", "--suzuki-yoshida", "3"]  # goes to the end of all numbers in ten steps
    done = md(*line, cwd=folder, code=7)
    assert "dense: stopped at step" in done.stderr
    assert "is not finite" in done.stderr
    assert (folder / "boom" / "last-good.extxyz").exists()
