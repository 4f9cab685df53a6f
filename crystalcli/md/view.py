"""What a person sees of molecular dynamics: the plan, and the numbers at the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from crystalcli.contracts.workflow import Shown
from crystalcli.md.options import LAST_GOOD

MANY = 12
"""More structures than this are summed up at the end, not listed."""


def planned(found: Mapping[str, Any]) -> Shown:
    """The resolved plan."""
    atoms, steps, dt = found["structures"], found["steps"], found["dt"]
    lines = [f"structures: {len(atoms)}, {sum(atoms.values())} atoms"]
    for name in ("potential", "sampler"):
        options = ", ".join(f"{k}={v}" for k, v in found[name]["options"].items())
        lines.append(f"{name}: {found[name]['name']}" + (f" ({options})" if options else ""))
    lines.append(f"temperature: {found['temperature']} (K@steps)")
    lines.append(f"steps: {steps} of {dt:g} fs, {steps * dt * 1e-3:g} ps")
    lines.append(f"frames: {found['frames']} a structure")
    return Shown([*lines, f"device: {found['device']}"])


def headline(report: Mapping[str, Any]) -> str:
    """For lists of runs."""
    n, stopped = len(report["structures"]), len(report["stopped"])
    return f"{n} structures, {report['steps']} steps" + (f", {stopped} stopped" if stopped else "")


def shown(report: Mapping[str, Any]) -> Shown:
    """How it ended."""
    lines = list(_averages(report["structures"]))
    drift = report["worst_drift_meV_per_atom_ps"]
    worst = "not measured, for the log has fewer than three rows" if drift is None else f"{drift:.2g} meV/atom/ps"
    lines.append(f"largest drift of the conserved energy: {worst}")
    stopped, failed = report["stopped"], report["failed"]
    warnings = []
    if stopped or failed:
        n = len(report["structures"])
        where = f"; see {LAST_GOOD} beside the trajectories in {report['output']}" if stopped else ""
        warnings.append(f"{n - len(stopped)} ok, {len(stopped)} stopped, {len(failed)} failed{where}")
    return Shown([*lines, f"trajectories -> {report['output']}"], warnings=warnings)


def _averages(structures: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, found in list(structures.items())[:MANY]:
        if "temperature_K" not in found:
            continue
        line = f"{name}: from {found['analysed_from_ps']:g} ps on T {found['temperature_K']:.1f}"
        line += f" ± {found['temperature_std_K']:.1f} K, E_pot {found['potential_eV_per_atom']:.5f} eV/atom"
        yield line + (f", P {found['pressure_GPa']:.3f} GPa" if "pressure_GPa" in found else "")
