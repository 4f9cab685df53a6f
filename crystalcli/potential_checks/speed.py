"""How long a call takes: energy, forces and, where there is one, stress of a structure, again and again."""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import dataclass

import ase
import numpy as np
import torch

from crystalcli.potential_checks.asking import Asking

ATOMS = 64
"""A periodic structure is repeated until it has so many."""
CALLS, ENOUGH = 5, 5.0
"""Calls after the first, at most; seconds after which there are no more of them."""


@dataclass(frozen=True)
class Speed:
    """Of one structure.

    Args:
        subject: its id. atoms: that were evaluated.
        wall, cpu: ms an atom, medians over calls. calls: so many.
        threads: of torch. device: where.
    """

    subject: str
    atoms: int
    wall: float
    cpu: float
    calls: int
    threads: int
    device: str


def measured(asking: Asking, name: str, atoms: ase.Atoms, rng: np.random.Generator) -> Speed:
    """Move the atoms by some hundredths of an Å from call to call, as dynamics does."""
    times = [1, 1, 1]
    while atoms.pbc.any() and len(atoms) * math.prod(times) < ATOMS:
        axis = int(np.where(atoms.pbc, atoms.cell.lengths() * times, np.inf).argmin())
        times[axis] *= 2
    big = atoms.repeat(times)
    stress = asking.gives_stress and bool(atoms.pbc.all())
    systems, spent = asking.systems([big]), []
    first = time.perf_counter()
    for k in range(CALLS + 1):
        step = torch.as_tensor(rng.normal(0.0, 0.01, (len(big), 3))).to(systems.positions)
        systems = systems.moved(positions=systems.positions + step)
        wall, cpu = time.perf_counter(), time.process_time()
        asking.potential.evaluate(systems, stress=stress).energy.sum().item()  # waits for a device
        spent.append((time.perf_counter() - wall, time.process_time() - cpu))
        if k and time.perf_counter() - first > ENOUGH:
            break
    after = spent[1:]  # the first looks for neighbors, and compiles
    walls, cpus = (1e3 * statistics.median(s[k] for s in after) / len(big) for k in (0, 1))
    return Speed(name, len(big), walls, cpus, len(after), torch.get_num_threads(), str(asking.potential.device))
