"""What the page of a run of glasses shows: numbers with their units, each glass from the box to the end, pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from crystal_glass import CHEMISTRY, COMPARED, DOUBTS, GLASSES, LIKENESS, TABLE, VOLTAGES
from crystalcli.contracts.sections import (
    Block,
    Fold,
    Geometry,
    Note,
    Number,
    Numbers,
    Picture,
    ReportedRun,
    Section,
    Structure,
    Structures,
    numbers,
)
from crystalcli.contracts.workflow import Table
from crystalcli.vocabulary.display import number, shorter

MOST = 12
"""Glasses that can be turned."""
MOST_ROWS = 2000
PICTURE_BYTES = 2_000_000
"""Of all pictures together."""
SHOWN = ("id", "formula", "atoms", "status", "reason", "rate [K/ps]", "energy_relaxed [eV/atom]",
         "formation_energy [eV/atom]", "volume [Å³/atom]", "density [g/cm³]", "first_peak [Å]", "coordination",
         "t_g [K]", "t_g_error [K]", "q6", "crystalline", "liquid", "converged")  # fmt: skip
FRAMES = (("start", "as packed"), ("quenched", "quenched"), ("glass", "relaxed"))
"""Files of a glass, and what they show."""

Rows = Mapping[str, Sequence[str]]


def sections(run: ReportedRun) -> list[Section]:
    """All of them."""
    rows = run.table(TABLE)
    if not rows.get("id"):
        return []
    found = [
        Section("Glasses", [*_cards(run, rows), *_warnings(run.report), *_glasses(rows)]),
        Section("From the crystals", list(_elements(run.report))),
        Section("Beside others", list(_beside(run))),
        Section("Structures", list(_structures(run, rows))),
        Section("Pictures", list(_pictures(run))),
    ]
    return [s for s in found if s.blocks]


def _cards(run: ReportedRun, rows: Rows) -> Iterator[Block]:
    n, good = len(rows["id"]), sum(s == "ok" for s in rows["status"])
    cards = [Number(f"{good} of {n}", "glasses of boxes")]
    if rate := run.report.get("rate"):
        cards.append(Number(f"{number(rate)} K/ps", "rate of the quench"))
    for head, said in (("density [g/cm³]", "mean density"), ("energy_relaxed [eV/atom]", "mean energy, relaxed")):
        known = [v for v in numbers(rows.get(head, ())) if math.isfinite(v)]
        if known and len(set(rows["formula"])) == 1:
            cards.append(Number(f"{number(sum(known) / len(known))} {_unit(head)}", said))
    if pressure := run.report.get("relaxed_at"):
        cards.append(Number(f"{number(pressure)} GPa", "cells relaxed at", "energies are no enthalpies"))
    if frames := run.report.get("to_label"):
        cards.append(Number(str(frames), "frames to be labelled"))
    yield Numbers(cards)


def _warnings(report: Mapping[str, Any]) -> Iterator[Block]:
    for key, said in DOUBTS.items():
        if ids := report.get(key):
            yield Note(f"{said}: {', '.join(map(str, ids))}", warning=True)
    if report.get("begun_again"):
        why = ", ".join(f"{code} ({n} times)" for code, n in dict(report.get("reasons", {})).items())
        yield Note(f"{report['begun_again']} boxes were begun again, because of {why}")


def _glasses(rows: Rows) -> Iterator[Block]:
    """What most look for, then all that is known."""
    yield _table({h: rows[h] for h in SHOWN if h in rows}, "Every box")
    yield Fold(TABLE, [_table(rows)])


def _table(columns: Rows, title: str = "") -> Table:
    """Columns of a file in which something stands, their units in brackets."""
    heads = [h for h, column in columns.items() if any(column)]
    rows = list(zip(*(columns[h] for h in heads), strict=True))
    shown = [[shorter(c, 6) for c in row] for row in rows[:MOST_ROWS]]
    more = f"the first {MOST_ROWS:,} of {len(rows):,} rows" if len(rows) > MOST_ROWS else ""
    return Table([h.replace("_", " ").replace("[", "(").replace("]", ")") for h in heads], shown, title, more)


def _unit(head: str) -> str:
    return head.partition("[")[2].removesuffix("]")


def _elements(report: Mapping[str, Any]) -> Iterator[Block]:
    """Energies that formation counts from, and volumes of liquids."""
    references = {s: e for s, e in dict(report.get("references", {})).items() if e is not None}
    if references:
        cells = [[symbol, f"{energy:.6g}"] for symbol, energy in references.items()]
        yield Table(("element", "energy (eV/atom)"), cells, "Where formation energies count from")
    fits = dict(report.get("equations_of_state", {}))
    if fits:
        heads = ("formula", "temperature (K)", "volume without pressure (Å³/atom)", "± (Å³/atom)", "bulk modulus (GPa)")
        yield Table((*heads, "why not"), [_equation(f, one) for f, one in fits.items()], "Equations of state")


def _equation(formula: str, one: Mapping[str, Any]) -> list[str]:
    fit = one.get("fit") or {}
    known = [number(fit[k]) if k in fit else "" for k in ("volume", "error", "bulk_modulus")]
    return [formula, number(one["temperature"]), *known, str(one.get("failed") or "")]


def _beside(run: ReportedRun) -> Iterator[Block]:
    every = dict(run.report.get("comparison") or {}).get("all")
    if every:
        cards = [Number(f"{number(1e3 * every[k])} meV/atom", f"{w} beside the references") for k, w in
                 (("mae", "mean absolute error"), ("mean", "mean error"))]  # fmt: skip
        yield Numbers(cards)
    for name, title in (
        (CHEMISTRY, "Errors of energies by chemistry"),
        (VOLTAGES, "Voltages"),
        (LIKENESS, "Beside the trajectories"),
    ):
        if any((columns := run.table(name)).values()):
            yield _table(columns, title)
    if any((columns := run.table(COMPARED)).values()):
        yield Fold(COMPARED, [_table(columns)])


def _structures(run: ReportedRun, rows: Rows) -> Iterator[Block]:
    """Boxes that became glasses first."""
    order = sorted(range(len(rows["id"])), key=lambda k: (rows["status"][k] != "ok", k))[:MOST]
    shown = []
    for k in order:
        one = rows["id"][k]
        frames = [
            Geometry(g.numbers, g.positions, g.cell, g.pbc, said)
            for file, said in FRAMES
            for _, g in run.frames(f"{GLASSES}/{one}/{file}.extxyz", 1)
        ]
        if frames:
            shown.append(Structure(one, frames, list(_facts(rows, k))))
    if shown:
        yield Structures(f"{len(shown)} of {len(rows['id'])} boxes", shown, "as packed, quenched and relaxed", "stage")


def _facts(rows: Rows, k: int) -> Iterator[tuple[str, str]]:
    for head in SHOWN[1:]:
        if head in rows and rows[head][k]:
            text = f"{shorter(rows[head][k], 6)} {_unit(head)}".rstrip()
            yield head.partition(" [")[0].replace("_", " "), text


def _pictures(run: ReportedRun) -> Iterator[Block]:
    left = PICTURE_BYTES
    for name in [*run.names("*.png"), *run.names(f"{GLASSES}/*/*.png")]:
        png = (run.path / name).read_bytes()
        if len(png) > left:
            yield Note(f"{name} and what follows are in the folder: too large together for this page")
            return
        left -= len(png)
        yield Picture(name, png)
