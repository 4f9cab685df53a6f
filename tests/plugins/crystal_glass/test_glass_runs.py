"""Whole melts and quenches: the reference run of silicon, slower quenches, alloys, and runs that are killed."""

from __future__ import annotations

import csv
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from crystalcli.cli.main import run

DIAMOND = -2 * 2.1682
"""eV/atom of Stillinger–Weber silicon."""


def glasses(folder: Path, *words: str) -> list[dict[str, str]]:
    assert run(["glass", *words, "-o", str(folder), "--quiet", "--threads", "1"]) == 0
    with (folder / "glasses.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_the_reference_run_of_silicon(tmp_path: Path) -> None:
    """64 atoms in a cube of 11.1 Å: 2500 steps at 2000 K, 2500 down to 300 K, 2500 there; 2 fs, τ of 40 steps."""
    stages = ["--melt", "2000", "--melt-steps", "2500", "--quench-steps", "2500", "--hold-steps", "2500"]
    box = ["--atoms", "64", "--volume", repr(11.1**3 / 64), "--expand", "1"]
    rows = glasses(tmp_path / "run", "Si", "--potential", "sw", "--replicas", "2", *box, *stages, "--damping", "80")
    for row in rows:
        log = np.genfromtxt(tmp_path / "run" / "glasses" / row["id"] / "thermo.csv", delimiter=",", names=True)
        molten = (log["time_ps"] > 2.5) & (log["time_ps"] < 5.0)
        assert 2.3 < float(row["first_peak [Å]"]) < 2.5
        assert 4.0 <= float(row["coordination"]) <= 5.0
        assert DIAMOND + 0.05 < float(row["energy_relaxed [eV/atom]"]) < float(row["energy_mean [eV/atom]"])
        assert float(row["energy_mean [eV/atom]"]) < log["potential_eV"][molten].mean() / 64
        assert row["liquid"] == "True"
        assert row["crystalline"] == "False"
        # a mean of 500 steps of 189 degrees: its error is some 5 K; the ramp is followed within thermal noise
        assert log["temperature_K"][log["time_ps"] > 11.0].mean() == pytest.approx(300.0, abs=30.0)
        assert log["temperature_K"][molten].mean() == pytest.approx(2000.0, abs=150.0)
        ramp = (log["time_ps"] > 5.0) & (log["time_ps"] < 10.0)
        off = log["temperature_K"][ramp] / log["target_K"][ramp] - 1.0
        assert abs(off.mean()) < 0.12


@pytest.mark.slow
def test_slower_quenches_end_lower(tmp_path: Path) -> None:
    """Five boxes at 5400 K/ps and at a tenth of that."""
    means = []
    for rate in ("5400", "540"):
        rows = glasses(tmp_path / rate, "Si", "--atoms", "64", "--potential", "sw", "--replicas", "5", "--rate", rate)
        means.append(np.mean([float(r["energy_relaxed [eV/atom]"]) for r in rows]))
    assert means[1] < means[0] - 0.01


@pytest.mark.slow
def test_alloys_of_emt(tmp_path: Path) -> None:
    """Melted and quenched, an alloy of fcc metals is denser than its box, and above the crystals of its elements."""
    rows = glasses(tmp_path / "run", "--grid", "Cu,Au", "--step", "25", "--atoms", "60", "--potential", "emt")
    assert [r["id"] for r in rows] == ["Cu45Au15", "Cu30Au30", "Cu15Au45"]
    for row in rows:
        assert row["liquid"] == "True"
        assert row["converged"] == "True"
        assert 2.4 < float(row["first_peak [Å]"]) < 2.95
        assert 10.5 < float(row["coordination"]) < 14.5
        assert float(row["density [g/cm³]"]) > float(row["density_mean [g/cm³]"])
        assert -0.1 < float(row["formation_energy [eV/atom]"]) < float(row["formation_energy_md [eV/atom]"]) < 0.5
    assert (tmp_path / "run" / "energies-1.png").stat().st_size > 5000


@pytest.mark.slow
def test_killed_anywhere_it_ends_with_the_same_bytes(tmp_path: Path) -> None:
    """Ten kills at random times: every composition once, and every byte that of a run that nobody killed."""
    words = "glass --grid Cu,Ni,Al --step 25 --atoms 24 --potential emt --melt 2000 --melt-steps 600 --quench-steps 600"
    words += " --hold-steps 300 --batch-size 3 --relax-steps 200 --closest 0.8 --quiet --threads 1"
    command = [sys.executable, "-m", "crystalcli", *words.split()]
    whole = subprocess.run([*command, "-o", "whole"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert whole.returncode in (0, 3), whole.stderr
    chance, kills, code = random.Random(5), 0, -signal.SIGKILL
    while kills < 10:
        process = subprocess.Popen([*command, "-o", "torn"], cwd=tmp_path, stderr=subprocess.DEVNULL)
        try:
            code = process.wait(timeout=chance.uniform(2.5, 7.0))
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
    if kills == 10:
        code = subprocess.run([*command, "-o", "torn"], cwd=tmp_path, stderr=subprocess.DEVNULL, check=False).returncode
    assert code == whole.returncode
    assert kills >= 4
    files = {p.relative_to(tmp_path / "whole"): p for p in (tmp_path / "whole" / "glasses").rglob("*") if p.is_file()}
    again = {p.relative_to(tmp_path / "torn"): p for p in (tmp_path / "torn" / "glasses").rglob("*") if p.is_file()}
    assert files.keys() == again.keys()
    assert [str(k) for k, p in files.items() if p.read_bytes() != again[k].read_bytes()] == []
    assert (tmp_path / "whole" / "glasses.csv").read_bytes() == (tmp_path / "torn" / "glasses.csv").read_bytes()
    assert not (tmp_path / "torn" / "batches").exists()
    lines = (tmp_path / "torn" / "glasses.csv").read_text().splitlines()
    assert len(lines) == len({line.split(",")[0] for line in lines}) == 10
