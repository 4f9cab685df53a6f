"""What a CONTCAR has behind the positions: velocities of the lattice and of the atoms, and where VASP would go on.

Format: https://www.vasp.at/wiki/index.php/POSCAR. A line that is blank, or says Cartesian, begins velocities in Å/fs;
any other mode means lattice vectors per time step, which the file does not tell. A blank line behind them begins the
numbers of VASP's predictor-corrector. Nothing here is needed to have a structure: what is broken is left out, and said.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from ase import units
from numpy.typing import NDArray

from crystalcli.nouns.structures.numbers import number_in

_OF_LATTICE = 8
"""Lines of the block of the lattice: its title, the state, three velocities and three vectors."""


@dataclass
class Behind:
    """What was found.

    Args:
        velocities: (N, 3) in ASE's unit, Å per Å·sqrt(amu/eV); none if there are none, or all are zero, as VASP writes
            them after anything but a run of molecular dynamics.
        warnings, left_out: as of an :class:`~crystalcli.nouns.structures.entry.Entry`.
    """

    velocities: NDArray[np.float64] | None = None
    warnings: tuple[str, ...] = ()
    left_out: dict[str, str] = field(default_factory=dict)


def after_positions(lines: list[str], first: int, n: int) -> Behind:
    """Read what follows the positions of ``n`` atoms from line ``first`` (from 1) on."""
    found = Behind()
    rest = lines[first - 1 :]
    while rest and not rest[-1].strip():
        rest = rest[:-1]
    if not rest:
        return found
    if rest[0].strip()[:1] in ("l", "L"):
        found.left_out["lattice velocities"] = "of the cell"
        rest = rest[_OF_LATTICE:]
    if not rest:
        return found
    mode, rows = rest[0].strip(), rest[1 : n + 1]
    if not mode and not _begins_with_number(rows):
        found.left_out["text behind the positions"] = f"from line {first} on"
        return found
    if mode and mode[0] not in "cCkKdD":
        found.left_out["text behind the positions"] = f"'{mode[:40]}'"
        return found
    _take(found, mode, rows, n)
    if any(line.strip() for line in rest[n + 1 :]):
        found.left_out["predictor-corrector block"] = "VASP's own, behind the velocities"
    return found


def _begins_with_number(rows: list[str]) -> bool:
    words = rows[0].split() if rows else []
    return bool(words) and (number_in(words[0]) is not None or not words[0].strip("*-"))


def _take(found: Behind, mode: str, rows: list[str], n: int) -> None:
    values = _velocities(rows, n)
    if values is None:
        found.warnings = (f"velocities are left out: {n} rows of three numbers are needed",)
    elif not values.any():
        return
    elif mode[:1] in ("d", "D"):
        found.warnings = ("velocities are left out: in lattice vectors per time step, which the file does not say",)
    else:
        found.velocities = values / units.fs


def _velocities(rows: list[str], n: int) -> NDArray[np.float64] | None:
    numbers = [[number_in(w) for w in row.split()[:3]] for row in rows]
    if len(numbers) != n or any(len(row) != 3 or None in row for row in numbers):
        return None
    values = np.array(numbers, dtype=np.float64)
    return values if np.isfinite(values).all() else None
