"""What a person sees of a relaxation: the plan, the table on a terminal, the lines at its end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crystalcli.contracts.workflow import Shown, Table
from crystalcli.relax.options import STRUCTURES, TABLE
from crystalcli.vocabulary.units import GPA

ROWS = 30
"""Structures in the table on a terminal, those that went wrong first; all are in relaxation.csv."""


def planned(found: Mapping[str, Any]) -> Shown:
    """The resolved plan."""

    def options(kind: str) -> str:
        return ", ".join(f"{k}={v}" for k, v in found[f"{kind}_options"].items()) or "no options"

    free = "" if found["cell"] == "none" else f", smax {found['smax']:g} GPa at {found['pressure']:g} GPa"
    goal = f"until fmax {found['fmax']:g} eV/Å{free}, at most {found['steps']} steps"
    lines = [f"{kind}: {found[kind]} ({options(kind)})" for kind in ("potential", "relaxer")]
    lines.append(f"cell: {found['cell']}; {goal}")
    lines.append(f"{found['files']} files, {found['batch_size']} structures at a time, on {found['device']}")
    return Shown(lines)


def headline(report: Mapping[str, Any]) -> str:
    """For lists of runs."""
    return f"{report['converged']} of {report['structures']} converged"


def shown(report: Mapping[str, Any]) -> Shown:
    """How it ended."""
    n, good, folder = report["structures"], report["converged"], Path(report["output"])
    rest = ", ".join(f"{k}: {v}" for k, v in report["reasons"].items() if k != "converged")
    lines = [f"… and {n - ROWS} more"] if n > ROWS else []
    lines.append(f"{good} of {n} converged" + (f" ({rest})" if rest else ""))
    if changed := report["symmetry_changed"]:
        lines.append(f"the space group changed in {changed} (tolerance {report['symprec']:g} Å)")
    if said := report.get("start"):
        lines += _starts(said)
    lines += [f"structures -> {folder / STRUCTURES}", f"table -> {folder / TABLE}"]
    return Shown(lines, _table(report["rows"], report.get("pressure", 0.0)))


def _starts(said: Mapping[str, Any]) -> list[str]:
    """What a model's beginnings were worth."""
    lines = [
        f"{said['began_at_the_guess']} of {said['structures']} began where the model says; "
        f"{said['guess_has_more_energy']} have more energy there, {said['without_guess']} have no guess"
    ]
    if said["mean_energy_drop"] is not None:
        lines.append(
            f"means at the model's places: energy {-said['mean_energy_drop']:+.4f} eV, largest force "
            f"{said['mean_fmax_guess']:.3g} eV/Å (files: {said['mean_fmax_given']:.3g})"
        )
    if said["mean_steps"] is not None:
        before, after = said["mean_steps_given"], said["mean_steps"]
        saved = f", {100 * (after / before - 1):+.0f} %" if before else ""
        lines.append(
            f"steps: {before:.1f} from the files, {after:.1f} with the model{saved} ({said['compared']} compared)"
        )
    return lines


def _table(rows: list[Mapping[str, Any]], pressure: float) -> Table:
    """Under a pressure (GPa) with enthalpies: they are what is minimised, and energies may rise."""
    free = any(r["smax"] is not None for r in rows)
    heads = [
        "structure",
        "",
        "steps",
        f"Δ{'H' if pressure else 'E'} (eV)",
        "fmax (eV/Å)",
        *(["smax (GPa)", "ΔV (%)"] if free else []),
    ]
    heads += ["moved (Å)", "space group"]
    shown = [_row(r, pressure, free=free) for r in sorted(rows, key=lambda r: r["converged"])[:ROWS]]
    return Table(heads, [r + [""] * (len(heads) - len(r)) for r in shown])


def _row(r: Mapping[str, Any], pressure: float, *, free: bool) -> list[str]:
    state = "converged" if r["converged"] else r["reason"]
    if r["energy"] is None or r["energy_start"] is None:
        return [r["id"], state, str(r["steps"])]
    work = pressure * GPA * (r["volume"] - r["volume_start"]) if pressure else 0.0
    cells = [f"{r['energy'] - r['energy_start'] + work:.4f}", _number(r["fmax"])]
    if free:
        change = 100.0 * (r["volume"] / r["volume_start"] - 1.0) if r["volume_start"] else None
        cells += [_number(r["smax"]), "" if change is None else f"{change:+.2f}"]
    groups = dict.fromkeys(g for g in (r["spacegroup_start"], r["spacegroup"]) if g)
    return [r["id"], state, str(r["steps"]), *cells, _number(r["displacement_max"]), " -> ".join(groups)]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
