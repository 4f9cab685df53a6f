"""The user's first lines, verbatim, in sequence, in one folder."""

import os
import subprocess
import sys
from pathlib import Path

import ase.build
import ase.io

FEW = {"CRYSTAL_EPOCHS": "3"}
"""Not for the sake of the numbers."""


def crystal(line: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    bin_folder = str(Path(sys.executable).parent)
    env = os.environ | {"PATH": bin_folder + os.pathsep + os.environ["PATH"], "OMP_NUM_THREADS": "1"} | variables
    return subprocess.run(line, shell=True, cwd=folder, env=env, capture_output=True, text=True, timeout=120)


def test_first_lines(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    lines = []
    for k in range(20):
        a = 3.9 + 0.02 * k
        ase.io.write(tmp_path / "data" / f"cu-{k:02d}.cif", ase.build.bulk("Cu", "fcc", a=a))
        lines.append(f"cu-{k:02d},{(a - 4.1) ** 2:.6f}")
    (tmp_path / "data" / "id_prop.csv").write_text("\n".join(lines) + "\n")
    built = crystal("crystal build-graphs data/*.cif", tmp_path)
    assert built.returncode == 0, built.stderr
    assert (tmp_path / "graphs.h5").is_file()
    trained = crystal("crystal train --arch lcgcn --pool fcmax", tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert "MAE" in trained.stdout
    line = "crystal screen --ensemble 5 --threshold 2sigma"
    refused = crystal(line, tmp_path)
    assert refused.returncode == 2
    assert "candidates are those without one. Add them to the folder and build-graphs again" in refused.stderr
    for k in range(2):  # the cure that was named
        ase.io.write(tmp_path / "data" / f"new-{k}.cif", ase.build.bulk("Cu", "fcc", a=4.01 + 0.1 * k))
    assert crystal("crystal build-graphs data/*.cif --overwrite", tmp_path).returncode == 0
    screened = crystal(line, tmp_path, **FEW)
    assert screened.returncode == 0, screened.stderr
    rows = (tmp_path / "runs" / "latest" / "screening.csv").read_text().splitlines()[1:]
    assert sorted(row.split(",")[0] for row in rows) == ["new-0", "new-1"]
