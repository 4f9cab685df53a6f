"""The end of a training run: the untouched test part, the baselines beside it, files for people and programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from crystalcli.contracts.workflow import Run
from crystalcli.engine.baselines import baselines, extra_baselines, site_baselines
from crystalcli.engine.evaluate import evaluation, metrics, site_errors
from crystalcli.engine.evaluate.evaluation import Collected
from crystalcli.train import positions
from crystalcli.train.setup import Prepared
from crystalcli.vocabulary.errors import CrystalError
from crystalcli.vocabulary.quantities import Quantity
from crystalcli.vocabulary.tables import csv_text


@dataclass(frozen=True)
class TargetReport:
    """Test errors of one target: of the model, and of every baseline or why there is none.

    ``extrapolated`` counts test structures that have what a baseline's fit never met (distances, for pairs). ``more``
    are further errors of values or places of sites, by row (``model`` and the baselines). ``compared`` holds what is
    reported of the architectures trained beside the model, by name, or why there is nothing.
    """

    quantity: Quantity
    model: metrics.Errors | metrics.ClassErrors | None
    baselines: dict[str, metrics.Errors | metrics.ClassErrors | str] = field(default_factory=dict)
    by_element: dict[str, dict[str, Any]] = field(default_factory=dict)
    extrapolated: dict[str, int] = field(default_factory=dict)
    more: dict[str, dict[str, float]] = field(default_factory=dict)
    compared: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def rows(self) -> dict[str, metrics.Errors | metrics.ClassErrors | str]:
        """All that stands beside each other: the model, what was trained beside it, the baselines."""
        beside = {n: c["skipped"] if "skipped" in c else metrics.from_json(c) for n, c in self.compared.items()}
        return {**({"model": self.model} if self.model else {}), **beside, **self.baselines}

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary."""
        rows = {
            n: {"skipped": b} if isinstance(b, str) else {**b.to_json(), **self.more.get(n, {})}
            for n, b in self.baselines.items()
        }
        return {
            "quantity": self.quantity.to_json(),
            "unit": self.quantity.unit,
            "model": {**self.model.to_json(), **self.more.get("model", {})} if self.model else None,
            "compared": dict(self.compared),
            "baselines": rows,
            "by_element": self.by_element,
            "extrapolated": self.extrapolated,
        }


def report_targets(
    prepared: Prepared, found: dict[str, Collected], extras: Sequence[str] = (), *, paper_baselines: bool = False
) -> list[TargetReport]:
    """Errors of the model and of the baselines on the test part.

    Args:
        prepared: the run.
        found: its predictions.
        extras: further baselines, by what was typed for them.
        paper_baselines: means of elements from all labels, the test part's too.
    """
    reports = [_report(prepared, found[q.name], paper_baselines) for q in prepared.targets]
    wished = extra_baselines.parse_all(extras)
    return [_with_extras(prepared, found[r.quantity.name], r, wished) for r in reports] if wished else reports


def _with_extras(
    prepared: Prepared, found: Collected, report: TargetReport, extras: Sequence[extra_baselines.Extra]
) -> TargetReport:
    rows, more = dict(report.baselines), dict(report.more)
    for extra in extras if found.mask.any() else ():
        try:
            split = prepared.split
            guess = extra_baselines.predict(extra, prepared.data, found.quantity.name, split.train, split.test)
        except CrystalError as problem:
            rows[extra.text] = problem.reason
            continue
        rows[extra.text] = _errors(prepared, found, guess.values)
        more[extra.text] = guess.facts
    return replace(report, baselines=rows, more=more)


def _report(prepared: Prepared, found: Collected, paper_baselines: bool) -> TargetReport:
    q = found.quantity  # a total comes per atom
    if not found.mask.any():
        return TargetReport(q, None)
    if q.level == "site" and not q.shape and not q.classes:
        return _of_sites(prepared, found, paper_baselines)
    rows: dict[str, metrics.Errors | metrics.ClassErrors | str] = {}
    extrapolated: dict[str, int] = {}
    if q.meaning == "position":
        beside = positions.beside(prepared, found)
        return TargetReport(q, found.errors(), beside.baselines, beside.by_element, more=beside.more)
    for name in baselines.NAMES:
        rows[name] = _baseline(name, prepared, found, extrapolated)
    by_element = _by_element(prepared, found) if q.level == "structure" and not q.classes and not q.shape else {}
    return TargetReport(q, found.errors(), rows, by_element, extrapolated)


def _of_sites(prepared: Prepared, found: Collected, paper_baselines: bool) -> TargetReport:
    data, split, mask, q = prepared.data, prepared.split, found.mask, found.quantity
    counts = data.atom_counts()[split.test]
    numbers = data.atomic_numbers()[data.atoms_of(split.test)]
    others = site_baselines.predictions(data, q.name, split.train, split.test, paper_mode=paper_baselines)
    constant = _constant(prepared, found)
    rows: dict[str, metrics.Errors | metrics.ClassErrors | str] = {"mean": constant}
    rows |= {n: _errors(prepared, found, v) for n, v in others.items()}
    values = {"model": found.value, **others}
    more = {n: site_errors.more_errors(q, v, found.true, mask, counts) for n, v in values.items()}
    seen = frozenset(prepared.model.spec.statistics.elements)
    by_element = site_errors.by_element(numbers, found.value, found.true, mask, seen)
    return TargetReport(q, found.errors(), rows, by_element, more=more)


def _baseline(
    name: str, prepared: Prepared, found: Collected, extrapolated: dict[str, int]
) -> metrics.Errors | metrics.ClassErrors | str:
    q = found.quantity
    if q.level != "structure" or q.classes or q.shape:
        return _constant(prepared, found) if name == "mean" else "for one number per structure only"
    try:
        fitted = baselines.fit(name, prepared.data, prepared.split.train, q.name)
        value, n = baselines.evaluate_counting(fitted, prepared.data, prepared.split.test)
    except CrystalError as problem:
        return problem.reason
    if n:
        extrapolated[name] = n
    if prepared.data.columns[q.name].quantity.extensive:
        value = value / prepared.data.atom_counts()[prepared.split.test]
    return _errors(prepared, found, value)


def _errors(prepared: Prepared, found: Collected, values: Any) -> metrics.Errors:
    """Errors of other predictions ``values`` of the test part, counted as the model's."""
    model, data = prepared.model, prepared.data
    if found.counted is None:
        return metrics.regression(values[found.mask], found.true[found.mask])
    quantity = data.columns[found.quantity.name].quantity
    true, how = evaluation.nearest_labels(model, data, prepared.split.test, quantity, values)
    return evaluation.compared(values[found.mask], true[found.mask], how)


def _constant(prepared: Prepared, found: Collected) -> metrics.Errors | metrics.ClassErrors:
    """Always the training mean, or the training frequencies of the classes."""
    q, index = found.quantity, prepared.split.train
    if q.level == "site":
        index = prepared.data.atoms_of(index)
    column = prepared.data.columns[q.name]
    known = column.values[index][column.mask[index]]
    true = found.true[found.mask].ravel()
    if found.counted is not None:
        return _errors(prepared, found, np.broadcast_to(known.mean(0), found.value.shape).copy())
    if q.classes:
        shares = np.bincount(known.astype(np.int64), minlength=q.classes) / len(known)
        return metrics.classification(np.tile(shares, (len(true), 1)), true)
    return metrics.regression(np.full(len(true), known.mean()), true)


def _by_element(prepared: Prepared, found: Collected) -> dict[str, dict[str, float | int]]:
    """MAE over the test structures that contain an element, and whether training has seen it."""
    data, test = prepared.data, prepared.split.test
    counts = data.atom_counts()
    place = np.full(len(data), -1)
    place[test] = np.arange(len(test))
    owner = place[np.repeat(np.arange(len(data)), counts)]
    numbers = data.atomic_numbers()[owner >= 0]
    contains = np.zeros((len(test), 120), dtype=bool)
    contains[owner[owner >= 0], numbers] = True
    contains &= found.mask[:, None]
    error = np.where(found.mask, np.abs(found.value - found.true), 0.0)
    seen = set(prepared.model.spec.statistics.elements)
    return {
        chemical_symbols[z]: {
            "n": int(contains[:, z].sum()),
            "mae": float(error[contains[:, z]].mean()),
            "in_training": int(z in seen),
        }
        for z in np.flatnonzero(contains.any(axis=0)).tolist()
    }


def write_predictions(
    run: Run, name: str, ids: Sequence[str], sites: NDArray[np.int64] | None, found: dict[str, Collected]
) -> Path:
    """Write true and predicted values of a part as CSV; missing labels are empty."""
    header, columns = ["id"], [list(ids)]
    if sites is not None:
        header, columns = [*header, "site"], [*columns, [str(s) for s in sites]]
    for q, c in ((c.quantity, c) for c in found.values()):
        unit = f" [{q.unit}]" if q.unit else ""
        if q.classes:
            header += [f"{q.name} true", f"{q.name} predicted"]
            header += [f"{q.name} P({w})" for w in q.words]
            columns += [
                [q.words[int(v)] if m else "" for v, m in zip(c.true, c.mask, strict=True)],
                [q.words[k] for k in c.value.argmax(axis=1)],
                *([repr(float(v)) for v in p] for p in c.value.T),
            ]
            continue
        shape = (len(c.mask), -1)
        for part, value, true in zip(q.components, c.value.reshape(shape).T, c.true.reshape(shape).T, strict=True):
            header += [f"{q.name}{part} true{unit}", f"{q.name}{part} predicted{unit}"]
            known = [repr(float(v)) if m else "" for v, m in zip(true, c.mask, strict=True)]
            columns += [known, [repr(float(v)) for v in value]]
        if c.sigma is not None:
            header += [f"{q.name}{part} sigma{unit}" for part in q.components]
            columns += [[repr(float(v)) for v in sigma] for sigma in c.sigma.reshape(shape).T]
    return run.write(name, csv_text(header, zip(*columns, strict=True)))


def write_test_predictions(prepared: Prepared, run: Run, found: Mapping[str, Collected]) -> None:
    """Write what is predicted for the test part: one table of structures, one of sites."""
    names = [prepared.ids[i] for i in prepared.split.test]
    counts = prepared.data.atom_counts()[prepared.split.test]
    structures = {n: c for n, c in found.items() if c.quantity.level == "structure"}
    per_site = {n: c for n, c in found.items() if c.quantity.level == "site"}
    if structures:
        write_predictions(run, "predictions-test.csv", names, None, structures)
    if per_site:
        ids = [i for i, n in zip(names, counts, strict=True) for _ in range(n)]
        sites = np.concatenate([np.arange(n) for n in counts])
        write_predictions(run, "predictions-test-sites.csv", ids, sites, per_site)


def predict_test(prepared: Prepared, batch_size: int) -> dict[str, Collected]:
    """Predictions of the test part."""
    return evaluation.collect(
        prepared.model, prepared.data, prepared.split.test, batch_size, prepared.baseline_values or None
    )
