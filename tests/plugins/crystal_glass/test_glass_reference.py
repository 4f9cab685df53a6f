"""Amorphous silicon by Stillinger–Weber: the reference run of the workflow's authors, and slower quenches."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from crystalcli.cli.main import run

DIAMOND = -2 * 2.1682
"""eV/atom."""
PLAN = """
[[stage]]
from = 2000
steps = 2500
[[stage]]
from = 2000
to = 300
steps = 2500
[[stage]]
from = 300
steps = 2500
"""


@pytest.mark.slow
def test_the_reference_run_of_silicon(tmp_path: Path) -> None:
    """64 atoms in 11.1 Å, 2 fs, τ 40 steps: order of a glass, an energy between crystal and liquid, the program's T."""
    (tmp_path / "plan.toml").write_text(PLAN)
    words = ["Si", "--potential", "sw", "--atoms", "64", "--replicas", "2", "--plan", str(tmp_path / "plan.toml")]
    words += [
        "--volume",
        repr(11.1**3 / 64),
        "--expand",
        "1",
        "--damping",
        "80",
        "--quiet",
        "-o",
        str(tmp_path / "run"),
    ]
    assert run(["glass", *words]) == 0
    for k in (1, 2):
        box = tmp_path / "run" / "glasses" / f"Si64-{k}"
        facts = json.loads((box / "glass.json").read_text())
        assert facts["box_volume"] == pytest.approx(11.1**3 / 64)
        assert 2.3 < facts["first_peak"] < 2.5
        assert 4.0 <= facts["coordination"] < 5.0
        assert facts["largest_cluster"] == 1.0
        assert facts["liquid"] is True
        assert facts["crystalline"] is False
        log = np.genfromtxt(box / "thermo.csv", delimiter=",", names=True)
        melt = (log["time_ps"] > 2.5) & (log["time_ps"] <= 5.0)
        liquid = log["potential_eV"][melt].mean() / 64
        assert DIAMOND + 0.1 < facts["energy_relaxed"] < facts["energy_mean"] < liquid
        ramp = (log["time_ps"] > 5.0) & (log["time_ps"] <= 10.0)
        cold = log["time_ps"] > 12.5
        # thermal noise √(2/189) of T, the same for about two times τ
        for part, picoseconds in ((melt, 2.5), (ramp, 5.0), (cold, 2.5)):
            off = (log["temperature_K"][part] / log["target_K"][part] - 1.0).mean()
            assert abs(off) < 4 * (2 / 189) ** 0.5 / (picoseconds / 0.16) ** 0.5
        wanted = np.interp(log["time_ps"], [0, 5, 10, 15], [2000, 2000, 300, 300])
        assert log["target_K"].tolist() == pytest.approx(wanted.tolist(), abs=1e-6)


@pytest.mark.slow
def test_a_slower_quench_has_a_lower_energy(tmp_path: Path) -> None:
    """Twenty times as slow, over five boxes each."""
    means = []
    for rate in ("5400", "270"):
        words = ["Si", "--potential", "sw", "--atoms", "64", "--replicas", "5", "--rate", rate, "--references", "none"]
        words += ["--melt-steps", "500", "--hold-steps", "500", "--no-keep-trajectories", "--quiet"]
        assert run(["glass", *words, "-o", str(tmp_path / rate)]) == 0
        with (tmp_path / rate / "glasses.csv").open() as file:
            found = [float(r["energy_relaxed [eV/atom]"]) for r in csv.DictReader(file)]
        assert len(found) == 5
        means.append(np.mean(found))
    assert DIAMOND < means[1] < means[0] - 0.01
