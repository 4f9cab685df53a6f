"""A trajectory in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ase
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Frames:
    """A trajectory in memory, F frames of N atoms.

    Args:
        numbers: (N,). pbc: (3,). cells: (F, 3, 3) Å. positions: (F, N, 3) Å, not wrapped.
        energies: (F,) eV. temperatures: (F,) K. times: (F,) fs.
    """

    numbers: NDArray[np.int64]
    pbc: NDArray[np.bool_]
    cells: Array
    positions: Array
    energies: Array
    temperatures: Array
    times: Array

    @classmethod
    def of(cls, images: Sequence[ase.Atoms], times: Sequence[float] | None = None) -> Frames:
        """Join images of one structure; energy, temperature and time from their info where they have them."""
        first = images[0]

        def facts(key: str, calculated: str = "") -> Array:
            return np.array([_fact(a, key, calculated) for a in images])

        found = facts("time_fs") if times is None else np.asarray(times, dtype=np.float64)
        return cls(
            first.numbers,
            np.asarray(first.pbc),
            np.stack([a.cell.array for a in images]),
            np.stack([a.positions for a in images]),
            facts("energy", "energy"),
            facts("temperature"),
            found,
        )

    def __len__(self) -> int:
        return len(self.positions)


def _fact(atoms: ase.Atoms, key: str, calculated: str) -> float:
    if calculated and atoms.calc is not None and calculated in atoms.calc.results:
        return float(atoms.calc.results[calculated])
    return float(atoms.info.get(key, np.nan))
