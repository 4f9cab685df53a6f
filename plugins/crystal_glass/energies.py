"""What is said of the energies of all glasses together: beside those of another theory, and as voltages."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crystal_glass import CHEMISTRY, COMPARED, VOLTAGES
from crystal_glass.comparison import References, by_chemistry, compared, corrected, summary
from crystal_glass.energy_pictures import draw_comparison, draw_voltages
from crystal_glass.glass_output import write_pictures
from crystal_glass.settling import formation_energy
from crystal_glass.voltage import charge_of, curves
from crystalcli.contracts.workflow import Run
from crystalcli.vocabulary.tables import csv_text

MANY = 6
"""Names that a warning lists at most."""


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
