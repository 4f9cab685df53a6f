"""What a person sees of packing and of glasses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crystal_glass import DOUBTS, LABEL, TABLE
from crystalcli.contracts.workflow import Shown

MANY = 12
"""More boxes than this are not listed one by one."""


def planned_boxes(found: Mapping[str, Any]) -> Shown:
    """The resolved plan of packing."""
    boxes = found["boxes"]
    return Shown([*_listed(boxes), f"{len(boxes)} boxes -> {found['output']}"])


def packed_boxes(report: Mapping[str, Any]) -> Shown:
    """How packing ended."""
    boxes = report["boxes"]
    nearest = min(b["nearest"] for b in boxes)
    lines = [*_listed(boxes), f"{len(boxes)} boxes; no two atoms nearer than {nearest:.2f} of their diameters"]
    return Shown(
        [*lines, f"boxes -> {report['output']}"], warnings=[f"{f['id']}: {f['reason']}" for f in report["failed"]]
    )


def planned(found: Mapping[str, Any]) -> Shown:
    """The resolved plan of glasses."""
    lines = _listed(found["boxes"])
    stages = ", ".join(f"{_kelvins(s)} K {s['steps']} × {s['dt']:g} fs" for s in found["stages"])
    rate = "" if found["rate"] is None else f"; quenched at {found['rate']:.4g} K/ps"
    lines.append(f"stages: {stages}{rate}")
    lines += _under(found["pressure"])
    lines.append(f"{len(found['boxes'])} boxes, {found['batch_size']} side by side, by {found['potential']}")
    return Shown(lines)


def shown(report: Mapping[str, Any]) -> Shown:
    """How melting and quenching ended."""
    lines = []
    for one in report["some"] if report["glasses"] <= MANY else ():
        words = [f"{one['density']:.3f} g/cm³"]
        if one["energy_relaxed"] is not None:
            words.insert(0, f"{one['energy_relaxed']:.4f} eV/atom")
        if one["formation_energy"] is not None:
            words.append(f"formation {one['formation_energy']:+.4f} eV/atom")
        if one["first_peak"] is not None:
            words.append(f"first peak {one['first_peak']:.2f} Å")
        words.append(f"coordination {one['coordination']:.2f}")
        if one["t_g"] is not None:
            words.append(f"T_g {one['t_g']:.0f} ± {one['t_g_error']:.0f} K")
        lines.append(f"{one['id']}: {', '.join(words)}")
    lines += _equations(report["equations_of_state"])
    lines += _compared(report["comparison"])
    if (alike := report["likeness"]) is not None:
        lines.append(f"beside {alike['boxes']} trajectories: error of g(r) {alike['rdf_error']:.1f} %")
    lines += [
        f"{report['voltage_of']}(x){host}: {v['mean']:.3f} V on average" for host, v in report["voltages"].items()
    ]
    lines += _under(report.get("relaxed_at", 0.0))
    rate = "" if report["rate"] is None else f", quenched at {report['rate']:.4g} K/ps"
    lines.append(f"{report['glasses']} glasses of {report['boxes']} boxes{rate}")
    if report["begun_again"]:
        lines.append(f"begun again: {report['begun_again']}, because of {_counted(report['reasons'])}")
    if report["to_label"]:
        lines.append(f"{report['to_label']} frames to be labelled -> {report['output']}/{LABEL}")
    warnings = [
        f"{what}: {', '.join(ids[:MANY])}{' …' if len(ids) > MANY else ''}"
        for key, what in DOUBTS.items()
        if (ids := report[key])
    ]
    lines.append(f"table -> {report['output']}/{TABLE}")
    return Shown(lines, warnings=warnings, errors=[f"{f['id']}: {f['reason']}" for f in report["failed"]])


def _under(pressure: float) -> list[str]:
    if not pressure:
        return []
    return [f"cells relaxed at {pressure:g} GPa, that of the last stage; energies are no enthalpies"]


def _compared(found: Mapping[str, Any] | None) -> list[str]:
    if found is None:
        return []
    every, line = found["all"], found["affine"].get("all")
    said = f"beside the references: MAE {1e3 * every['mae']:.1f} meV/atom, mean {1e3 * every['mean']:+.1f}, of "
    said += f"{every['boxes']} boxes"
    return [said + (f"; by a line, left out, {1e3 * line['mae_left_out']:.1f}" if line else "")]


def _equations(found: Mapping[str, Any]) -> list[str]:
    fits = {formula: one for formula, one in list(found.items())[:MANY] if one["fit"]}
    return [
        f"{formula}: {one['fit']['volume']:.2f} ± {one['fit']['error']:.2f} Å³/atom without pressure at "
        f"{one['temperature']:g} K, bulk modulus {one['fit']['bulk_modulus']:.0f} GPa"
        for formula, one in fits.items()
    ]


def _kelvins(stage: Mapping[str, Any]) -> str:
    start, end = stage["start"], stage["end"]
    return f"{start:g}" if start == end else f"{start:g} to {end:g}"


def _counted(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{code} ({n})" for code, n in reasons.items())


def _listed(boxes: list[Mapping[str, Any]]) -> list[str]:
    return [
        f"{b['id']}: {b['atoms']} atoms, {b['crystal_volume']:.3f} Å³ an atom in the crystal ({b['volume_source']})"
        for b in (boxes if len(boxes) <= MANY else [])
    ]
