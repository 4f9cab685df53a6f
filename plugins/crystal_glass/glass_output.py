"""What is written of a glass, and of all of them: a folder for each box, a table, diagrams of energies."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import ase
import ase.io
import numpy as np

from crystal_glass import GLASSES, LABEL
from crystal_glass.analysis import CRYSTAL, LIQUID, described, displacement
from crystal_glass.boxes import frame
from crystal_glass.equilibrium import pressures_at
from crystal_glass.melting import LAST, TRAJECTORY, Melted, log_of
from crystal_glass.options import GlassOptions
from crystal_glass.pictures import draw_equation, draw_log, draw_ramp, draw_rdf
from crystal_glass.settling import formation_energy
from crystal_glass.stages import Stage, quench_rate
from crystal_glass.transition import said_of
from crystalcli.contracts.workflow import Run
from crystalcli.vocabulary.pictures import formats
from crystalcli.vocabulary.tables import csv_text
from crystalcli.vocabulary.units import ATOMIC_MASS, GPA

Relaxed = tuple[ase.Atoms, Mapping[str, Any]] | None
GRAMS = ATOMIC_MASS * 1e27
"""g/cm³ of one amu per Å³."""
FACTS = "glass.json"
COLUMNS = {
    "id": "", "formula": "", "asked": "", "replica": "", "atoms": "", "status": "", "reason": "", "begun_again": "",
    "rate": "K/ps", "t_g": "K",
    "t_g_error": "K", "crystal_volume": "Å³/atom", "volume_source": "", "box_volume": "Å³/atom",
    "temperature": "K", "energy_md": "eV/atom",
    "energy_mean": "eV/atom", "pressure_mean": "GPa", "density_mean": "g/cm³", "energy_ions": "eV/atom",
    "pressure_ions": "GPa", "energy_relaxed": "eV/atom", "converged": "", "formation_energy": "eV/atom",
    "formation_energy_md": "eV/atom", "volume": "Å³/atom", "density": "g/cm³", "first_peak": "Å", "coordination": "",
    "melt_moved": "Å", "liquid": "", "q6": "", "crystalline": "", "largest_cluster": "",
    "to_label": "",
}  # fmt: skip
"""Columns of glasses.csv and their units; energies are in the potential's zero.

``…_md`` are of the last step before the relaxation, ``…_mean`` and the temperature means over the last steps.
"""
FIXED = 1e-9
"""A volume that changes by less than this part of it is that of a fixed cell."""


def write_box(
    run: Run,
    o: GlassOptions,
    melted: Melted,
    settled: tuple[Relaxed, Relaxed],
    references: Mapping[str, float | None],
) -> dict[str, Any]:
    """Write the folder of a box, what is known of it last; returns that.

    Args:
        run: its folder takes it.
        o: of the run.
        melted: the box after the quench.
        settled: its relaxed ions, and its relaxed cell; none where there is none.
        references: energies of the elements' atoms, eV.
    """
    box = melted.box
    facts: dict[str, Any] = {
        **box.told(),
        "counts": box.counts,
        "equation_of_state": box.equation,
        "status": "ok" if melted.done else "failed",
        "begun_again": len(melted.failures),
        "failures": [asdict(f) for f in melted.failures],
        **dict.fromkeys(k for k in COLUMNS if k not in {*box.told(), "status", "begun_again", "reason"}),
        "reason": "" if melted.done else melted.failures[-1].reason,
    }
    name = f"{GLASSES}/{box.name}"
    shutil.rmtree(run.path / name, ignore_errors=True)  # what a program that was killed here has left of it
    if o.label_above:
        facts["to_label"] = len(melted.uncertain)
        run.write(f"{name}/{LABEL}", "".join(melted.uncertain))
    if o.draw_boxes and box.equation is not None and box.equation["points"]:
        curve = partial(pressures_at, points=box.equation["points"])
        drawn = draw_equation(box.equation, curve, f"{box.name}, {o.potential}", formats(o.pictures))
        write_pictures(run, f"{name}/volumes", drawn)
    if melted.done:
        run.write(f"{name}/start.extxyz", frame(box.packed(o, melted.attempt), box.told()))
        facts |= _molten(run, name, o, melted, references)
        facts |= _settled(run, name, melted, settled, references)
    run.write(f"{name}/{FACTS}", json.dumps(_plain(facts), indent=1, sort_keys=True) + "\n")
    return facts


def last_steps(o: GlassOptions, stages: Sequence[Stage]) -> int:
    """Steps that means are over: what is asked for, and never of more than the last stage."""
    return min(o.last_steps, stages[-1].steps)


def _molten(
    run: Run, name: str, o: GlassOptions, melted: Melted, references: Mapping[str, float | None]
) -> dict[str, Any]:
    """Files and facts of the molecular dynamics."""
    box, n = melted.box, melted.box.atoms
    last = ase.io.read(melted.folders[-1] / LAST, format="extxyz")
    energy = float(last.get_potential_energy())
    run.write(f"{name}/quenched.extxyz", (melted.folders[-1] / LAST).read_text(encoding="utf-8"))
    rows = log_of(melted)
    head = "step,time_ps,target_K,temperature_K,potential_eV,kinetic_eV,total_eV,conserved_eV,pressure_GPa,volume_A3"
    lines = (",".join("" if np.isnan(v) else repr(v) for v in row[1:]) for row in rows.tolist())
    run.write(f"{name}/thermo.csv", head.removeprefix("step,") + "\n" + "\n".join(lines) + "\n")
    texts = [(f / TRAJECTORY).read_text(encoding="utf-8") for f in melted.folders]
    blocks = _blocks(texts, n, [(leg.steps, leg.stages[0].dt) for leg in melted.legs])
    if o.keep_trajectories:
        run.write(f"{name}/trajectory.extxyz", "".join(text for _, text in blocks))
    total, heat = sum(s.steps for s in melted.stages), sum(s.steps for s in melted.stages if s.melt)
    taken = last_steps(o, melted.stages)
    images = [_image(text) for step, text in blocks if step > total - taken] or [last]
    molten = [_image(text) for step, text in blocks if 0.5 * heat <= step <= heat]
    said, curves = described(images)
    _write_curves(run, name, curves)
    end = rows[rows[:, 1] > rows[-1, 1] - taken * melted.stages[-1].dt * 1e-3 - 1e-9]
    volume = float(last.get_volume())
    if np.ptp(end[:, 9]) > FIXED * volume:  # of one step it would be a fluctuation
        volume = float(end[:, 9].mean())
    moved = None
    if len(molten) > 1:
        moved = displacement(np.stack([a.positions for a in molten]), np.stack([a.cell.array for a in molten]))
    endings = formats(o.pictures)
    transition, ramp = said_of(rows, melted.held, n)
    if ramp is not None:
        heads = ["temperature_K", "enthalpy_eV_per_atom", "volume_A3_per_atom"]
        volumes = [None] * len(ramp.kelvin) if ramp.volume is None else ramp.volume.tolist()
        bins = zip(ramp.kelvin.tolist(), ramp.enthalpy.tolist(), volumes, strict=True)
        run.write(f"{name}/ramp.csv", csv_text(heads, bins))
    if o.draw_boxes:
        if ramp is not None:
            write_pictures(run, f"{name}/ramp", draw_ramp(ramp, transition, f"{box.name}, {o.potential}", endings))
        write_pictures(run, f"{name}/log", draw_log(rows, melted, curves["rdf"], o.potential, endings))
        write_pictures(run, f"{name}/rdf", draw_rdf(curves["rdf"], box.name, o.potential, endings))
    return {
        **said,
        "rate": quench_rate(melted.stages),
        "transition": transition,
        "t_g": transition.get("enthalpy", {}).get("kelvin"),
        "t_g_error": transition.get("enthalpy", {}).get("error"),
        "temperature": float(end[:, 3].mean()),
        "energy_md": energy / n,
        "energy_mean": float(end[:, 4].mean()) / n,
        "pressure_mean": float(end[:, 8].mean()) if np.isfinite(end[:, 8]).all() else None,
        "density_mean": GRAMS * float(last.get_masses().sum() / volume),
        "formation_energy_md": formation_energy(energy, box.counts, references),
        "melt_moved": moved,
        "liquid": None if moved is None else moved > LIQUID,
        "crystalline": said["q6"] is not None and said["q6"] > CRYSTAL,
        "volume": volume / n,
        "density": GRAMS * float(last.get_masses().sum() / volume),
    }


def _settled(
    run: Run,
    name: str,
    melted: Melted,
    settled: tuple[Relaxed, Relaxed],
    references: Mapping[str, float | None],
) -> dict[str, Any]:
    """Files and facts of the relaxation; the cell's where it is relaxed, else the ions'."""
    ions, cells = settled
    best, n = cells or ions, melted.box.atoms
    if best is None:
        return {}
    found: dict[str, Any] = {}
    if ions is not None:
        found["energy_ions"] = float(ions[0].get_potential_energy()) / n
        stress = ions[0].calc.results.get("stress")
        found["pressure_ions"] = None if stress is None else -float(np.asarray(stress)[:3].mean()) / GPA
    atoms, row = best
    atoms.info = {"id": melted.box.name, "converged": bool(row["converged"])}
    text = io.StringIO()
    ase.io.write(text, atoms, format="extxyz")
    run.write(f"{name}/glass.extxyz", text.getvalue())
    energy = float(atoms.get_potential_energy())
    return {
        **found,
        "energy_relaxed": energy / n,
        "converged": bool(row["converged"]),
        "formation_energy": formation_energy(energy, melted.box.counts, references),
        "volume": float(atoms.get_volume()) / n,
        "density": GRAMS * float(atoms.get_masses().sum() / atoms.get_volume()),
    }


def _write_curves(run: Run, name: str, curves: Mapping[str, Any]) -> None:
    """g(r), coordination, angles, S(q) and rings as tables."""
    rdf = curves["rdf"]
    columns = {"r_A": rdf.r, "total": rdf.total, **{"-".join(p): g for p, g in rdf.partial.items()}}
    run.write(f"{name}/rdf.csv", csv_text(list(columns), zip(*(c.tolist() for c in columns.values()), strict=True)))
    rows = (
        (c.centre, c.neighbor, float(c.cutoff), float(c.mean), k, share)
        for c in curves["coordination"]
        for k, share in sorted(c.shares.items())
    )
    heads = ["centre", "neighbor", "cutoff_A", "mean", "number", "share"]
    run.write(f"{name}/coordination.csv", csv_text(heads, rows))
    edges = np.linspace(0.0, 180.0, 91)
    shares = {k: np.histogram(v, edges, density=True)[0] for k, v in curves["angles"].items() if len(v)}
    table = zip((0.5 * (edges[1:] + edges[:-1])).tolist(), *(v.tolist() for v in shares.values()), strict=True)
    run.write(f"{name}/angles.csv", csv_text(["degrees", *shares], table))
    q, s = curves["sq"]
    run.write(f"{name}/sq.csv", csv_text(["q_per_A", "S"], zip(q.tolist(), s.tolist(), strict=True)))
    if curves["rings"]:
        run.write(f"{name}/rings.csv", csv_text(["atoms", "rings"], curves["rings"].items()))


def write_pictures(run: Run, stem: str, drawn: Mapping[str, bytes]) -> None:
    """Write one picture, of each ending."""
    for ending, data in drawn.items():
        with run.writing(f"{stem}.{ending}") as file:
            file.write(data)


def forget(run: Run, stems: Iterable[str]) -> None:
    """Remove tables and pictures that an earlier end of the run has left, and that this one may not write again."""
    for stem in stems:
        for path in run.path.glob(f"{stem}.*"):
            path.unlink()


def table_text(rows: Iterable[Mapping[str, Any]], symbols: Sequence[str]) -> str:
    """The text of glasses.csv: fractions of the elements, then :data:`COLUMNS`."""
    heads = [f"{name} [{unit}]" if unit else name for name, unit in COLUMNS.items()]
    cells = (
        [*(row.get(c) for c in COLUMNS), *(row["counts"].get(s, 0) / row["atoms"] for s in symbols)] for row in rows
    )
    return csv_text([*heads, *(f"x_{s}" for s in symbols)], cells)


def _blocks(texts: Sequence[str], atoms: int, runs: Sequence[tuple[int, float]]) -> list[tuple[int, str]]:
    """Frames of trajectories that follow each other as (step since the first, text), those that stand twice once.

    Their step and time go on, as if it were one.

    Args:
        texts: of the trajectories.
        atoms: in a frame.
        runs: steps of each, and their length in fs.
    """
    found: list[tuple[int, str]] = []
    before, time = 0, 0.0
    for text, (length, dt) in zip(texts, runs, strict=True):
        lines = text.splitlines(keepends=True)
        for k in range(0, len(lines), atoms + 2):
            ahead, words = lines[k + 1].split("step=", 1)
            own, _, after = words.split(None, 2)
            step = before + int(own)
            if not found or step > found[-1][0]:
                head = f"{ahead}step={step} time_fs={time + int(own) * dt!r} {after}"
                found.append((step, "".join([lines[k], head, *lines[k + 2 : k + atoms + 2]])))
        before, time = before + length, time + length * dt
    return found


def _image(text: str) -> ase.Atoms:
    made: ase.Atoms = ase.io.read(io.StringIO(text), format="extxyz")
    return made


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    return None if isinstance(value, float) and not np.isfinite(value) else value
