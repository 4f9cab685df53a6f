"""What the page of a relaxation shows: how it ended, energies gained, moves, structures before and after."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from crystalcli.contracts.sections import (
    Axis,
    Block,
    Geometry,
    Guide,
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
from crystalcli.relax.options import STRUCTURES, TABLE, TRAJECTORIES
from crystalcli.vocabulary.display import number, shorter
from crystalcli.vocabulary.units import GPA

MOST = 12
"""Structures that can be turned: those that did not converge, then those that moved farthest."""
FRAMES = 40
READ = 5000
"""Relaxed structures that are read, evenly chosen where there are more."""
SHOWN = ("id", "converged", "reason", "message", "steps", "atoms", "energy_start [eV]", "energy [eV]", "fmax [eV/Å]",
         "displacement_max [Å]", "volume_change [%]", "spacegroup_start", "spacegroup")  # fmt: skip
BINS = 30

Rows = Mapping[str, Sequence[str]]


def sections(run: ReportedRun) -> list[Section]:
    """All of them."""
    rows = run.table(TABLE)
    if not rows.get("id"):
        return []
    found = [Section("Result", [*_numbers(run, rows), *_plots(run, rows), _table(rows)])]
    shown = list(_structures(run, rows))
    return [*found, Section("Before and after", shown)] if shown else found


def _numbers(run: ReportedRun, rows: Rows) -> Iterator[Block]:
    n, done = len(rows["id"]), sum(c == "true" for c in rows["converged"])
    gained = [b / k for b, k in zip(_gained(run, rows), numbers(rows["atoms"]), strict=True) if math.isfinite(b) and k]
    steps = [s for s in numbers(rows["steps"]) if math.isfinite(s)]
    moved = [d for d in numbers(rows["displacement_max [Å]"]) if math.isfinite(d)]
    changed = sum(a != b for a, b in zip(rows["spacegroup_start"], rows["spacegroup"], strict=True) if b)
    cards = [Number(f"{done} of {n}", "converged", f"{n - done} not" if n > done else "")]
    if gained:
        cards.append(Number(f"{number(1e3 * sum(gained) / len(gained))} meV/atom", f"mean {_what(run)} gained"))
    if steps:
        cards.append(Number(number(sum(steps) / len(steps)), "mean steps", f"at most {max(steps):.0f}"))
    if moved:
        cards.append(Number(f"{number(max(moved))} Å", "farthest move of an atom"))
    cards.append(Number(str(changed), "space groups changed"))
    yield Numbers(cards)
    reasons = Counter(r for r, c in zip(rows["reason"], rows["converged"], strict=True) if c != "true")
    if reasons:
        yield Table(("why not converged", "structures"), [[r, str(k)] for r, k in reasons.most_common()])


def _gained(run: ReportedRun, rows: Rows) -> list[float]:
    """What was minimised, before less after, eV: energies, or under a pressure enthalpies."""
    pressure = _pressure(run) * GPA

    def values(which: str) -> list[float]:
        energy, volume = numbers(rows[f"energy{which} [eV]"]), numbers(rows[f"volume{which} [Å³]"])
        return [e + pressure * v if pressure else e for e, v in zip(energy, volume, strict=True)]

    return [a - b for a, b in zip(values("_start"), values(""), strict=True)]


def _pressure(run: ReportedRun) -> float:
    """GPa."""
    asked = run.options.get("pressure")
    return float(asked) if isinstance(asked, int | float) else 0.0


def _what(run: ReportedRun) -> str:
    return "enthalpy" if _pressure(run) else "energy"


def _plots(run: ReportedRun, rows: Rows) -> Iterator[Block]:
    atoms, steps = numbers(rows["atoms"]), numbers(rows["steps"])
    per_atom = [1e3 * g / n if n else math.nan for g, n in zip(_gained(run, rows), atoms, strict=True)]
    done = [c == "true" for c in rows["converged"]]
    what = _what(run)
    label = f"{what} gained (meV/atom)"
    yield _by_end(f"{what.capitalize()} gained, over steps", ("steps", label), (steps, per_atom), done, rows)
    fmax = numbers(rows["fmax [eV/Å]"])
    asked = run.options.get("fmax")
    limit = [Guide("y", float(asked), "asked for")] if isinstance(asked, (int, float)) and asked > 0 else []
    moved = numbers(rows["displacement_max [Å]"])
    words = ("farthest move (Å)", "largest force left (eV/Å)")
    yield _by_end("Force left, over moves", words, (moved, fmax), done, rows, limit)
    change = [v for v in numbers(rows["volume_change [%]"]) if math.isfinite(v)]
    if len(change) > 4 and max(change) - min(change) > 1e-6:
        low, width = min(change), (max(change) - min(change)) / BINS
        counts = Counter(min(BINS - 1, int((v - low) / width)) for v in change)
        middle = [low + (k + 0.5) * width for k in range(BINS)]
        bars = Series("", middle, [float(counts[k]) for k in range(BINS)], "bars")
        yield Plot("Change of volume", Axis("change of volume (%)"), Axis("structures"), [bars], [Guide("x", 0.0)])


def _by_end(
    title: str,
    words: tuple[str, str],
    xy: tuple[Sequence[float], Sequence[float]],
    done: Sequence[bool],
    rows: Rows,
    guides: Sequence[Guide] = (),
) -> Plot:
    """Points of those that converged and of the others."""
    series = []
    for name, which in (("converged", True), ("not converged", False)):
        mine = [k for k, d in enumerate(done) if d is which]
        if mine:
            notes = {"why": [rows["reason"][k] for k in mine]}
            x, y = ([v[k] for k in mine] for v in xy)
            series.append(Series(name, x, y, ids=[rows["id"][k] for k in mine], notes=notes, style=int(not which)))
    return Plot(title, Axis(words[0]), Axis(words[1], log="force" in words[1]), series, guides)


def _table(rows: Rows) -> Table:
    heads = [h for h in SHOWN if h in rows and any(rows[h])]
    shown = [[shorter(c, 6) for c in row] for row in zip(*(rows[h] for h in heads), strict=True)]
    words = [h.replace("_", " ").replace("[", "(").replace("]", ")") for h in heads]
    return Table(words, shown, "Every structure")


def _structures(run: ReportedRun, rows: Rows) -> Iterator[Block]:
    """Those worth looking at: before and after, or the whole way where it was kept."""
    moved = [m if math.isfinite(m) else -1.0 for m in numbers(rows["displacement_max [Å]"])]
    done = [c == "true" for c in rows["converged"]]
    order = sorted(range(len(moved)), key=lambda k: (done[k], -moved[k], k))[:MOST]
    wanted = [rows["id"][k] for k in order]
    after = {f.get("id", ""): g for f, g in run.frames(STRUCTURES, READ) if f.get("id", "") in set(wanted)}
    ways = _ways(run, wanted)
    before = run.inputs([i for i in wanted if i not in ways])
    shown = []
    for k in order:
        one = rows["id"][k]
        frames = ways.get(one, [])
        if not frames and one in after:
            frames = [_said(after[one], f"after {rows['steps'][k]} steps")]
            if one in before and len(before[one].numbers) == len(after[one].numbers):
                frames.insert(0, _said(before[one], "before"))
        if frames:
            shown.append(Structure(one, frames, list(_facts(rows, k))))
    if shown:
        kind = "before and after" if all(len(s.frames) <= 2 for s in shown) else "step"
        caption = "those that did not converge first, then those that moved farthest"
        yield Structures(f"{len(shown)} of {len(moved)} structures", shown, caption, kind)


def _ways(run: ReportedRun, wanted: Sequence[str]) -> dict[str, list[Geometry]]:
    """Trajectories by id, of those wanted, where they were kept."""
    found: dict[str, list[Geometry]] = {}
    for name in run.names(f"{TRAJECTORIES}/*.extxyz"):
        if len(found) == len(wanted):
            break
        first = next(iter(run.frames(name, 1)), None)
        if first is not None and first[0].get("id") in wanted:
            frames = [_said(g, f"after {f.get('steps', '?')} steps") for f, g in run.frames(name, FRAMES)]
            found[first[0]["id"]] = frames
    return found


def _said(g: Geometry, said: str) -> Geometry:
    return Geometry(g.numbers, g.positions, g.cell, g.pbc, said)


def _facts(rows: Rows, k: int) -> Iterator[tuple[str, str]]:
    yield "state", "converged" if rows["converged"][k] == "true" else f"not converged: {rows['reason'][k]}"
    if rows["message"][k]:
        yield "message", rows["message"][k]
    yield "steps", rows["steps"][k]
    yield "energy", f"{shorter(rows['energy_start [eV]'][k], 6)} → {shorter(rows['energy [eV]'][k], 6)} eV"
    yield "force left", f"{shorter(rows['fmax [eV/Å]'][k], 6)} eV/Å"
    yield (
        "moved",
        f"{shorter(rows['displacement_max [Å]'][k], 6)} Å at most, "
        f"{shorter(rows['displacement_mean [Å]'][k], 6)} Å on average",
    )
    if rows["volume [Å³]"][k]:
        yield "volume", f"{shorter(rows['volume_start [Å³]'][k], 6)} → {shorter(rows['volume [Å³]'][k], 6)} Å³"
    if rows["spacegroup"][k]:
        yield "space group", f"{rows['spacegroup_start'][k]} → {rows['spacegroup'][k]}"
