"""Crystals of the elements, and volumes of measured crystals.

Elements: the lattice constants of :data:`ase.data.reference_states` (Ashcroft & Mermin; carbon is diamond), molecular
crystals below, and the molar volumes of :class:`pymatgen.core.Element` for the rest. All but C, O and F, which pymatgen
has as other phases, are within 8 % of those molar volumes (``tests/plugins/crystal_glass/test_packing.py``).

Compounds: values of handbooks at room temperature, as in R. W. G. Wyckoff, Crystal Structures, 2nd ed. (Wiley,
1963–68), but typed without the book. The same tests compare them with PBE crystals of the Materials Project in the same
space group, which are 0.5 to 6.5 % larger, and with densities of handbooks; MnO, V2O3, Cr2O3, Fe2O3 and Y2O3 are
compared with nothing.
"""

from __future__ import annotations

import math
import warnings
from functools import cache

import ase
from ase.build import bulk
from ase.data import atomic_numbers, reference_states

COMPOUNDS: dict[str, tuple[int, tuple[float, ...]]] = {
    "MgO": (4, (4.213,)), "CaO": (4, (4.811,)), "SrO": (4, (5.160,)), "BaO": (4, (5.523,)),
    "MnO": (4, (4.445,)), "CoO": (4, (4.260,)), "NiO": (4, (4.177,)), "Cu2O": (2, (4.270,)),
    "Li2O": (4, (4.619,)), "Na2O": (4, (5.55,)), "ZnO": (2, (3.250, 5.207, 120.0)),
    "CuO": (4, (4.684, 3.423, 5.129, 99.5)),
    "Al2O3": (6, (4.759, 12.991, 120.0)), "Ti2O3": (6, (5.158, 13.611, 120.0)), "V2O3": (6, (4.952, 14.003, 120.0)),
    "Cr2O3": (6, (4.961, 13.599, 120.0)), "Fe2O3": (6, (5.036, 13.749, 120.0)), "B2O3": (3, (4.336, 8.340, 120.0)),
    "SiO2": (3, (4.913, 5.405, 120.0)), "GeO2": (3, (4.987, 5.652, 120.0)),
    "TiO2": (2, (4.594, 2.959)), "SnO2": (2, (4.738, 3.187)),
    "ZrO2": (4, (5.151, 5.212, 5.317, 99.2)), "HfO2": (4, (5.117, 5.175, 5.291, 99.2)),
    "CeO2": (4, (5.411,)), "Y2O3": (16, (10.604,)), "In2O3": (16, (10.117,)), "La2O3": (1, (3.937, 6.129, 120.0)),
    "Ga2O3": (4, (12.23, 3.04, 5.80, 103.7)), "V2O5": (2, (11.519, 3.564, 4.373, 90.0)),
    "MoO3": (4, (3.963, 13.855, 3.696, 90.0)), "WO3": (8, (7.306, 7.540, 7.692, 90.9)),
    "AlN": (2, (3.111, 4.978, 120.0)), "GaN": (2, (3.189, 5.185, 120.0)), "BN": (2, (2.504, 6.661, 120.0)),
    "TiN": (4, (4.240,)), "ZrN": (4, (4.577,)), "Si3N4": (2, (7.608, 2.911, 120.0)),
    "SiC": (4, (4.359,)), "TiC": (4, (4.328,)), "WC": (1, (2.906, 2.837, 120.0)),
    "LiF": (4, (4.027,)), "NaF": (4, (4.632,)), "CaF2": (4, (5.463,)), "MgF2": (2, (4.621, 3.052)),
    "LiCl": (4, (5.130,)), "NaCl": (4, (5.640,)), "KCl": (4, (6.293,)),
    "ZnS": (4, (5.409,)), "GaAs": (4, (5.653,)),
}  # fmt: skip
"""Formula units in the cell and a (cubic), a c (tetragonal), a c 120 (hexagonal) or a b c β (others); Å, degrees."""
MOLECULAR = {
    "H": (4, (3.77, 6.16, 120.0)),
    "N": (8, (5.661,)),
    "O": (4, (5.403, 3.429, 5.086, 132.5)),
    "F": (8, (5.50, 3.28, 7.28, 102.2)),
    "Cl": (8, (6.24, 4.48, 8.26, 90.0)),
}
"""Atoms in the cell of the molecular crystals: H₂, α-N₂, α-O₂, α-F₂, Cl₂."""
MEASURED, DENSITY = "measured crystals", "molar volumes"


def cell_volume(lengths: tuple[float, ...]) -> float:
    """Å³ of a cell as :data:`COMPOUNDS` writes it."""
    if len(lengths) == 1:
        return lengths[0] ** 3
    if len(lengths) == 2:
        return lengths[0] ** 2 * lengths[1]
    if len(lengths) == 3:
        return lengths[0] ** 2 * lengths[1] * math.sin(math.radians(lengths[2]))
    return lengths[0] * lengths[1] * lengths[2] * math.sin(math.radians(lengths[3]))


@cache
def elemental(symbol: str) -> tuple[float, str] | None:
    """Volume per atom of the element's crystal, Å³, and where it is from; none where nobody has measured one."""
    if symbol in MOLECULAR:
        atoms, lengths = MOLECULAR[symbol]
        return cell_volume(lengths) / atoms, MEASURED
    crystal = crystal_of(symbol)
    return _molar(symbol) if crystal is None else (float(crystal.get_volume()) / len(crystal), MEASURED)


def crystal_of(symbol: str) -> ase.Atoms | None:
    """The element's crystal; none where ASE does not know where in the cell its atoms are."""
    state = reference_states[atomic_numbers[symbol]]
    if state is None or state["symmetry"] == "orthorhombic":  # of U and Np ASE makes cells of four atoms with one
        return None
    try:
        return bulk(symbol)
    except (ValueError, KeyError, NotImplementedError, RuntimeError, TypeError):
        return None


def _molar(symbol: str) -> tuple[float, str] | None:
    from pymatgen.core import Element

    from crystalcli.vocabulary.units import AVOGADRO

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of elements without one
        found = Element(symbol).molar_volume
    return None if not found else (float(found) * 1e24 / AVOGADRO, DENSITY)
