"""The page on relaxed structures, line by line: slabs, a training, guesses, relaxations that begin there; cells."""

import csv
from pathlib import Path

import ase.build
import ase.io
import numpy as np
import pytest
from ase import Atoms
from doc_pages import run
from in_process import crystal

PAGE = Path(__file__).parents[2] / "docs" / "dogss.md"
FEW = {"Cu,Ag,Au,Ni,Pd,Pt,Al": "Cu,Ag", "H,CO,none --count 6000": "H,none --count 24"}


def bulk_pairs(folder: Path) -> None:
    """Crystals before and after, by name: cells that shrink by what their silver says."""
    rng = np.random.default_rng(0)
    for name in ("starts", "relaxed"):
        (folder / name).mkdir()
    for k in range(16):
        atoms = ase.build.bulk("Cu", "fcc", a=4.1, cubic=True).repeat((1, 1, 1 + k % 3))
        atoms.symbols = [str(rng.choice(["Cu", "Ag"])) for _ in atoms]
        ends = Atoms(atoms.symbols, atoms.positions, cell=atoms.cell, pbc=True)
        ends.set_cell(atoms.cell * (0.9 + 0.09 * np.mean(atoms.numbers == 47)), scale_atoms=True)
        atoms.rattle(0.05, rng=rng)
        ase.io.write(folder / "starts" / f"alloy-{k:02d}.cif", atoms)
        ase.io.write(folder / "relaxed" / f"alloy-{k:02d}.cif", ends)


@pytest.mark.filterwarnings("ignore:elements of the")
def test_line_by_line(tmp_path: Path) -> None:
    made = ["slabs", "--elements", "Cu,Ag", "--potential", "emt", "-q", "--count", "4", "--adsorbates", "H"]
    assert crystal([*made, "--seed", "3", "-o", "made"], tmp_path).returncode == 0
    (tmp_path / "new").mkdir()
    for atoms in ase.io.read(tmp_path / "made" / "pairs.extxyz", ":"):
        ase.io.write(tmp_path / "new" / f"{atoms.info['id']}.vasp", atoms, format="vasp", direct=True)
    bulk_pairs(tmp_path)

    said = run(PAGE, tmp_path, shorter=FEW, here=True, CRYSTAL_EPOCHS="2")
    assert "mean distance" in said

    start = {path.stem: ase.io.read(path) for path in (tmp_path / "new").iterdir()}
    assert f"({len(start)} compared)" in said
    for guess in ase.io.read(tmp_path / "guesses.extxyz", ":"):
        held = start[guess.info["id"]].constraints[0].index
        np.testing.assert_allclose(guess.positions[held], start[guess.info["id"]].positions[held], atol=1e-6)
    tables = sorted(tmp_path.glob("runs/*-relax*/relaxation.csv"))
    assert len(tables) == 2
    for table in tables:
        assert {r["id"] for r in csv.DictReader(table.read_text().splitlines())} == set(start)
