"""What the page of a screening shows: what was decided, hulls of binaries and ternaries, every candidate's reason."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crystalcli.contracts.sections import (
    Axis,
    Block,
    Geometries,
    Guide,
    Note,
    Number,
    Numbers,
    Plot,
    ReportedRun,
    Section,
    Series,
    numbers,
)
from crystalcli.contracts.workflow import Table
from crystalcli.nouns.hulls import lower_hull
from crystalcli.screen.hull import ON_PREDICTED_HULL
from crystalcli.screen.options import BEYOND, CURVE, PHASES, STAGES, STRUCTURES, TABLE, WITHIN
from crystalcli.vocabulary.display import number

MOST_SYSTEMS = 8
MOST_STRUCTURES = 2000
TRAINED = "trained on"
"""The word of the table for candidates that the ensemble was trained on."""
PHASE = "known phase"
ON_HULL = 1e-6
"""eV/atom above the hull that the table's rounding leaves of zero."""
_FORMULA = re.compile(r"([A-Z][a-z]?)(\d*)")
ENERGY, ABOVE = "E_f [eV/atom]", "E_hull [eV/atom]"


@dataclass(frozen=True)
class Candidate:
    """One row: amounts of elements, last known energy and distance to the hull, how it ended and why.

    ``decided`` is the distance that the last decision was made by, ``sigma`` its uncertainty; where energy and distance
    are final they are others.
    """

    id: str
    formula: str
    system: str
    amounts: Mapping[str, int]
    energy: float
    above: float
    decided: float
    sigma: float
    kept: bool
    final: bool
    outcome: str
    reason: str


def sections(run: ReportedRun) -> list[Section]:
    """All of them."""
    rows = run.table(TABLE)
    if not rows.get("id"):
        return []
    candidates = [_candidate(rows, k) for k in range(len(rows["id"]))]
    found = [Section("Result", list(_result(run, candidates)))]
    hulls = list(_hulls(candidates, list(_known(run.table(PHASES)))))
    known = {f.get("id", ""): g for f, g in run.frames(STRUCTURES, MOST_STRUCTURES)}
    missing = [c.id for c in candidates if c.id not in known]
    known |= run.inputs(missing) if missing and hulls else {}
    if hulls:
        found.append(Section("Hulls", [*hulls, Geometries(known)]))
    found.append(Section("Candidates", [_table(candidates, rows)]))
    return found


def _candidate(rows: Mapping[str, Sequence[str]], k: int) -> Candidate:
    """The last decision counts; of a campaign the final energy, if it has one."""
    formula = rows["formula"][k]
    stages = [h.removesuffix("decision") for h in rows if h.endswith("decision") and rows[h][k]]
    last = stages[-1] if stages else None

    def of(column: str) -> str:
        return "" if last is None else rows.get(last + column, [""] * (k + 1))[k]

    staged = "outcome" in rows
    final = staged and math.isfinite(_number(rows[ENERGY][k]))
    energy, above = (rows[c][k] if final else of(c) for c in (ENERGY, ABOVE))
    outcome = rows["outcome"][k] if staged else {"keep": "kept", "remove": "removed"}.get(of("decision"), "")
    taught = "chosen to be computed and learned from" if outcome == TRAINED else ""
    reason = "; ".join(t for t in (of("reason"), taught, rows.get("problems", [""] * (k + 1))[k]) if t)
    return Candidate(
        rows["id"][k], formula, rows["system"][k], _amounts(formula),
        _number(energy), _number(above), _number(of(ABOVE)), _number(of("sigma [eV/atom]")),
        of("decision") != "remove", final, outcome, reason,
    )  # fmt: skip


def _known(rows: Mapping[str, Sequence[str]]) -> Iterator[Candidate]:
    """Phases that are no candidates and shape the hulls."""
    for k, name in enumerate(rows.get("phase", ())):
        word, energy = rows["formula"][k], _number(rows[ENERGY][k])
        yield Candidate(name, word, "", _amounts(word), energy, math.nan, math.nan, math.nan, True, False, PHASE, "")


def _amounts(formula: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for symbol, n in _FORMULA.findall(formula):
        found[symbol] = found.get(symbol, 0) + int(n or 1)
    return found


def _number(text: str) -> float:
    return numbers([text])[0]


def _result(run: ReportedRun, candidates: Sequence[Candidate]) -> Iterator[Block]:
    report = run.report
    removed = sum(not c.kept for c in candidates)
    kept = report["kept"] if isinstance(report.get("kept"), int) else len(candidates) - removed
    taught = len(candidates) - removed - kept
    cards = [Number(f"{len(candidates):,}", "candidates", f"threshold {report.get('threshold', '?')}")]
    cards.append(Number(f"{kept:,}", "kept", f"{removed:,} removed" + (f", {taught:,} {TRAINED}" if taught else "")))
    cards.append(_on_hull(report, candidates))
    for key, said in (
        ("references", "known phases"),
        ("extrapolating", "predictions that extrapolate"),
        ("problems", "with problems"),
    ):
        if isinstance(report.get(key), int):
            cards.append(Number(f"{report[key]:,}", said))
    if isinstance(report.get("share_of_exhaustive"), (int, float)):
        cost = report.get("cost")
        beside = f"cost {cost:g}" if isinstance(cost, (int, float)) else ""
        cards.append(Number(f"{report['share_of_exhaustive']:.1%}", "of the cost of doing all", beside))
    yield Numbers(cards)
    recall = report.get("recall")
    if isinstance(recall, Mapping) and isinstance(recall.get("recall"), (int, float)):
        missed = ", ".join(map(str, recall.get("missed", ()))) or "none"
        yield Note(f"Of the true hull {recall['recall']:.0%} were found; missed: {missed}.")
    stages = run.table(STAGES)
    if stages.get("stage"):
        yield Table(list(stages), [list(r) for r in zip(*stages.values(), strict=True)], "Stages")
    yield from _heights(candidates)
    curve = run.table(f"{CURVE}.csv")
    if {"recall", "cost"} <= curve.keys():
        notes = {h: curve[h] for h in curve if h not in ("recall", "cost")}
        series = Series("", numbers(curve["cost"]), numbers(curve["recall"]), "points", notes=notes)
        yield Plot("Recall against cost, over thresholds", Axis("cost"), Axis("share of the true hull found"), [series])


def _on_hull(report: Mapping[str, Any], candidates: Sequence[Candidate]) -> Number:
    """Of a campaign those on the hull of final energies, of one step those on the predicted one, as reported."""
    final = report.get("hull")
    if isinstance(final, list):
        on = [c for c in candidates if c.id in set(final)]
        n, said = len(final), "on the hull"
    else:
        on = [c for c in candidates if c.above <= ON_PREDICTED_HULL]
        n, said = report.get("on_predicted_hull", len(on)), "on the predicted hull"
    return Number(f"{n:,}", said, ", ".join(c.formula for c in on[:6]) + (" …" if len(on) > 6 else ""))


def _heights(candidates: Sequence[Candidate]) -> Iterator[Block]:
    """Predicted distance to the hull beside its uncertainty: what decided."""
    known = [c for c in candidates if math.isfinite(c.decided) and math.isfinite(c.sigma)]
    if len(known) < 3:
        return
    series = []
    for name, group in ((WITHIN, [c for c in known if c.kept]), (BEYOND, [c for c in known if not c.kept])):
        if group:
            x, y = [1e3 * c.sigma for c in group], [1e3 * c.decided for c in group]
            series.append(Series(name, x, y, ids=[c.id for c in group], notes=_notes(group)))
    yield Plot("Predicted distance to the hull, over σ", Axis("σ (meV/atom)"),
               Axis("predicted distance to the hull (meV/atom)"), series, [Guide("y", 0.0)],
               words=("σ", "predicted E_hull"))  # fmt: skip


def _notes(group: Sequence[Candidate]) -> dict[str, list[str]]:
    return {
        "formula": [c.formula for c in group],
        "E_hull": [f"{1e3 * c.above:.1f} meV/atom" if math.isfinite(c.above) else "" for c in group],
        "end": [c.outcome for c in group],
        "why": [c.reason for c in group],
    }


def _hulls(candidates: Sequence[Candidate], known: Sequence[Candidate]) -> Iterator[Block]:
    counts = Counter(c.system for c in candidates)
    made = 0
    for system, _ in counts.most_common():
        elements = system.split("-")
        inside = [c for c in candidates if set(c.amounts) <= set(elements) and math.isfinite(c.energy)]
        if len(elements) not in (2, 3) or not inside or made == MOST_SYSTEMS:
            continue
        made += 1
        inside += [c for c in known if set(c.amounts) <= set(elements)]
        yield _binary(elements, inside) if len(elements) == 2 else _ternary(elements, inside)
    if made == MOST_SYSTEMS:
        yield Note(f"The {made} systems with most candidates are drawn.")


HULL, ON, FINAL, PREDICTED, REMOVED, KNOWN = range(6)
"""Places of the groups of a hull among colours and shapes, the same in every picture."""


def _groups(inside: Sequence[Candidate]) -> Iterator[tuple[str, int, list[Candidate]]]:
    """By how they ended; the last are drawn above the others."""
    on = [c for c in inside if c.above <= ON_HULL]
    known = [c for c in inside if c.outcome == PHASE]
    rest = [c for c in inside if not c.above <= ON_HULL and c.outcome != PHASE]
    staged = any(c.final for c in rest)
    final = [c for c in rest if c.kept and (c.final or not staged)]
    for name, style, group in (
        (PHASE, KNOWN, known),
        (BEYOND, REMOVED, [c for c in rest if not c.kept]),
        (f"{WITHIN}, predicted", PREDICTED, [c for c in rest if c.kept and not c.final and staged]),
        ("above the hull, final energy" if staged else WITHIN, FINAL, final),
        ("on the hull", ON, on),
    ):
        if group:
            yield name, style, group


def _binary(elements: Sequence[str], inside: Sequence[Candidate]) -> Plot:
    a, b = elements
    share = {c.id: c.amounts.get(b, 0) / sum(c.amounts.values()) for c in inside}
    hull = lower_hull([(0.0, 0.0), (1.0, 0.0), *((share[c.id], c.energy) for c in inside if shapes(c))])
    series = [Series("hull", [p[0] for p in hull], [p[1] for p in hull], "line", style=HULL)]
    for name, style, group in _groups(inside):
        x, y = [share[c.id] for c in group], [c.energy for c in group]
        low = [e - c.sigma for e, c in zip(y, group, strict=True)] if not group[0].final else []
        high = [e + c.sigma for e, c in zip(y, group, strict=True)] if low else []
        whole = bool(low) and all(map(math.isfinite, low)) and len(group) <= 200
        series.append(
            Series(name, x, y, ids=[c.id for c in group], notes=_notes(group), hollow=style == REMOVED, style=style,
                   low=low if whole else (), high=high if whole else ())
        )  # fmt: skip
    return Plot(
        f"{a}–{b}",
        Axis(f"share of {b}"),
        Axis("formation energy (eV/atom)"),
        series,
        words=(f"share of {b}", "E_f (eV/atom)"),
    )


def shapes(one: Candidate) -> bool:
    """Whether it may be a corner of the hull: a known phase, or a candidate that is on it."""
    return one.outcome == PHASE or one.above <= ON_HULL


def _ternary(elements: Sequence[str], inside: Sequence[Candidate]) -> Plot:
    a, b, c = elements
    series = list(_facets(elements, inside))
    for name, style, group in _groups(inside):
        places = []
        for one in group:
            places.append(_place(one, (b, c)))
        notes = {**_notes(group), "E_f": [f"{one.energy:.4f} eV/atom" for one in group]}
        x, y = [p[0] for p in places], [p[1] for p in places]
        series.append(
            Series(name, x, y, ids=[one.id for one in group], notes=notes, hollow=style == REMOVED, style=style)
        )
    return Plot(f"{a}–{b}–{c}", Axis(""), Axis(""), series, corners=(a, b, c))


def _place(one: Candidate, others: tuple[str, str]) -> tuple[float, float]:
    """Where a composition is in a triangle of side one; the first corner is at the origin."""
    n = sum(one.amounts.values())
    right, top = (one.amounts.get(e, 0) / n for e in others)
    return right + 0.5 * top, math.sqrt(0.75) * top


def _facets(elements: Sequence[str], inside: Sequence[Candidate]) -> Iterator[Series]:
    """Edges of the lower hull of the elements and of the candidates on it, as one line with gaps."""
    import numpy as np
    from scipy.spatial import ConvexHull, QhullError

    _, b, c = elements
    corners = [(0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.5, math.sqrt(0.75), 0.0)]
    points = np.array(corners + [(*_place(one, (b, c)), one.energy) for one in inside if shapes(one)])
    try:
        hull = ConvexHull(points)
        lower = hull.simplices[hull.equations[:, 2] < -1e-9]
    except (QhullError, ValueError):  # nothing is below the elements
        return
    edges = {tuple(sorted((int(f[i]), int(f[j])))) for f in lower for i, j in ((0, 1), (0, 2), (1, 2))}
    x, y = ([v for i, j in sorted(edges) for v in (points[i, k], points[j, k], math.nan)] for k in (0, 1))
    yield Series("hull", x, y, "line", style=HULL)


def _table(candidates: Sequence[Candidate], rows: Mapping[str, Sequence[str]]) -> Table:
    """Every candidate with its reason."""
    extrapolating = [h for h in rows if h.endswith("extrapolating")]
    heads = ["id", "formula", "system", "end", "E_f (eV/atom)", "E_hull (meV/atom)", "σ (meV/atom)", "why"]
    cells = [
        [c.id, c.formula, c.system, c.outcome, _cell(c.energy, 1.0), _cell(c.above, 1e3),
         "" if c.final else _cell(c.sigma, 1e3),  # a final energy is no prediction
         "; ".join(t for t in (c.reason, *(rows[h][k] for h in extrapolating)) if t)]
        for k, c in enumerate(candidates)
    ]  # fmt: skip
    return Table(heads, cells, "Every candidate and why it stayed or went")


def _cell(value: float, factor: float) -> str:
    return number(value * factor) if math.isfinite(value) else ""
