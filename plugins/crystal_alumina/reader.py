"""The alumina format: one run a file, positions as small integers around the lattice sites.

Datasets: ``numbers`` (N), ``cell`` (3, 3) Å, ``reference_positions`` (N, 3) Å, ``displacement`` (n, N, 3) int16 in
1e-4 Å, ``energy`` (n) eV in total, ``temperature`` (n) K, ``pressure_bar`` (n), ``step`` (n) fs, ``force_index`` (m),
``force`` (m, N, 3) int16 in 1e-3 eV/Å.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ase
import h5py
import numpy as np
from numpy.typing import NDArray

from crystalcli.nouns import hdf5
from crystalcli.nouns.structures.entry import Entry
from crystalcli.vocabulary.errors import InputError
from crystalcli.vocabulary.quantities import Quantity
from crystalcli.vocabulary.units import BAR, KB

DISPLACEMENT_UNIT = 1e-4
"""Å per count."""
FORCE_UNIT = 1e-3
"""eV/Å per count."""
QUANTITIES = {
    "energy": Quantity("energy", "eV", extensive=True),
    "temperature": Quantity("temperature", "K"),
    "pressure_bar": Quantity("pressure_bar", "bar"),
    "pressure": Quantity("pressure", "eV/Å³"),
    "step": Quantity("step", "fs"),
    "forces": Quantity("forces", "eV/Å", "site"),
}
_NEEDED = ("numbers", "cell", "reference_positions", "displacement", "energy")
_PER_FRAME = ("energy", "temperature", "pressure_bar", "step")
_BLOCK = 256
_MOST = 100
"""Times the size of its file that all data may be; real runs of ten thousand frames are 1.3 times as large."""


def sniff(path: Path) -> bool:
    """Whether the file is HDF5 with the datasets of this format; a broken file is not."""
    try:
        with h5py.File(path, "r") as h:
            return all(name in h for name in _NEEDED)
    except OSError:
        return False


def read(path: Path) -> Iterator[Entry]:
    """Yield every configuration; labels ``energy``, ``temperature``, ``pressure_bar``, ``step``, ``forces`` if kept.

    ``pressure`` (eV/Å³) is what the potential alone exerts, as a model can learn it.

    Raises:
        InputError: shapes that do not fit each other or the file, or damage. UnsafeInput: data in another file.
    """
    try:
        with h5py.File(path, "r") as h:
            found = hdf5.datasets(h, path)
            hdf5.refuse_implausible(found, path, _MOST)
            _check_shapes(found, path)
            yield from _frames(found, path)
    except (OSError, KeyError, RuntimeError) as problem:
        raise InputError(f"damaged: {problem}", path=path, code="damaged") from problem


def write_example(path: Path) -> None:
    """Write three frames of four atoms, one of them with forces."""
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as h:
        h["numbers"], h["cell"] = np.array([13, 13, 8, 8]), np.diag([4.0, 5.0, 6.0])
        h["reference_positions"] = rng.uniform(0, 4, (4, 3))
        h["displacement"] = rng.integers(-500, 500, (3, 4, 3), dtype=np.int16)
        h["energy"], h["step"] = rng.normal(-40, 1, 3), np.arange(3) * 5.0
        h["force_index"], h["force"] = np.array([1]), rng.integers(-900, 900, (1, 4, 3), dtype=np.int16)


def _check_shapes(h: Mapping[str, h5py.Dataset], path: Path) -> None:
    """Whole or floating numbers, as many as there are frames and atoms."""
    n, atoms, forces = (tuple(h[k].shape or ())[:1] if k in h else () for k in ("energy", "numbers", "force_index"))
    wanted = {"numbers": atoms, "cell": (3, 3), "reference_positions": (*atoms, 3), "displacement": (*n, *atoms, 3)}
    wanted |= {k: n for k in _PER_FRAME if k in h}
    wanted |= {"force_index": forces, "force": (*forces, *atoms, 3)} if "force" in h else {}
    for name, shape in wanted.items():
        if h[name].shape != shape or h[name].dtype.kind not in "iuf":
            said = f"holds {h[name].dtype} of shape {h[name].shape}, not numbers of shape {shape}"
            raise InputError(f"dataset '{name}' {said}", path=path, code="damaged")


def _frames(h: Mapping[str, h5py.Dataset], path: Path) -> Iterator[Entry]:
    numbers, cell, sites = h["numbers"][()].astype(int), h["cell"][()], h["reference_positions"][()]
    per_frame: dict[str, NDArray[Any]] = {k: h[k][()].astype(np.float64) for k in _PER_FRAME if k in h}
    static = _of_potential(per_frame, len(numbers), cell)
    force_row = {int(k): row for row, k in enumerate(h["force_index"][()])} if "force" in h else {}
    for start in range(0, len(per_frame["energy"]), _BLOCK):
        block = h["displacement"][start : start + _BLOCK]
        for k, displacement in enumerate(block, start):
            positions = sites + DISPLACEMENT_UNIT * displacement
            atoms = ase.Atoms(numbers=numbers, positions=positions, cell=cell, pbc=True)
            labels: dict[str, Any] = {key: float(values[k]) for key, values in per_frame.items()}
            if static is not None:
                labels["pressure"] = float(static[k])
            if k in force_row:
                labels["forces"] = FORCE_UNIT * h["force"][force_row[k]]
            known = {key: QUANTITIES[key] for key in labels}
            yield Entry(f":{k}", atoms, f"{path}:{k}", labels, quantities=known)


def _of_potential(
    per_frame: dict[str, NDArray[Any]], n_atoms: int, cell: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """Pressure less that of the moving atoms, ``P − (N − 1) kT/V`` (their centre of mass rests), eV/Å³, (n,)."""
    if "pressure_bar" not in per_frame or "temperature" not in per_frame:
        return None
    kinetic = (n_atoms - 1) * KB * per_frame["temperature"] / abs(np.linalg.det(cell))
    found: NDArray[np.float64] = BAR * per_frame["pressure_bar"] - kinetic
    return found
