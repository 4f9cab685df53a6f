"""A campaign small enough for a test: alloys of EMT, two or three stages, a tiny ensemble."""

from collections.abc import Sequence
from pathlib import Path

import ase.build
import ase.io
import numpy as np
from ase import Atoms

TRAINING = """
[training]
ensemble = 2
epochs = 4
batch_size = 16

[training.cgcnn]
n_conv = 1
width = 8
"""
REFERENCES = """
[references]
Cu = -0.007
Pd = 0.0
"""
STAGES = """
[[stages]]
name = "volume"
cost = 5
potential = "emt"
cell = "isotropic"
hold_atoms = true
smax = 1.0
steps = 4

[[stages]]
name = "loose"
cost = 60
potential = "emt"
fmax = 0.3
steps = 5
batch_size = 4

[[stages]]
name = "tight"
cost = 540
potential = "emt"
cell = "full"
fmax = 0.05
smax = 0.5
steps = 60
batch_size = 4
"""


def alloys(n: int, seed: int = 0) -> list[Atoms]:
    """Decorated fcc and bcc cells of copper and palladium, shaken."""
    rng = np.random.default_rng(seed)
    made = []
    for k in range(n):
        cell = ase.build.bulk("Cu", "fcc", a=3.75, cubic=True) if k % 2 else ase.build.bulk("Cu", "bcc", a=3.0)
        atoms = cell.repeat((1, 1, 1 + k % 2)) if len(cell) == 4 else cell.repeat((2, 1, 1 + k % 3))
        atoms.symbols = ["Cu", "Pd", *rng.choice(["Cu", "Pd"], len(atoms) - 2)]
        atoms.set_cell(atoms.cell * rng.uniform(0.95, 1.08), scale_atoms=True)
        atoms.positions += rng.normal(0, 0.08, atoms.positions.shape)
        atoms.info["id"] = f"alloy {k}"
        made.append(atoms)
    return made


def write(
    folder: Path, n: int = 24, *, head: str = "train = 12", stages: str = STAGES, references: str = REFERENCES
) -> Path:
    """Candidates and plan in ``folder``; returns the plan."""
    candidates(folder / "candidates.extxyz", alloys(n))
    plan = folder / "plan.toml"
    text = f'candidates = "{folder / "candidates.extxyz"}"\n{head}\n{references}{TRAINING}{stages}'
    plan.write_text(text, encoding="utf-8")
    return plan


def candidates(path: Path, structures: Sequence[Atoms]) -> None:
    """Write structures with their ids."""
    ase.io.write(path, structures, columns=["symbols", "positions"])
