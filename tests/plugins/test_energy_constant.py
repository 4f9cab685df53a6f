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


def test_after_a_few_large_steps_nothing_of_it_is_left(copper: Path, tmp_path: Path) -> None:
    cache, made = tmp_path / "c.h5", tmp_path / "run"
    said = ["--featurizer", "radius", "--cutoff", "4", "--targets", "energy,forces", "-o", str(cache)]
    assert run(["build-graphs", str(copper), *said]) == 0
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
