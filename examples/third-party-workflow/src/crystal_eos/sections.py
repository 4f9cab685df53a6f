"""What ``crystal report`` shows of equations of state: the fits as curves, their numbers as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from crystalcli.contracts.sections import Axis, Number, Numbers, Plot, ReportedRun, Section, Series
from crystalcli.contracts.workflow import Table
from crystalcli.vocabulary.units import GPA

REACH = np.linspace(0.9, 1.1, 81)
KEYS = ("volume", "energy", "bulk_modulus", "derivative")


def sections(run: ReportedRun) -> Sequence[Section]:
    """One, of all structures; none before the run is finished."""
    rows = run.report.get("structures", [])
    if not rows:
        return []
    curves = [Series(r["id"], (r["volume"] * REACH).tolist(), (1e3 * above(r)).tolist(), "line") for r in rows]
    y = Axis("energy above the minimum (meV/atom)")
    cells = [[r["id"], *(f"{r[k]:.4f}" for k in KEYS)] for r in rows]
    table = Table(["structure", "V₀ (Å³/atom)", "E₀ (eV/atom)", "B₀ (GPa)", "B₀′"], cells)
    cards = [Number(f"{r['bulk_modulus']:.1f} GPa", f"bulk modulus of {r['id']}") for r in rows[:6]]
    plot = Plot("Fitted curves", Axis("volume (Å³/atom)"), y, curves, wide=True)
    return [Section("Equations of state", [Numbers(cards), plot, table])]


def above(row: Mapping[str, float]) -> np.ndarray:
    """Energies above the minimum at :data:`REACH` times its volume, eV/atom (third order; Birch 1947)."""
    strain = REACH ** (-2 / 3) - 1
    factor = 9 / 16 * row["volume"] * row["bulk_modulus"] * GPA
    return factor * (strain**3 * row["derivative"] + strain**2 * (2 - 4 * strain))
