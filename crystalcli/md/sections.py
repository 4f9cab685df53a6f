"""What the page of a molecular dynamics run shows: its log, g(r) and what else was analysed, frames to step through."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from crystalcli.contracts.sections import (
    Axis,
    Block,
    Fold,
    Geometry,
    Guide,
    Kind,
    Note,
    Number,
    Numbers,
    Plot,
    ReportedRun,
    Section,
    Series,
    Structure,
    Structures,
    numbers,
)
from crystalcli.contracts.workflow import Table
from crystalcli.md.options import STRUCTURES, THERMO, TRAJECTORY
from crystalcli.vocabulary.display import number, shorter

FRAMES = 60
POINTS = 2000
"""Rows of a log that are drawn, evenly chosen; more than a screen has columns."""
MOST = 20
"""Structures that have a section of their own."""
HEAVY = 60_000
"""Atoms of all frames together, of the whole run, beyond which fewer frames are shown."""


def sections(run: ReportedRun) -> list[Section]:
    """One for the run, one for each structure."""
    known: Mapping[str, Any] = run.report.get("structures", {})
    folders = _folders(run, known)
    found = [Section("Result", list(_result(run, known)))]
    for name, folder in list(folders.items())[:MOST]:
        blocks = list(_one(run, name, folder, len(folders)))
        if blocks:
            found.append(Section(name, blocks))
    if len(folders) > MOST:
        found.append(Section("More structures", [Note(f"{len(folders) - MOST} more are in the folder {run.path}")]))
    return [s for s in found if s.blocks]


def _folders(run: ReportedRun, known: Mapping[str, Any]) -> dict[str, str]:
    """The folder of every structure below the run's, with a slash; that of the run itself where it has one only."""
    if run.names(THERMO):
        return {next(iter(known), "The structure"): ""}
    below = {p.rsplit("/", 2)[1]: p.rpartition("/")[0] + "/" for p in run.names(f"{STRUCTURES}/*/{THERMO}")}
    named = {str(one.get("folder", "")).rpartition("/")[2]: name for name, one in known.items()}
    return {named.get(folder, folder): way for folder, way in below.items()}


def _result(run: ReportedRun, known: Mapping[str, Any]) -> Iterator[Block]:
    report = run.report
    cards = []
    if "steps" in report:
        dt = run.options.get("dt")
        length = f"{number(report['steps'] * dt * 1e-3)} ps" if isinstance(dt, (int, float)) else ""
        cards.append(Number(f"{report['steps']:,}", "steps", length))
    drift = report.get("worst_drift_meV_per_atom_ps")
    if isinstance(drift, (int, float)):
        cards.append(Number(f"{number(drift)} meV/atom/ps", "largest drift of the conserved energy"))
    if known:
        cards.append(Number(str(len(known)), "structures", f"{len(report.get('stopped', {}))} stopped"))
    if cards:
        yield Numbers(cards)
    for name, why in dict(report.get("stopped", {})).items():
        said = why.get("reason", why.get("code", why)) if isinstance(why, Mapping) else why
        yield Note(f"{name} was stopped: {said}", warning=True)
    heads = {
        "temperature_K": "temperature (K)", "potential_eV_per_atom": "potential energy (eV/atom)",
        "pressure_GPa": "pressure (GPa)", "volume_A3": "volume (Å³)", "frames": "frames",
        "analysed_from_ps": "from (ps)",
    }  # fmt: skip
    keys = [k for k in heads if any(k in one for one in known.values())]
    if keys:
        rows = [
            [n, *(number(one[k]) if isinstance(one.get(k), (int, float)) else "" for k in keys)]
            for n, one in known.items()
        ]
        yield Table(("means", *(heads[k] for k in keys)), rows)
    pairs = [
        [n, pair, number(c["mean"]), number(c["cutoff_A"])]
        for n, one in known.items()
        for pair, c in dict(one.get("coordination", {})).items()
    ]
    if pairs:
        yield Table(("structure", "pair", "coordination", "within (Å)"), pairs)


def _one(run: ReportedRun, name: str, folder: str, of: int) -> Iterator[Block]:
    frames = list(_frames(run, folder, of))
    if frames:
        shown = Structure(name, frames, [("atoms", str(len(frames[0].numbers))), ("frames shown", str(len(frames)))])
        yield Structures("", [shown], "frames evenly chosen from the trajectory", "frame")
    yield from _log(run.table(folder + THERMO), len(frames[0].numbers) if frames else 0)
    analysed: list[tuple[str, str, str, str, Kind]] = [
        ("rdf.csv", "Pair distribution g(r)", "r (Å)", "g(r)", "line"),
        ("msd.csv", "Mean square displacement", "time (ps)", "Å²", "line"),
        ("energies.csv", "Density of the potential energy", "potential energy (eV/atom)", "atom/eV", "line"),
    ]
    for file, title, x, y, kind in analysed:
        columns = run.table(folder + file)
        if len(columns) > 1 and any(columns.values()):
            yield from _curves(columns, title, (x, y), kind)
    yield from _bonds(run.table(folder + "bonds.csv"))
    shares = run.table(folder + "coordination.csv")
    if shares.get("centre"):
        rows = [[shorter(c, 4) for c in row] for row in zip(*shares.values(), strict=True)]
        yield Fold("Coordination numbers", [Table(list(shares), rows)])


def _frames(run: ReportedRun, folder: str, of: int) -> Iterator[Geometry]:
    first = next(iter(run.frames(folder + TRAJECTORY, 1)), None)
    if first is None:
        return
    most = max(2, min(FRAMES, HEAVY // max(1, of * len(first[1].numbers))))
    for facts, g in run.frames(folder + TRAJECTORY, most):
        said = f"step {facts.get('step', '?')}"
        if "time_fs" in facts:
            said += f", {number(float(facts['time_fs']) * 1e-3)} ps"
        if "temperature" in facts:
            said += f", {float(facts['temperature']):.0f} K"
        yield Geometry(g.numbers, g.positions, g.cell, g.pbc, said)


def _log(columns: Mapping[str, Sequence[str]], atoms: int) -> Iterator[Block]:
    """Temperature, energies, pressure and volume over time."""
    if not columns.get("time_ps"):
        return
    read = {h: numbers(c) for h, c in columns.items()}
    every = max(1, -(-len(read["time_ps"]) // POINTS))
    read = {h: v[::every] for h, v in read.items()}
    time, per = read["time_ps"], atoms or 1
    unit = "eV/atom" if atoms else "eV"
    left = f"every {every}th row of the log" if every > 1 else ""
    x = Axis("time (ps)")
    asked = read["target_K"]
    lines = [Series("actual", time, read["temperature_K"], "line")]
    lines += [Series("asked for", time, asked, "line")] if any(map(math.isfinite, asked)) else []
    yield Plot("Temperature", x, Axis("temperature (K)"), lines, caption=left)
    potential = [v / per for v in read["potential_eV"]]
    yield Plot("Potential energy", x, Axis(f"potential energy ({unit})"), [Series("", time, potential, "line")])
    changes = {
        n: [1e3 * (v - read[k][0]) / per for v in read[k]]
        for n, k in (("total", "total_eV"), ("conserved", "conserved_eV"))
    }
    drawn = [Series(n, time, v, "line") for n, v in changes.items()]
    yield Plot("Change of energies since the start", x, Axis(f"change (m{unit})"), drawn)
    for head, title, label in (("pressure_GPa", "Pressure", "pressure (GPa)"), ("volume_A3", "Volume", "volume (Å³)")):
        values = read.get(head, [])
        known = [v for v in values if math.isfinite(v)]
        if known and max(known) > min(known):
            yield Plot(title, x, Axis(label), [Series("", time, values, "line")])


def _curves(columns: Mapping[str, Sequence[str]], title: str, words: tuple[str, str], kind: Kind) -> Iterator[Block]:
    first, *rest = columns
    x = numbers(columns[first])
    running = [h for h in rest if h.startswith("n(")]
    drawn = [h for h in rest if h not in running]
    if len(drawn) == 2 and "total" in drawn:
        drawn = ["total"]
    guides = [Guide("y", 1.0)] if words[1] == "g(r)" else []
    named = [Series(_word(h) if len(drawn) > 1 else "", x, numbers(columns[h]), kind) for h in drawn]
    yield Plot(title, Axis(words[0]), Axis(words[1]), named, guides)


def _word(head: str) -> str:
    return head.removesuffix("_A2")


def _bonds(columns: Mapping[str, Sequence[str]]) -> Iterator[Block]:
    if not columns.get("bond"):
        return
    names = list(dict.fromkeys(columns["bond"]))
    x, y = numbers(columns["length_A"]), numbers(columns["density_per_A"])
    mine = {n: [k for k, b in enumerate(columns["bond"]) if b == n] for n in names}
    series = [
        Series(n if len(names) > 1 else "", [x[k] for k in at], [y[k] for k in at], "line") for n, at in mine.items()
    ]
    yield Plot("Bond lengths", Axis("bond length (Å)"), Axis("density (1/Å)"), series)
