"""Single-bond covalent radii: what two atoms must be apart, and what counts as a contact.

P. Pyykkö, M. Atsumi, Chem. Eur. J. 15, 186 (2009), doi:10.1002/chem.200800987.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_PICOMETRES = (
    32, 46, 133, 102, 85, 75, 71, 63, 64, 67, 155, 139, 126, 116, 111, 103,
    99, 96, 196, 171, 148, 136, 134, 122, 119, 116, 111, 110, 112, 118, 124, 121,
    121, 116, 114, 117, 210, 185, 163, 154, 147, 138, 128, 125, 125, 120, 128, 136,
    142, 140, 140, 136, 133, 131, 232, 196, 180, 163, 176, 174, 173, 172, 168, 169,
    168, 167, 166, 165, 164, 170, 162, 152, 146, 137, 131, 129, 122, 123, 124, 133,
    144, 144, 151, 145, 147, 142, 223, 201, 186, 175, 169, 170, 171, 172, 166, 166,
)  # fmt: skip
COVALENT: NDArray[np.float64] = np.array([np.nan, *_PICOMETRES, *([1.66 * 100.0] * 24)]) * 0.01
"""(121,) Å by atomic number, H to Cm; what is heavier has that of Cm."""


def contact(numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sum of the radii of every two atoms, (N, N) Å, of atomic numbers (N,)."""
    radii = COVALENT[numbers]
    found: NDArray[np.float64] = radii[:, None] + radii[None]
    return found
