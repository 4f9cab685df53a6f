"""Voltage of a glass A_xB that takes up A, from formation energies of glasses.

Between two compositions the mean voltage against the metal A, whose ions have the charge z, is (M. K. Aydinol et al.,
PRB 56, 1354 (1997), with energies in place of Gibbs energies)::

    V = −[E(A_x2 B) − E(A_x1 B) − (x2 − x1) E(A)] / (z (x2 − x1))

With energies of formation from crystals, g(x) per atom of B, it is −Δg/(z Δx). Compositions are stable among the
glasses where they lie on the lower hull of all of them and the metal; between two of these the voltage is constant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from crystalcli.nouns.hulls import lower_hull
from crystalcli.vocabulary.errors import UsageError

CHARGES = {"Li": 1, "Na": 1, "K": 1, "Rb": 1, "Cs": 1, "Mg": 2, "Ca": 2, "Zn": 2, "Al": 3}
"""Of the ions that batteries move."""


@dataclass(frozen=True)
class Plateau:
    """Between ``start`` and ``end`` atoms of A for one of B: volts."""

    start: float
    end: float
    volts: float


def charge_of(symbol: str) -> int:
    """Charge of the ion.

    Raises:
        UsageError: nobody moves it through a battery.
    """
    if symbol not in CHARGES:
        raise UsageError(f"--voltage {symbol}: no ion of a battery; one of {', '.join(CHARGES)}")
    return CHARGES[symbol]


def curves(rows: Sequence[Mapping[str, Any]], ion: str) -> dict[str, list[Plateau]]:
    """The voltage of every binary of ``ion`` that has glasses at two compositions or more, by the other element."""
    charge = charge_of(ion)
    energies: dict[str, dict[float, list[float]]] = {}
    hosts = sorted({s for r in rows for s in r["counts"] if s != ion and ion in r["counts"]})
    for row in rows:
        counts, energy = row["counts"], row.get("formation_energy")
        for host in hosts:
            if energy is not None and host in counts and set(counts) <= {ion, host}:
                share = counts.get(ion, 0) / row["atoms"]
                energies.setdefault(host, {}).setdefault(share, []).append(energy)
    found = {}
    for host, by_share in energies.items():
        points = [(share, float(np.mean(values))) for share, values in sorted(by_share.items())]
        if plateaus := plateaus_of(points, charge):
            found[host] = plateaus
    return found


def plateaus_of(points: Sequence[tuple[float, float]], charge: int) -> list[Plateau]:
    """Plateaus between the stable compositions.

    Args:
        points: share of A (less than 1) and formation energy, eV/atom, in order of the share.
        charge: of the ion.
    """
    hull = lower_hull([*points, (1.0, 0.0)])[:-1]  # the last is the metal, which no amount of A reaches
    made = []
    for (a, e), (b, f) in pairwise(hull):
        start, end = a / (1.0 - a), b / (1.0 - b)
        made.append(Plateau(start, end, -(f / (1.0 - b) - e / (1.0 - a)) / (charge * (end - start))))
    return made
