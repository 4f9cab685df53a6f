"""A table of rocksalts with energies, folds and others' predictions, and a benchmark of small networks on it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import ase
import ase.io
import numpy as np
from common import small_cache

LINE = ["--epochs", "1", "--threads", "1", "-j", "1", "--quiet", "-o", "run"]
SMALL = "cgcnn:n_conv=1,width=4,hidden=4"


def cif(atoms: ase.Atoms) -> str:
    """The structure as the text of a CIF file."""
    text = io.BytesIO()
    ase.io.write(text, atoms, format="cif")
    return text.getvalue().decode()


def write(path: Path, n: int = 42, folds: int = 3, blank: Sequence[int] = (), theirs: float = 0.25) -> list[list[str]]:
    """Write ``n`` rows: id, formula group by group in folds of unequal size, energy, a prediction that is off, CIF.

    Args:
        path: of the table.
        n: rows.
        folds: of the column ``part``; as numbers in ``number``.
        blank: rows in no fold.
        theirs: error of the published prediction in fold 0, eV; k + 1 times that in fold k, with the other sign
            in every second row.
    """
    atoms = small_cache.crystals(n)
    energy = small_cache.energies(atoms)
    rng = np.random.default_rng(5)
    rows = []
    for k, (a, e) in enumerate(zip(atoms, energy.tolist(), strict=True)):
        fold = int(rng.integers(0, folds + 1)) % folds  # fold 0 is about twice as large
        name = "" if k in blank else str(fold)
        off = theirs * (fold + 1) * (-1) ** k
        rows.append([f"salt-{k:02d}", f"{e:.6f}", name, f"p{name}" if name else "", f"{e + off:.6f}", cif(a)])
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "energy", "number", "part", "theirs", "cif"])
        writer.writerows(rows)
    return rows
