"""At the end of a run: distributions as CSV and pictures, beside the trajectory they were taken from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crystalcli.engine.run import files
from crystalcli.md import plots, trajectory
from crystalcli.md.options import THERMO, TRAJECTORY, MdOptions
from crystalcli.md.setup import sampler_of
from crystalcli.nouns import distributions
from crystalcli.nouns.distributions import Frames
from crystalcli.vocabulary.pictures import paths
from crystalcli.vocabulary.tables import csv_text

FEWEST = 2
Array = NDArray[np.float64]


def write(folder: Path, name: str, o: MdOptions, warn: Callable[[str], None]) -> dict[str, Any]:
    """Write the analysis of one structure beside its trajectory in ``folder``; returns the numbers worth telling."""
    path, log = folder / TRAJECTORY, folder / THERMO
    table = np.atleast_2d(np.genfromtxt(log, delimiter=",", skip_header=1))
    if not table.size or not path.stat().st_size:
        return {}
    frames = trajectory.read(path)
    title = f"{name}, {sampler_of(o).name}, {o.potential}"
    _thermo(folder, table, title, len(frames.numbers), o.pictures)
    start = o.analysis_from if o.analysis_from >= 0 else 0.5 * o.length * o.dt * 1e-3
    rows = table[table[:, 1] >= start - 1e-9]
    some = _since(frames, start)
    said: dict[str, Any] = {"analysed_from_ps": start, "frames": len(some), "rows": len(rows)}
    if len(rows) >= FEWEST:
        said |= _energies(folder, rows, title, len(frames.numbers), o.pictures)
    if len(some) >= FEWEST:
        said |= _structure(folder, some, title, o.pictures)
        _msd(folder, some, title, o.pictures)
    else:
        warn(f"{name}: {len(some)} frames after {start:g} ps are too few to analyse; see --frame-every")
    return said


def _since(frames: Frames, start: float) -> Frames:
    kept = frames.times * 1e-3 >= start - 1e-9
    return Frames(
        frames.numbers,
        frames.pbc,
        *(a[kept] for a in (frames.cells, frames.positions, frames.energies, frames.temperatures, frames.times)),
    )


def _thermo(folder: Path, table: Array, title: str, atoms: int, pictures: str) -> None:
    time = table[:, 1]
    first = table[0, 6]
    aim = {"target": table[:, 2]} if np.isfinite(table[:, 2]).any() else {}
    panels: list[tuple[str, dict[str, Array]]] = [
        ("temperature (K)", {"actual": table[:, 3], **aim}),
        ("potential energy\n(eV/atom)", {"": table[:, 4] / atoms}),
        ("change\n(meV/atom)", {
            "total": 1e3 * (table[:, 6] - first) / atoms,
            "conserved": 1e3 * (table[:, 7] - table[0, 7]) / atoms,
        }),
    ]  # fmt: skip
    if np.isfinite(table[:, 8]).all():
        panels.append(("pressure (GPa)", {"": table[:, 8]}))
    if np.isfinite(table[:, 9]).all() and np.ptp(table[:, 9]) > 0:
        panels.append(("volume (Å³)", {"": table[:, 9]}))
    plots.thermo(paths(folder / "thermo", pictures), time, panels, title=title)


def _energies(folder: Path, rows: Array, title: str, atoms: int, pictures: str) -> dict[str, Any]:
    """Fig. 5c: density of the potential energy per atom."""
    each = rows[:, 4] / atoms
    middle, height = distributions.density(each)
    text = csv_text(["potential_eV_per_atom", "density_per_eV"], zip(middle.tolist(), height.tolist(), strict=True))
    files.write_text(folder / "energies.csv", text)
    label = "potential energy (eV/atom)"
    picture = {"": (middle, height)}
    plots.curves(
        paths(folder / "energies", pictures), picture, x=label, y="density (atom/eV)", title=title, filled=True
    )
    kelvin, pressure = rows[:, 3], rows[:, 8]
    said = {
        "temperature_K": _mean(kelvin),
        "temperature_std_K": float(kelvin.std()),
        "potential_eV_per_atom": _mean(each),
        "potential_std_eV_per_atom": float(each.std()),
    }
    if np.isfinite(pressure).all():
        said |= {"pressure_GPa": _mean(pressure), "volume_A3": _mean(rows[:, 9])}
    return said


def _structure(folder: Path, frames: Frames, title: str, pictures: str) -> dict[str, Any]:
    """g(r), coordination, and Fig. 5a: bond lengths."""
    said: dict[str, Any] = {}
    lengths_of = distributions.lengths_of_bonds(frames)
    bonds = {pair: distributions.density(lengths) for pair, lengths in lengths_of.items()}
    if bonds:
        lines = [
            ("-".join(p), x, y) for p, (lengths, height) in bonds.items() for x, y in zip(lengths, height, strict=True)
        ]
        files.write_text(folder / "bonds.csv", csv_text(["bond", "length_A", "density_per_A"], lines))
        named = {"-".join(p): d for p, d in bonds.items()}
        label = "bond length (Å)"
        plots.curves(paths(folder / "bonds", pictures), named, x=label, y="density (1/Å)", title=title, filled=True)
        said["mean_bond_A"] = {"-".join(p): _mean(lengths) for p, lengths in lengths_of.items()}
    if not frames.pbc.all():
        return said
    found = distributions.pair_distribution(frames)
    partial = {"-".join(p): g for p, g in found.partial.items()}
    running = {f"n({a}-{b})": n for (a, b), n in found.running.items()}
    columns = {"r_A": found.r, "total": found.total, **partial, **running}
    table = zip(*(c.tolist() for c in columns.values()), strict=True)
    files.write_text(folder / "rdf.csv", csv_text(list(columns), table))
    lines_of = {"total": found.total, **partial} if len(partial) > 1 else {"total": found.total}
    drawn = {n: (found.r, g) for n, g in lines_of.items()}
    plots.curves(paths(folder / "rdf", pictures), drawn, x="r (Å)", y="g(r)", title=title, level=1.0)
    numbers = distributions.coordination(frames, found)
    cells = [
        (c.centre, c.neighbor, f"{c.cutoff:.4f}", f"{c.mean:.6g}", n, f"{share:.6g}")
        for c in numbers
        for n, share in sorted(c.shares.items())
    ]
    head = ["centre", "neighbor", "cutoff_A", "mean", "number", "share"]
    files.write_text(folder / "coordination.csv", csv_text(head, cells))
    said["coordination"] = {f"{c.centre}-{c.neighbor}": {"cutoff_A": c.cutoff, "mean": float(c.mean)} for c in numbers}
    return said


def _msd(folder: Path, frames: Frames, title: str, pictures: str) -> None:
    from ase.data import chemical_symbols

    time = (frames.times - frames.times[0]) * 1e-3
    positions = distributions.in_mean_cell(frames.positions, frames.cells)
    found = {
        chemical_symbols[z]: distributions.mean_square_displacement(positions[:, frames.numbers == z])
        for z in np.unique(frames.numbers)
    }
    table = zip(time.tolist(), *(m.tolist() for m in found.values()), strict=True)
    files.write_text(folder / "msd.csv", csv_text(["time_ps", *(f"{n}_A2" for n in found)], table))
    drawn = {n: (time, m) for n, m in found.items()}
    plots.curves(paths(folder / "msd", pictures), drawn, x="time (ps)", y="mean square displacement (Å²)", title=title)


def _mean(values: Array) -> float:
    return float(values.mean())
