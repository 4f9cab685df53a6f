"""What is said of the energies of all glasses together: beside those of another theory, and as voltages."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crystal_glass import CHEMISTRY, COMPARED, VOLTAGES
from crystal_glass.comparison import Errors, References, by_chemistry, compared, corrected, summary
from crystal_glass.glass_output import write_pictures
from crystal_glass.settling import formation_energy
from crystal_glass.voltage import Plateau, charge_of, curves
from crystalcli.contracts.drawing import BLUE, COLOURS, GREY, ORANGE, blank, canvas, rendered
from crystalcli.contracts.workflow import Run
from crystalcli.vocabulary.tables import csv_text

MEV = 1e3

MANY = 6
"""Names that a warning lists at most."""


def draw_comparison(
    pairs: Sequence[Mapping[str, Any]],
    apart: NDArray[np.float64] | None,
    classes: Mapping[str, Errors],
    title: str,
    endings: Sequence[str],
) -> dict[str, bytes]:
    """Histogram of the differences, as they are and by a line that was fitted to other compositions; MAE by class.

    Fig. 4 and Table 1 of Aykol et al.
    """
    figure = blank(8.6, 3.8)
    left, right = figure.subplots(1, 2, width_ratios=[1.3, 1.0])
    off = MEV * np.array([p["difference"] for p in pairs])
    better = None if apart is None else MEV * (apart - np.array([p["reference"] for p in pairs]))
    every = off if better is None else np.concatenate([off, better])
    edges = np.linspace(every.min() - 1e-6, every.max() + 1e-6, int(np.clip(3 * len(off) ** 0.5, 8, 60)) + 1)
    left.hist(off, edges, color=BLUE, alpha=0.75, label=f"as they are, MAE {np.abs(off).mean():.1f}")
    if better is not None:
        label = f"affine, left out, MAE {np.abs(better).mean():.1f}"
        left.hist(better, edges, histtype="step", color=ORANGE, lw=1.4, label=label)
    left.axvline(0.0, color=GREY, lw=0.8, ls=":")
    left.set_xlabel("energy − reference (meV/atom)")
    left.set_ylabel("boxes")
    left.set_title(title, fontsize=10)
    left.legend(frameon=False, fontsize=8)
    names = list(classes)
    right.barh(range(len(names)), [MEV * classes[n].mae for n in names], color=BLUE, alpha=0.75)
    right.set_yticks(range(len(names)), [f"{n} ({classes[n].boxes})" for n in names], fontsize=8)
    right.invert_yaxis()
    right.set_xlabel("mean absolute error (meV/atom)")
    return rendered(figure, endings)


def draw_voltages(curves: Mapping[str, Sequence[Plateau]], ion: str, endings: Sequence[str]) -> dict[str, bytes]:
    """Voltage against the amount of ``ion``, in steps, of every host."""
    figure, axes = canvas(6.0, 3.8)
    for k, (host, plateaus) in enumerate(curves.items()):
        x = [v for p in plateaus for v in (p.start, p.end)]
        y = [p.volts for p in plateaus for _ in range(2)]
        axes.plot(x, y, "-", lw=1.4, color=COLOURS[k % len(COLOURS)], label=f"{ion}(x){host}")
    axes.axhline(0.0, color=GREY, lw=0.8, ls=":")
    axes.set_xlabel(f"x, {ion} for one atom of the other element")
    axes.set_ylabel(f"voltage against {ion} (V)")
    axes.set_xlim(left=0.0)
    axes.legend(frameon=False, fontsize=8)
    return rendered(figure, endings)


def fingerprint(path: str) -> str:
    """Of the file of energies that a comparison was made with; nothing where there is none."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest() if path else ""


def compare(
    run: Run, rows: Sequence[Mapping[str, Any]], references: References, title: str, endings: Sequence[str]
) -> dict[str, Any] | None:
    """Write the tables and the picture of a comparison; its summary, or none where no box has a reference."""
    known = {r["id"] for r in rows}
    if strangers := [name for name in references.energies if name not in known]:
        names = ", ".join(strangers[:MANY]) + (" …" if len(strangers) > MANY else "")
        run.reporter.warn(f"--compare: {len(strangers)} of its {len(references.energies)} are no boxes here: {names}")
    pairs = compared(rows, references)
    if not pairs:
        run.reporter.warn("--compare: no glass has an energy to compare with")
        return None
    line = corrected(pairs)
    apart = None if line is None else line[1]
    heads = ["id", "formula", "chemistry", "compared", *(f"{n} [eV/atom]" for n in ("energy", "reference"))]
    heads += ["difference [eV/atom]", "corrected_left_out [eV/atom]"]
    keys = ("id", "formula", "chemistry", "compared", "energy", "reference", "difference")
    out = [None] * len(pairs) if apart is None else apart.tolist()
    run.write(COMPARED, csv_text(heads, ([*(p[k] for k in keys), x] for p, x in zip(pairs, out, strict=True))))
    classes = by_chemistry(pairs)
    cells = ([name, e.boxes, e.compositions, e.mae, e.mean, e.rms] for name, e in classes.items())
    units = [f"{name} [eV/atom]" for name in ("mae", "mean", "rms")]
    run.write(CHEMISTRY, csv_text(["chemistry", "boxes", "compositions", *units], cells))
    write_pictures(run, Path(COMPARED).stem, draw_comparison(pairs, apart, classes, title, endings))
    return summary(pairs)


def formed(
    others: References, rows: Sequence[Mapping[str, Any]], elements: Mapping[str, float | None]
) -> dict[str, float]:
    """Formation energies of the boxes by the other theory; its total energies count from the same ``elements``."""
    if others.formation:
        return dict(others.energies)
    found: dict[str, float] = {}
    for row in rows:
        if (energy := others.energies.get(row["id"])) is not None:
            one = formation_energy(energy * row["atoms"], row["counts"], elements)
            found |= {} if one is None else {row["id"]: one}
    return found


def voltages(run: Run, rows: Sequence[Mapping[str, Any]], ion: str, endings: Sequence[str]) -> dict[str, Any]:
    """Write the table and the picture of voltages; by the other element, its mean and its plateaus."""
    found = curves(rows, ion)
    if not found:
        run.reporter.warn(f"--voltage {ion}: no binary of it has two stable glasses with formation energies")
        return {}
    table = [[ion, host, charge_of(ion), p.start, p.end, p.volts] for host, some in found.items() for p in some]
    run.write(VOLTAGES, csv_text(["ion", "host", "charge", "x_from", "x_to", "voltage [V]"], table))
    write_pictures(run, Path(VOLTAGES).stem, draw_voltages(found, ion, endings))
    return {
        host: {
            "mean": sum(p.volts * (p.end - p.start) for p in some) / (some[-1].end - some[0].start),
            "plateaus": [vars(p) for p in some],
        }
        for host, some in found.items()
    }
