"""``crystal potential check``: calculators and models, tables, picture, JSON, exit codes, flags of the potential."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ase.build
import ase.io
import numpy as np
import pytest
from ase.calculators.emt import EMT
from in_process import crystal
from reference.some_potentials import model_of

from crystalcli.cli.command_line import first_argument
from crystalcli.engine.model import model_file
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.potential_checks import plots
from crystalcli.testing import crystals

TURNED = """
from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.records import Calculator

def build(options):
    from ase.calculators.calculator import Calculator as Ase
    from ase.calculators.morse import MorsePotential

    class Turned(Ase):
        implemented_properties = ["energy", "forces"]

        def calculate(self, atoms, properties, changes):
            super().calculate(atoms, properties, changes)
            inner = MorsePotential(epsilon=0.3, r0=2.8, rho0=4.0, rcut1=1.4, rcut2=1.8)
            inner.calculate(atoms, ["energy", "forces"], changes)
            self.results = {"energy": inner.results["energy"], "forces": 1.01 * inner.results["forces"]}

    return Turned()

@hookimpl
def crystal_parts():
    return [Calculator(name="turned", summary="no derivative", build=build, elements=frozenset({29}))]
"""


def told(words: list[str], folder: Path, code: int, **env: str) -> dict[str, Any]:
    done = crystal(["potential", "check", *words, "--json", "--quiet"], folder, env)
    assert done.returncode == code, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_sound_calculator(tmp_path: Path) -> None:
    done = crystal(["potential", "check", "lj", "--steps", "100", "-o", "curves.svg"], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    for words in ("potential lj", "rotation", "ms/atom", "checks passed, 0 failed, 0 not run", "1 pairs -> curves.svg"):
        assert words in done.stdout
    assert "Ar-Ar" in (tmp_path / "curves.svg").read_text()
    again = crystal(["potential", "check", "lj", "--only", "core", "-o", "curves.svg"], tmp_path)
    assert again.returncode == 2
    assert "--overwrite" in again.stderr
    assert crystal(["potential", "check", "lj", "--only", "core", "-o", "curves.txt"], tmp_path).returncode == 2


def test_flags_of_the_potential_wherever_they_stand(tmp_path: Path) -> None:
    only = ["--only", "pair-smooth"]
    for words in (["--no-smooth", "lj"], ["lj", "--no-smooth"], ["--lj.no-smooth", "--lj.sigma=3.4", "lj"]):
        found = told([*words, *only], tmp_path, 3)
        (jump,) = found["findings"]
        assert jump["status"] == "failed"
        assert jump["more"]["force_at"] == pytest.approx(10.2, abs=1e-6)
        assert found["options"]["smooth"] is False
    (tmp_path / "crystal.toml").write_text('[potential.check]\nonly = "core"\n[potential.check.lj]\nsigma = 3.0\n')
    found = told(["lj"], tmp_path, 0)
    assert found["checks"] == ["core"]
    assert found["options"]["sigma"] == 3.0
    assert found["findings"][0]["more"]["bond"] == pytest.approx(3.0 * 2 ** (1 / 6), abs=0.02)


def test_the_potential_of_a_file_of_settings_and_beside_short_flags(tmp_path: Path) -> None:
    (tmp_path / "crystal.toml").write_text('[potential.check]\npotential = "lj"\nonly = "core"\nsigma = 3.0\n')
    assert told([], tmp_path, 0)["options"]["sigma"] == 3.0
    (tmp_path / "crystal.toml").unlink()
    assert told(["-ocurves.svg", "lj", "--only", "core"], tmp_path, 0)["picture"] == "curves.svg"


@pytest.fixture
def _plugins_anew() -> Iterator[None]:
    registry.cache_clear()
    yield
    registry.cache_clear()


@pytest.mark.usefixtures("_plugins_anew")
def test_a_calculator_of_a_plugin_that_is_broken(tmp_path: Path) -> None:
    (tmp_path / "turned.py").write_text(TURNED)
    words = ["turned", "--only", "rotation,forces,stress"]
    found = told(words, tmp_path, 3, CRYSTAL_PLUGINS="turned.py")
    states = {f["check"]: f["status"] for f in found["findings"] if f["subject"] == "Cu fcc"}
    assert states == {"rotation": "passed", "forces": "failed", "stress": "not run"}
    assert (found["failed"], found["not_run"]) == (2, 2)
    done = crystal(["potential", "check", *words], tmp_path, {"CRYSTAL_PLUGINS": "turned.py"})
    assert "failed: forces: Cu fcc: forces are not the derivative of the energy" in done.stdout
    assert "not run: stress: Cu fcc: turned gives no stress" in done.stdout


SWITCHED = """
from dataclasses import dataclass

from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.options import option
from crystalcli.contracts.records import Calculator

@dataclass(frozen=True)
class Options:
    elements: bool = option(False, "a switch called like a flag of the command")

@hookimpl
def crystal_parts():
    return [Calculator(name="switched", summary="nothing", options=Options, build=lambda options: None)]
"""


@pytest.mark.usefixtures("_plugins_anew")
def test_a_switch_of_a_part_takes_no_value_from_a_flag_of_the_command(tmp_path: Path) -> None:
    (tmp_path / "switched.py").write_text(SWITCHED)
    found = told(["--elements", "Cu", "emt", "--only", "core"], tmp_path, 0, CRYSTAL_PLUGINS="switched.py")
    assert found["potential"] == "emt"


def test_a_model_on_given_structures(tmp_path: Path) -> None:
    model_file.save(tmp_path / "model.safetensors", model_of(), {})
    good, unknown = crystals.rattled(0), ase.build.bulk("Cu", cubic=True)
    good.info["id"], unknown.info["id"] = "good", "unknown"
    ase.io.write(tmp_path / "in.extxyz", [good, unknown])
    skip = ["--skip", "drift,core,pair-smooth,speed"]
    for dtype in ("float64", "float32"):
        found = told(["model.safetensors", "in.extxyz", *skip, "--dtype", dtype], tmp_path, 3)
        states: dict[str, set[str]] = {}
        for f in found["findings"]:
            states.setdefault(f["subject"].rpartition(":")[2], set()).add(f["status"])
        assert states == {"good": {"passed"}, "unknown": {"not run"}}, found["findings"]
    ase.io.write(tmp_path / "one.extxyz", good)
    assert told(["model.safetensors", "one.extxyz", *skip], tmp_path, 0)["failed"] == 0
    (tmp_path / "bad.cif").write_text("data_x\n")
    found = told(["model.safetensors", "one.extxyz", "bad.cif", "--only", "rotation"], tmp_path, 3)
    assert [f["check"] for f in found["findings"]] == ["read", "rotation"]


def labelled(seed: int) -> ase.Atoms:
    rng = np.random.default_rng(seed)
    atoms = ase.build.bulk("Cu", cubic=True, a=3.6 * (1 + 0.02 * rng.normal()))
    atoms.rattle(0.1, rng=rng)
    atoms.symbols[seed % 4] = "Au" if seed % 2 else "Cu"
    atoms.calc = EMT()
    atoms.get_stress()
    return atoms


def test_a_trained_model(tmp_path: Path) -> None:
    """Three epochs tell it nothing of cores, but what it has learned is a potential in either precision."""
    ase.io.write(tmp_path / "in.extxyz", [labelled(k) for k in range(24)])
    graphs = ["build-graphs", "in.extxyz", "--featurizer", "radius", "--cutoff", "4.5", "-o", "g.h5", "-j", "1"]
    train = ["train", "g.h5", "--arch", "pair-moments", "--split", "random", "--epochs", "3", "-o", "run"]
    for words in ([*graphs, "--targets", "energy,forces,stress"], train):
        done = crystal([*words, "--quiet"], tmp_path)
        assert done.returncode == 0, done.stderr
    for dtype in ("float64", "float32"):
        found = told(["run", "--skip", "speed,core", "--steps", "100", "--dtype", dtype], tmp_path, 0)
        assert found["passed"] == 2 * 12 + 3  # a rock salt and CsCl; three pairs
        model = (tmp_path / "run" / "model.safetensors").read_bytes()
        assert found["inputs"] == {"run/model.safetensors": hashlib.sha256(model).hexdigest()}
        assert (found["dtype"], found["steps"], found["temperature"], found["seed"]) == (dtype, 100, 300.0, 0)


def test_a_picture_says_how_many_pairs_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "MOST", 2)
    words = ["potential", "check", "emt", "--elements", "Cu,Au", "--only", "core", "-o", "curves.svg"]
    done = crystal(words, tmp_path)
    assert "picture of 2 of 3 pairs -> curves.svg" in done.stdout, done.stderr


def test_refusals(tmp_path: Path) -> None:
    for words, code, said in (
        (["emmt"], 2, "did you mean 'emt'"),
        (["emt", "--only", "force"], 2, "did you mean 'forces'"),
        (["emt", "--elements", "Xx"], 2, "no element 'Xx'"),
        (["emt", "none.cif"], 4, "none.cif: no such file"),
        (["emt", "--dtype", "float16"], 2, "float16"),
        ([], 2, "potential"),
    ):
        done = crystal(["potential", "check", *words], tmp_path)
        assert done.returncode == code, done.stderr
        assert said in done.stderr + done.stdout
        assert "Traceback" not in done.stderr
    ase.io.write(tmp_path / "Na.cif", ase.build.bulk("Na", cubic=True))
    done = crystal(["potential", "check", "emt", "Na.cif"], tmp_path)
    assert done.returncode == 4
    assert "emt does not know Na" in done.stderr


def test_the_first_argument_of_a_line() -> None:
    switches = {"--json", "-q", "smooth", "no-smooth"}
    for line, first in {
        "lj in.cif": "lj",
        "--json lj": "lj",
        "-q --seed 3 lj": "lj",
        "--seed=3 lj": "lj",
        "--lj.no-smooth lj": "lj",
        "--epsilon 0.2 -- lj": "lj",
        "-ocurves.png lj": "lj",
        "-o curves.png lj": "lj",
        "-qocurves.png lj": "lj",
        "-qo curves.png lj": "lj",
        "--some.quick 3 lj": "3",
        "--quick 3 lj": "lj",
        "--seed": None,
        "": None,
    }.items():
        assert first_argument(line.split(), switches | {"quick"}, {"--quick"}) == first, line
