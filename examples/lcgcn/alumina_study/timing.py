"""How the time of a prediction grows with the number of atoms."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import torch

from crystalcli import load_model

REPEATS = {120: (2, 1, 1), 240: (2, 2, 1), 360: (3, 2, 1), 480: (4, 2, 1), 600: (5, 2, 1)}
"""Boxes made of the right-angled cell of 60 atoms."""
SHAKE = 0.06
"""Å, about the displacement at 300 K."""


def timed(run: Path, equilibrium: Path, count: int) -> dict[str, Any]:
    """Processor time of the prediction of ``count`` shaken boxes of every size, ms each, and R² of a line.

    The sizes take turns, so that what else the machine does falls on all of them; the middle of all times counts.
    """
    cell: Any = next(a for a in ase.io.iread(equilibrium) if a.info["name"] == "alpha")
    cell.calc = None
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        model = load_model(run)
        rng = np.random.default_rng(0)
        times: dict[int, list[float]] = {n: [] for n in REPEATS}
        for k in range(count + 1):
            for n, repeat in REPEATS.items():
                atoms = cell.repeat(repeat)
                atoms.positions += rng.normal(0.0, SHAKE, atoms.positions.shape)
                began = time.process_time()
                model.predict(atoms)
                if k:
                    times[n].append(1e3 * (time.process_time() - began))
    finally:
        torch.set_num_threads(before)
    middle = {n: float(np.median(t)) for n, t in times.items()}
    return {"ms": {str(n): t for n, t in middle.items()}, "r2": line_r2(list(middle), list(middle.values()))}


def line_r2(x: list[int], y: list[float]) -> float:
    """R² of the best straight line."""
    found = np.polyval(np.polyfit(x, y, 1), x)
    spread = np.square(np.subtract(y, np.mean(y))).sum()
    return float(1.0 - np.square(np.subtract(y, found)).sum() / spread)
