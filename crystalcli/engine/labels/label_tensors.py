"""Labels that are a symmetric tensor per structure: order of components, sign and unit, as programs write stress."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crystalcli.vocabulary.errors import UsageError, did_you_mean
from crystalcli.vocabulary.units import GPA

UNIT = "eV/Å³"


@dataclass(frozen=True)
class Written:
    """How a stress is written: times ``factor`` it is in eV/Å³, tensile positive; ``order`` of six components."""

    factor: float
    order: tuple[int, ...] = (0, 1, 2, 3, 4, 5)


VASP = Written(-0.1 * GPA, (0, 1, 2, 4, 5, 3))
"""kbar, compression positive, in the order xx yy zz xy yz zx of the OUTCAR."""
CONVENTIONS = {
    "ase": Written(1.0),
    "eV/Å³": Written(1.0),
    "eV/A^3": Written(1.0),
    "-eV/Å³": Written(-1.0),
    "GPa": Written(GPA),
    "-GPa": Written(-GPA),
    "kbar": Written(0.1 * GPA),
    "-kbar": Written(-0.1 * GPA),
    "vasp": VASP,
}
"""What may follow ``stress:``. A minus says that compression is positive; six numbers are xx yy zz yz xz xy unless
``vasp``."""


def six(value: NDArray[np.float64], source: str, key: str) -> NDArray[np.float64]:
    """A tensor as six components; (6,) stays, (9,) and (3, 3) must be symmetric.

    Raises:
        UsageError: another shape, or not symmetric.
    """
    value = np.asarray(value, dtype=np.float64)
    if value.shape == (6,):
        return value
    if value.size != 9:
        raise UsageError(
            f"label '{key}' has shape {value.shape}, a tensor has 6 or 9 numbers", path=source, code="label"
        )
    full = value.reshape(3, 3)
    if np.isfinite(full).all() and np.abs(full - full.T).max() > 1e-3 * max(np.abs(full).max(), 1e-6):
        raise UsageError(f"label '{key}' is not symmetric", path=source, code="label")
    return np.array([full[0, 0], full[1, 1], full[2, 2], full[1, 2], full[0, 2], full[0, 1]])


def as_stress(values: NDArray[np.float64], unit: str) -> NDArray[np.float64]:
    """(S, 6) as written → (S, 6) eV/Å³, tensile positive, xx yy zz yz xz xy.

    Raises:
        UsageError: a convention that is not known.
    """
    if unit not in CONVENTIONS:
        raise UsageError(
            f"no convention '{unit}' for stress ({did_you_mean(unit, list(CONVENTIONS))}); "
            "a minus says that compression is positive, vasp is kbar with its sign and order",
            code="label",
        )
    written = CONVENTIONS[unit]
    return written.factor * values[:, list(written.order)] + 0.0  # no -0
