"""The user's first lines, verbatim, in sequence, in one folder."""

import os
import subprocess
import sys
from pathlib import Path

import ase.build
import ase.io


def crystal(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    bin_folder = str(Path(sys.executable).parent)
    env = os.environ | {"PATH": bin_folder + os.pathsep + os.environ["PATH"], "OMP_NUM_THREADS": "1"}
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
