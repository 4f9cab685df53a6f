"""A folder of structures comes from anybody: no file there is imported or configures anything, whatever its name.

Every command runs once, as a program of its own, in a folder with dozens of such files at once.
"""

import os
import subprocess
import sys
from pathlib import Path

import ase.build
import ase.io
import pytest
from ase.calculators.emt import EMT
from matplotlib.image import imread

BIN = Path(sys.executable).parent
MODULES = """
struct random threading numpy ase typing socket h5py json torch types copy pickle signal tempfile logging re queue zlib
selectors multiprocessing pymatgen scipy matplotlib gemmi spglib typer rich pluggy safetensors pytest conftest tomli
sitecustomize usercustomize warnings crystalcli crystal_cgcnn crystal_calculators evil
"""
SETTINGS = {
    "matplotlibrc": "figure.facecolor: red\nsavefig.facecolor: red\nlines.linewidth: 30\n",
    "pytest.ini": "[pytest]\naddopts = -p evil\npythonpath = .\n",
    "pyproject.toml": '[tool.pytest.ini_options]\naddopts = "-p evil"\npythonpath = ["."]\n',
    "setup.cfg": "[tool:pytest]\naddopts = -p evil\n",
    "evil.pth": "import evil\n",
    "evil-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n",
    "evil-1.0.dist-info/entry_points.txt": "[crystal]\nevil = evil\n[pytest11]\nevil = evil\n",
    ".env": "CRYSTAL_PLUGINS=evil\n",
    "crystal/plugins/evil.py": "",
    ".config/crystal/plugins/evil.py": "",
}


def plant(folder: Path, modules: list[str]) -> None:
    """Files of a stranger: whatever runs leaves a mark."""
    for k, name in enumerate(modules):
        path = folder / name / "__init__.py" if k % 3 == 2 or name.startswith("crystal") else folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"open({str(folder / f'RUN-{name}')!r}, 'w').close()\nraise ImportError('of a stranger')\n")
    for name, text in SETTINGS.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text or f"open({str(folder / 'RUN-plugin')!r}, 'w').close()\n")


def run_there(folder: Path, *words: str, code: int = 0, **env: str) -> str:
    settings = {k: v for k, v in os.environ.items() if not k.startswith("CRYSTAL_")} | {"OMP_NUM_THREADS": "1"} | env
    program = [str(BIN / "crystal")] if words[0] != "-m" else [sys.executable]
    done = subprocess.run([*program, *words], cwd=folder, env=settings, capture_output=True, text=True, timeout=300)
    assert [p.name for p in folder.glob("RUN-*")] == [], words
    assert "of a stranger" not in done.stderr, words
    assert done.returncode == code, (words, done.stderr)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("strangers")
    images = []
    for k in range(40):
        atoms = ase.build.bulk(("Cu", "Ni", "Al", "Ag")[k % 4], cubic=True)
        atoms.rattle(0.05, seed=k)
        atoms.calc = EMT()
        atoms.info = {"id": f"s{k}", "formation_energy_per_atom": 0.01 * k}
        atoms.get_forces()
        images.append(atoms)
    ase.io.write(path / "a.extxyz", images)
    ase.io.write(path / "a.cif", images[0])
    (path / "plan.toml").write_text(PLAN)
    (path / "mine.py").write_text(MINE)
    plant(path, MODULES.split())
    return path


MINE = """
from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.records import Relaxer

@hookimpl
def crystal_parts():
    return [Relaxer(name="mine", summary="does nothing", build=lambda *a: None)]
"""
PLAN = """
candidates = ["a.extxyz"]
train = 12
[references]
Cu = -0.1
Ni = -0.1
Al = -0.1
Ag = -0.1
[training]
ensemble = 2
epochs = 1
[[stages]]
name = "command"
cost = 1
command = "cp {input} {output}"
[[stages]]
name = "emt"
cost = 10
potential = "emt"
fmax = 50.0
"""


def test_no_command_imports_from_it(folder: Path) -> None:
    small = ("--width", "8", "--n-conv", "1")
    lines = [
        ("build-graphs", "a.extxyz", "-o", "g.h5", "--targets", "formation_energy_per_atom", "-j", "2"),
        ("graphs", "info", "g.h5"),
        ("graphs", "verify", "g.h5"),
        ("graphs", "merge", "g.h5", "-o", "g2.h5"),
        ("train", "g.h5", "--epochs", "1", *small, "--no-compare", "--split", "random", "-o", "run"),
        ("predict", "run", "a.extxyz", "-o", "p.csv", "-j", "2"),
        ("label-sites", "a.cif", "-o", "sites.extxyz", "--label", "effective_coordination"),
        ("relax", "a.extxyz", "--potential", "emt", "--steps", "2", "--fmax", "0", "-j", "2", "-o", "relaxed"),
        ("md", "a.cif", "--potential", "emt", "--sampler", "nve", "--steps", "5", "-o", "md"),
        ("screen", "--campaign", "plan.toml", "-o", "campaign"),
        ("plugins", "list"),
        ("plugins", "check", "./mine.py"),
    ]
    said = {words[:2]: run_there(folder, *words) for words in lines[:-1]}
    known = run_there(folder, "calibrate", "run", "a.extxyz", "-o", "c.safetensors", code=2)
    assert "trained or validated the model" in known
    checked = run_there(folder, *lines[-1], code=2, TMPDIR=str(folder))  # pytest looks for settings above its files
    assert "RelaxerContract: FAILED" in checked
    assert "evil" not in said["plugins", "list"]
    assert "broken" not in said["plugins", "list"]
    corner = imread(folder / "run" / "learning-curve.png")[0, 0]
    assert corner[:3].tolist() == [1.0, 1.0, 1.0], "a matplotlibrc of the current folder has a say"


@pytest.mark.parametrize("way", ["-m", "PYTHONPATH"])
def test_python_itself_is_told_to_look_elsewhere(tmp_path: Path, way: str) -> None:
    """What Python has not imported by the time that the program begins is not taken from there, either."""
    plant(tmp_path, ["numpy", "torch", "ase", "socket", "random", "h5py", "evil", "multiprocessing", "scipy"])
    ase.io.write(tmp_path / "a.cif", ase.build.bulk("Cu"))
    words = ("build-graphs", "a.cif", "-o", "o.h5", "--targets", "none")
    empty = os.pathsep + str(tmp_path / "lib")  # as PYTHONPATH=$PYTHONPATH:/lib leaves it
    said = run_there(
        tmp_path, *(("-m", "crystalcli") if way == "-m" else ()), *words, PYTHONPATH=empty if way != "-m" else ""
    )
    assert "1 ok" in said
