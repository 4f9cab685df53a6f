"""The studies of glasses: configurations that the program takes, data and errors that are what they say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import ase
import numpy as np
import pytest

from crystalcli.cli.main import run

FOLDER = Path(__file__).parents[2] / "examples" / "glass"


@pytest.fixture(scope="module")
def closed_world() -> ModuleType:
    spec = importlib.util.spec_from_file_location("closed_world", FOLDER / "closed_world.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.mark.parametrize(
    ("file", "potential", "boxes"), [("silicon", "sw", 5), ("alumina", "matsui", 1), ("closed-world", "emt", 135)]
)
def test_configurations_are_taken(file: str, potential: str, boxes: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["glass", "-c", str(FOLDER / f"{file}.toml"), "--potential", potential, "--dry-run"]) == 0
    assert f"{boxes} boxes" in capsys.readouterr().out


def test_crystals_of_the_closed_world(closed_world: ModuleType) -> None:
    found = dict(closed_world.crystals())
    assert len(found) == 6 + 15 * (3 + 5)
    assert found["AlAu-L1_2"].get_chemical_formula() == "Al3Au"
    assert found["AuAl-L1_2"].get_chemical_formula() == "AlAu3"
    assert found["NiCu-random-8"].get_chemical_formula() == "Cu8Ni24"
    length = 0.75 * 3.52 + 0.25 * 3.61
    assert found["NiCu-random-8"].cell.lengths() == pytest.approx([2 * length] * 3)


def test_errors_are_per_system_and_corrections_of_systems_that_were_not_fitted(closed_world: ModuleType) -> None:
    rng = np.random.default_rng(0)
    systems = np.repeat([f"s{k}" for k in range(10)], 9)
    truth = rng.normal(-3.0, 0.5, 90)
    model = (truth - 0.1) / 0.9
    said = closed_world.errors(model, truth, systems)
    assert said["mae"] == pytest.approx(1e3 * np.abs(model - truth).mean())
    assert said["mean"] == pytest.approx(1e3 * (model - truth).mean())
    assert said["mae_affine"] < 1e-8
    assert said["mae_by_system"]["s3"] == pytest.approx(1e3 * np.abs(model - truth)[27:36].mean())
    model = truth + np.where(systems == "s3", 0.05, 0.0)  # only this one is off, and it cannot correct itself
    assert closed_world.errors(model, truth, systems)["mae_affine"] > 4.0


def test_frames_have_labels_of_emt(closed_world: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closed_world, "METALS", ("Cu", "Ni"))
    monkeypatch.setattr(closed_world, "SHARES", (8,))
    made = list(closed_world.frames())
    kinds = {a.info["id"]: a.info["kind"] for a in made}
    assert {"relaxation", "relaxed", "strained"} == set(kinds.values())
    assert all(isinstance(a, ase.Atoms) and np.abs(a.get_forces()).max() < 30.0 for a in made)
    relaxed = [a for a in made if a.info["kind"] == "relaxed"]
    assert max(float(np.abs(a.get_forces()).max()) for a in relaxed) < 0.01
