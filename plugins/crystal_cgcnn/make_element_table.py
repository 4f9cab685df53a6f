"""Make ``elements92.txt``: the 92 one-hot features of the elements 1 … 100, from the element data of mendeleev.

The features are those of the table released with CGCNN (Xie & Grossman, PRL 120, 145301 (2018)): a bin of each of nine
properties. Run ``python plugins/crystal_cgcnn/make_element_table.py > plugins/crystal_cgcnn/elements92.txt``.
Each line is an element's symbol and the indices of its ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

ELEMENTS = range(1, 101)
EDGE = 1e-6
"""Values closer than this to a bin's edge count as on it."""

# Where the released table has other values than the element data. None: missing, the whole block is zero.
NO_ELECTRONEGATIVITY = ["He", "Ne", "Ar", "Kr", "Pm", "Eu", "Tb", "Yb", "Rn", "Am", "Cm", "Bk", "Cf", "Es", "Fm"]
OLDER_ELECTRONEGATIVITY = {
    "Tc": 2.1,
    "Lu": 1.0,
    "W": 1.7,
    "Pt": 2.2,
    "Au": 2.4,
    "Hg": 1.9,
    "Tl": 1.8,
    "Pb": 1.8,
    "Bi": 1.9,
    "U": 1.7,
    "Np": 1.3,
}
NO_AFFINITY = [
    "He",
    "Ne",
    "Mg",
    "Ar",
    "Mn",
    "Zn",
    "Kr",
    "Cd",
    "Pm",
    "Sm",
    "Gd",
    "Ho",
    "Er",
    "Hg",
    "Rn",
    "Th",
    "Pa",
    "U",
    "Np",
    "Pu",
    "Am",
    "Cm",
    "Bk",
    "Cf",
    "Es",
    "Fm",
]
OTHER_AFFINITY = {"Be": -2.4, "N": -1.4}
NO_VOLUME = ["Pm", "At", "Rn", "Fr", "Pu", "Bk", "Cf", "Es", "Fm"]
CONDENSED_VOLUME = {
    "H": 14.1,
    "He": 31.8,
    "N": 17.3,
    "O": 14.0,
    "F": 17.1,
    "Ne": 16.8,
    "Cl": 18.7,
    "Ar": 24.2,
    "Br": 23.5,
    "Kr": 32.2,
    "Xe": 42.9,
    "Np": 21.1,
}
"""cm³/mol of the condensed phase, for elements whose tabulated volume is that of the gas."""

LOWER_BIN_AT_EDGE = (1.20, 1.90)
"""Electronegativities on an edge that belong to the bin below: Gd; Si, Cu, Re, Hg, Bi."""


def group(element: Any) -> int:
    """IUPAC group, 0 for La … Yb and Ac … No, which have none; Lu is in group 3."""
    z = element.atomic_number
    if element.symbol == "Lu":
        return 3
    return 0 if 57 <= z <= 70 or 89 <= z <= 102 else int(element.group_id)


def bin_index(value: float, low: float, width: float) -> int:
    """Index of the half-open bin of ``value``; on an edge the upper bin."""
    return math.floor((value - low) / width + EDGE)


def electronegativity(element: Any) -> float | None:
    """Pauling scale, the older values of the released table."""
    if element.symbol in NO_ELECTRONEGATIVITY:
        return None
    return float(OLDER_ELECTRONEGATIVITY.get(element.symbol, element.en_pauling))


def valence_electrons(element: Any) -> int:
    """Electrons outside the noble-gas core, as counted by the released table (12 for Pd)."""
    g = group(element)
    if element.symbol in ("He", "Pd"):
        return {"He": 2, "Pd": 12}[element.symbol]
    if g == 0:
        return 2
    return g if g <= 12 else g - 10


def block(element: Any) -> int:
    """S 0, p 1, d 2, f 3; La and Ac are f, Lu is d, He is s."""
    special = {"La": "f", "Ac": "f", "Lu": "d", "He": "s"}
    return "spdf".index(special.get(element.symbol, element.block))


def volume(element: Any) -> float | None:
    """Atomic volume of the condensed phase, cm³/mol."""
    if element.symbol in NO_VOLUME:
        return None
    value = CONDENSED_VOLUME.get(element.symbol, element.atomic_volume)
    return None if value is None else float(value)


def ones(element: Any) -> Iterator[int]:
    """Yield the indices of the ones in an element's vector, block by block."""
    yield group(element)
    yield 19 + element.period - 1
    x = electronegativity(element)
    if x is not None:
        lower = any(abs(x - edge) < EDGE for edge in LOWER_BIN_AT_EDGE)
        yield 26 + bin_index(x - (2 * EDGE if lower else 0.0), 0.5, 0.35)
    yield 36 + bin_index(element.covalent_radius_pyykko, 25.0, 22.5)
    yield 46 + valence_electrons(element) - 1
    yield 58 + bin_index(math.log(element.ionenergies[1]), 1.3, 0.2)
    if element.symbol not in NO_AFFINITY:
        yield 68 + bin_index(OTHER_AFFINITY.get(element.symbol, element.electron_affinity), -3.0, 0.67)
    yield 78 + block(element)
    v = volume(element)
    if v is not None:
        yield 82 + bin_index(math.log(v), 1.5, 0.28)


def table() -> str:
    """Text of the table."""
    from mendeleev.mendeleev import element

    return "".join(f"{e.symbol} {' '.join(map(str, ones(e)))}\n" for e in map(element, ELEMENTS))


if __name__ == "__main__":
    import sys

    sys.stdout.write(table())
