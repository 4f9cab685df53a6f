"""The constant of a potential follows from training structures, whatever steps have left of it."""

from __future__ import annotations

import json
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from crystalcli import load_potential
from crystalcli.cli.main import run


@pytest.fixture(scope="module")
def copper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames of eight atoms, which differ by some ten meV/atom."""
    rng, frames = np.random.default_rng(0), []
    for _ in range(30):
        atoms = bulk("Cu", cubic=True) * (2, 1, 1)
        atoms.positions += rng.normal(0.0, 0.08, atoms.positions.shape)
        atoms.calc = EMT()
        atoms.get_forces()
        frames.append(atoms)
    path = tmp_path_factory.mktemp("copper") / "frames.extxyz"
    ase.io.write(path, frames)
    return path


def graphs(frames: Path, folder: Path) -> Path:
    cache = folder / "c.h5"
    said = ["--featurizer", "radius", "--cutoff", "4", "--targets", "energy,forces", "-o", str(cache)]
    assert run(["build-graphs", str(frames), *said]) == 0
    return cache


def test_a_constant_alone_is_no_potential(copper: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = graphs(copper, tmp_path)
    assert run(["train", str(cache), "--arch", "pair-moments", "--epochs", "0", "-o", str(tmp_path / "run")]) == 2
    assert "--epochs 0 trains nothing" in capsys.readouterr().err


def test_after_a_few_large_steps_nothing_of_it_is_left(copper: Path, tmp_path: Path) -> None:
    cache, made = graphs(copper, tmp_path), tmp_path / "run"
    words = ["--arch", "pair-moments", "--epochs", "2", "--lr", "0.03", "--threads", "1", "--no-compare"]
    assert run(["train", str(cache), *words, "--split", "random", "-o", str(made)]) == 0
    train = set(json.loads((made / "splits.json").read_text(encoding="utf-8"))["train"])
    potential = load_potential(made)
    errors = []
    for k, atoms in enumerate(ase.io.read(copper, ":")):
        if any(i.endswith(f"-{k + 1}") or i.endswith(f":{k}") for i in train):
            truth = atoms.get_potential_energy()
            atoms.calc = potential
            errors.append((atoms.get_potential_energy() - truth) / len(atoms))
    assert len(errors) == len(train)
    assert abs(np.median(errors)) < 1e-5 < np.abs(errors).max()
