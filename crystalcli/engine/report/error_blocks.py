"""Blocks of errors: parity, their distribution, reliability of σ, elements, the worst structures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from crystalcli.contracts.sections import (
    Axis,
    Block,
    Elements,
    Geometry,
    Guide,
    Note,
    Plot,
    Series,
    Structure,
    Structures,
)
from crystalcli.contracts.workflow import Table
from crystalcli.engine.evaluate import calibration
from crystalcli.engine.report.predicted import Floats, Values
from crystalcli.vocabulary.display import number

WORST = 10
"""Structures that are shown."""
BINS = 40
FEW = 30
"""Errors with their σ that make a plot of reliability."""


def of_target(values: Values) -> Iterator[Block]:
    """All that predictions beside labels show of one target; nothing where no prediction has a label beside it."""
    if values.words is not None:
        if any(values.words[0]):
            yield _confusion(values)
        return
    if not any(known.any() for known in values.known.values()):
        return
    yield _parity(values)
    yield _errors(values)
    yield _values(values)
    yield from _sigma(values)


def _said(name: str, unit: str) -> str:
    return name.replace("_", " ") + (f" ({unit})" if unit else "")


def _parity(values: Values) -> Plot:
    series = []
    for component, known in values.known.items():
        rows = np.flatnonzero(known)
        true, predicted = values.true[component][rows], values.predicted[component][rows]
        notes = {"error": [f"{e:+.4g}" for e in (predicted - true).tolist()]}
        if component in values.sigma:
            notes["σ"] = [f"{s:.3g}" for s in values.sigma[component][rows].tolist()]
        if len(values.sites):
            notes["atom"] = [values.sites[k] for k in rows.tolist()]
        name = component.strip("_") if len(values.true) > 1 else ""
        series.append(
            Series(name, true.tolist(), predicted.tolist(), ids=[values.ids[k] for k in rows.tolist()], notes=notes)
        )
    label = _said(values.name, values.unit)
    return Plot(
        "Predicted over true, test part", Axis(f"true {label}"), Axis(f"predicted {label}"), series,
        [Guide("diagonal")], square=True, words=("true", "predicted"),
    )  # fmt: skip


def _all(values: Values, of: Mapping[str, Floats]) -> Floats:
    parts = [of[c][known] for c, known in values.known.items() if c in of]
    return np.concatenate(parts) if parts else np.zeros(0)


def _errors(values: Values) -> Plot:
    """Signed errors; those beyond the 99.5th percentile are counted in the last bars."""
    error = _all(values, values.predicted) - _all(values, values.true)
    reach = float(np.quantile(np.abs(error), 0.995)) or 1.0
    beyond = int((np.abs(error) > reach).sum())
    counts, edges = np.histogram(np.clip(error, -reach, reach), BINS, (-reach, reach))
    rms = float(np.sqrt(np.square(error).mean()))
    mean, mae = float(error.mean()), float(np.abs(error).mean())
    whose = "components: " if len(values.true) > 1 else ""  # which a report may count together, as a distance
    caption = f"{whose}mean {number(mean)}, MAE {number(mae)}, RMSE {number(rms)} {values.unit}".rstrip()
    if beyond:
        caption += f"; {beyond:,} of {len(error):,} are larger than shown and counted at the ends"
    return Plot(
        "Errors", Axis(f"predicted − true ({values.unit})" if values.unit else "predicted − true"), Axis("labels"),
        [Series("", (0.5 * (edges[1:] + edges[:-1])).tolist(), counts.tolist(), "bars")], [Guide("x", 0.0)], caption,
        words=("error", "labels"),
    )  # fmt: skip


def _values(values: Values) -> Plot:
    true, predicted = _all(values, values.true), _all(values, values.predicted)
    low, high = float(min(true.min(), predicted.min())), float(max(true.max(), predicted.max()))
    edges = np.linspace(low, high if high > low else low + 1.0, BINS + 1)
    middle = (0.5 * (edges[1:] + edges[:-1])).tolist()
    drawn = [
        Series("true", middle, np.histogram(true, edges)[0].tolist(), "bars"),
        Series("predicted", middle, np.histogram(predicted, edges)[0].tolist(), "bars", hollow=True),
    ]
    return Plot("Distribution of values", Axis(_said(values.name, values.unit)), Axis("labels"), drawn)


def _sigma(values: Values) -> Iterator[Block]:
    """Whether σ is as large as errors are: by size, and by the share of errors within."""
    if not values.sigma:
        return
    error, sigma = _all(values, values.predicted) - _all(values, values.true), _all(values, values.sigma)
    if len(sigma) != len(error):
        return
    known = np.isfinite(sigma) & (sigma > 0)
    error, sigma = error[known], sigma[known]
    if len(error) < FEW:
        yield Note(f"{len(error)} errors with their σ are too few to tell whether σ is right")
        return
    order = np.argsort(sigma, kind="stable")
    groups = np.array_split(order, min(10, len(order) // 10))
    mean = [float(np.sqrt(np.square(sigma[g]).mean())) for g in groups]
    seen = [float(np.sqrt(np.square(error[g]).mean())) for g in groups]
    unit = f" ({values.unit})" if values.unit else ""
    notes = {"labels": [str(len(g)) for g in groups]}
    yield Plot(
        "Reliability of σ by its size", Axis(f"σ{unit}"), Axis(f"RMS error{unit}"),
        [Series("tenths of the test part, by σ", mean, seen, notes=notes)],
        [Guide("diagonal")], "on the line σ is as large as the errors are; above it σ is too small", square=True,
        words=("σ", "RMS error"),
    )  # fmt: skip
    shares = calibration.reliability(error, sigma)
    within = {k: float((np.abs(error) <= k * sigma).mean()) for k in (1, 2)}
    yield Plot(
        "Reliability of intervals", Axis("expected share within"), Axis("observed share within"),
        [Series("", calibration.LEVELS.tolist(), shares.tolist(), "steps")], [Guide("diagonal")],
        f"within 1σ {within[1]:.1%} (68.3 % expected), within 2σ {within[2]:.1%} (95.4 % expected)", square=True,
        words=("expected", "observed"),
    )  # fmt: skip


def _confusion(values: Values) -> Table:
    true, predicted = values.words or ((), ())
    pairs = [(t, p) for t, p in zip(true, predicted, strict=True) if t]
    words = sorted({w for pair in pairs for w in pair})
    counts = {w: dict.fromkeys(words, 0) for w in words}
    for t, p in pairs:
        counts[t][p] += 1
    rows = [[w, *(str(counts[w][p]) for p in words)] for w in words]
    return Table(("true \\ predicted", *words), rows, "Confusion, test part")


def elements(name: str, unit: str, rows: Mapping[str, Mapping[str, Any]], caption: str) -> Elements:
    """Errors by element, as a report has them: ``{"Cu": {"n": 3, "mae": 0.1, "in_training": 1}}``."""
    known = {e: float(r["mae"]) for e, r in rows.items() if isinstance(r.get("mae"), (int, float))}
    notes = {e: f"labels: {rows[e].get('n', '')}" for e in known}
    new = [e for e in known if not rows[e].get("in_training", 1)]
    return Elements(f"Error by element: {name.replace('_', ' ')}", known, unit, notes, new, "not in training", caption)


def counted_elements(values: Values, known: Mapping[str, Geometry]) -> dict[str, dict[str, Any]]:
    """The same of predictions of structures, where the report has none (ensembles): over those with an element."""
    from ase.data import chemical_symbols

    sums: dict[str, list[float]] = {}
    for one, error in values.worst().items():
        if one in known:
            for z in np.unique(known[one].numbers).tolist():
                entry = sums.setdefault(chemical_symbols[z], [0.0, 0.0])
                entry[0] += error
                entry[1] += 1
    return {e: {"n": int(n), "mae": s / n} for e, (s, n) in sums.items()}


def worst(values: Values, known: Mapping[str, Geometry], *, places: bool = False) -> Iterator[Block]:
    """The structures with the largest errors, to be turned; a table of those that cannot be shown.

    Args:
        values: of a target.
        known: structures by id.
        places: the values are positions: they are frames of their own.
    """
    errors = values.worst()
    order = sorted(errors, key=lambda i: -errors[i])[:WORST]
    if values.words is not None or not order:
        return
    first = {i: k for k, i in reversed(list(enumerate(values.ids)))}
    shown, rows = [], []
    single = len(values.true) == 1 and not len(values.sites)
    said = "|error|" if single else "mean |error|" + (" of components" if len(values.true) > 1 else "")
    for one in order:
        k = first[one]
        facts = [(said, f"{number(errors[one])} {values.unit}".rstrip())]
        if single:
            (component,) = values.true
            facts += [
                (n, _fact(of[component][k], values.unit))
                for n, of in (("true", values.true), ("predicted", values.predicted))
            ]
            if component in values.sigma:
                facts.append(("σ", _fact(values.sigma[component][k], values.unit)))
        if one in known:
            g = known[one]
            facts.append(("atoms", str(len(g.numbers))))
            facts.insert(0, ("formula", formula(g)))
            shown.append(Structure(one, _frames(values, one, g) if places else [g], facts))
        rows.append([one, *(v for n, v in facts if n not in ("formula", "atoms"))])
    if shown:
        yield Structures(
            f"The worst {len(shown)}", shown, "drag to turn; click it and use the wheel, or + and −, to come nearer"
        )
    if len(shown) < len(rows):
        heads = ["structure", *(n for n, _ in facts if n not in ("formula", "atoms"))]
        yield Table(heads, rows, f"The worst {len(rows)}")


def _frames(values: Values, one: str, start: Geometry) -> list[Geometry]:
    """Where atoms begin, where they are predicted to go, and where they do go; unknown atoms stay at the start."""
    found = [replace(start, said="start")]
    for said, place in zip(("predicted", "true"), values.places(one), strict=True):
        if place.shape == np.shape(start.positions):
            found.append(replace(start, positions=np.where(np.isfinite(place), place, start.positions), said=said))
    return found


def _fact(value: float, unit: str) -> str:
    return f"{number(value)} {unit}".strip() if math.isfinite(value) else ""


def formula(g: Geometry) -> str:
    """Reduced formula, elements in alphabetical order."""
    from ase.data import chemical_symbols

    z, counts = np.unique(np.asarray(g.numbers), return_counts=True)
    by = math.gcd(*counts.tolist())
    parts = sorted((chemical_symbols[a], n // by) for a, n in zip(z.tolist(), counts.tolist(), strict=True))
    return "".join(f"{s}{n if n > 1 else ''}" for s, n in parts)


def named_first(values: Sequence[Values]) -> list[str]:
    """Ids of all test structures, those with the largest errors first."""
    ranks: dict[str, int] = {}
    for one in values:
        errors = one.worst()
        for k, i in enumerate(sorted(errors, key=lambda i: -errors[i])):
            ranks[i] = min(ranks.get(i, k), k)
    return sorted(ranks, key=lambda i: (ranks[i], i))
