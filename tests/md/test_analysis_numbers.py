"""Numbers of the analysis of a run beside what its frames say."""

import csv
from pathlib import Path

import ase.build
import ase.io
import pytest

from crystalcli.md import report
from crystalcli.md.options import THERMO, TRAJECTORY, MdOptions
from crystalcli.md.records import COLUMNS


@pytest.fixture
def analysed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What is said of frames 1 fs apart, in files of ``tmp_path``; nothing is drawn."""
    for name in ("curves", "thermo"):
        monkeypatch.setattr(report.plots, name, lambda *_a, **_k: None)

    def say(images):
        for k, atoms in enumerate(images):
            atoms.info |= {"step": k, "time_fs": float(k)}
        ase.io.write(tmp_path / TRAJECTORY, images)
        rows = "".join(f"{k},{1e-3 * k},{'300,' * 6}1,{a.get_volume()}\n" for k, a in enumerate(images))
        (tmp_path / THERMO).write_text(",".join(COLUMNS) + "\n" + rows)
        options = MdOptions(structures=("x",), potential="emt", steps=len(images) - 1, dt=1.0, analysis_from=0.0)
        return report.write(tmp_path, "x", options, pytest.fail)

    return say


def test_a_breathing_cell_is_no_diffusion(analysed, tmp_path: Path) -> None:
    images = []
    for k in range(8):
        atoms = ase.build.bulk("Cu", "fcc", a=3.6, cubic=True)
        atoms.set_cell(atoms.cell * (1.0 + 0.01 * k), scale_atoms=True)
        images.append(atoms)
    analysed(images)
    with (tmp_path / "msd.csv").open() as file:
        moved = [float(row["Cu_A2"]) for row in csv.DictReader(file)]
    assert moved == pytest.approx([0.0] * 8, abs=1e-9)


def test_the_mean_bond_is_that_of_the_bonds(analysed) -> None:
    """And not that of the middles of the few bins that few bonds have."""
    images = [ase.Atoms("H2", [[0, 0, 0], [d, 0, 0]], cell=[9, 9, 9], pbc=True) for d in (0.6, 0.6, 0.8)]
    assert analysed(images)["mean_bond_A"]["H-H"] == pytest.approx(2.0 / 3.0, abs=1e-9)
