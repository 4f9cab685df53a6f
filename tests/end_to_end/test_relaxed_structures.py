"""The page on relaxed structures, line by line: slabs, a training, guesses, relaxations that begin there."""

import csv
from pathlib import Path

import ase.io
import numpy as np
import pytest
from in_process import crystal

MADE = ["slabs", "--elements", "Cu,Ag", "--potential", "emt", "-q"]


@pytest.mark.filterwarnings("ignore:elements of the")
def test_line_by_line(tmp_path: Path) -> None:
    def done(*words: str) -> str:
        said = crystal(list(words), tmp_path)
        assert said.returncode == 0, said.stderr
        return said.stdout

    done(*MADE, "--count", "24", "--adsorbates", "H,none", "-o", "slabs")
    done("build-graphs", "slabs/pairs.extxyz", "--targets", "relaxed_positions", "--fields", "fixed,tags", "-o", "s.h5")
    done("train", "s.h5", "--arch", "dogss", "--group", "group", "--epochs", "2", "-o", "runs/dogss", "-q")
    done(*MADE, "--count", "4", "--adsorbates", "H", "--seed", "3", "-o", "new")
    start = {a.info["id"]: a for a in ase.io.read(tmp_path / "new" / "pairs.extxyz", ":")}

    assert "mean distance" in done("predict", "runs/dogss", "new/pairs.extxyz", "-o", "guesses.extxyz")
    done("predict", "runs/dogss", "new/pairs.extxyz", "-o", "guesses.csv", "-q")
    for guess in ase.io.read(tmp_path / "guesses.extxyz", ":"):
        held = start[guess.info["id"]].constraints[0].index
        np.testing.assert_allclose(guess.positions[held], start[guess.info["id"]].positions[held], atol=1e-6)

    said = done(
        "relax", "new/pairs.extxyz", "--start", "runs/dogss", "--potential", "emt", "-o", "r", "--compare-starts"
    )
    assert f"({len(start)} compared)" in said
    rows = csv.DictReader((tmp_path / "r" / "relaxation.csv").read_text().splitlines())
    assert {r["id"] for r in rows} == set(start)
    done("relax", "new/pairs.extxyz", "--potential", "runs/dogss", "-o", "minima", "-q")
