"""What a person sees of a benchmark: the plan, the table of folds, what each architecture reached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from crystalcli.benchmark.options import BenchmarkOptions
from crystalcli.benchmark.table import BASELINE, MODEL, PUBLISHED, SKIPPED
from crystalcli.contracts.workflow import Shown, Table
from crystalcli.engine.labels.label_requests import LabelRequest
from crystalcli.vocabulary.display import number, unit_for
from crystalcli.vocabulary.quantities import Quantity

WIDE = 10
"""Folds that fit a terminal; of more only the mean is shown, all are in the CSV table."""
KINDS = {MODEL: "", BASELINE: "baseline ", PUBLISHED: "published "}
MEASURES = {"mae": "MAE", "accuracy": "accuracy"}


def in_table(o: BenchmarkOptions, report: Mapping[str, Any]) -> bool:
    """Whether the tables of a finished benchmark have all architectures and published predictions of ``o``."""
    (one, *_) = report["targets"].values()
    there = {(r["kind"], r["label"]) for r in one["rows"]}
    asked = {(MODEL, label) for label in o.arch}
    asked |= {(PUBLISHED, LabelRequest.parse(text).name) for text in o.published}
    return asked <= there


def planned(found: Mapping[str, Any]) -> Shown:
    """The resolved plan."""
    lines = []
    for label, one in found["architectures"].items():
        graphs = ", ".join(f"{k}={v}" for k, v in one["graphs"]["options"].items())
        lines.append(f"{label}: featurizer {one['graphs']['featurizer']} ({graphs}), {one['recipe']['epochs']} epochs")
    what = "graph caches" if found["caches"] else "files of structures"
    lines.append(f"{found['files']} {what}")
    if "folds" not in found:
        lines.append("folds: known when the graphs are built")
        return Shown([*lines, f"device: {found['device']}"])
    n = len(found["folds"]) * len(found["architectures"])
    many = f", {found['ensemble']} members each" if found["ensemble"] else ""
    lines.append(f"{n} trainings{many}")
    cells = [[f["name"], *(str(f["sizes"][k]) for k in ("train", "val", "test"))] for f in found["folds"]]
    table = Table(("fold", "train", "validation", "test"), cells, found["how"])
    return Shown([*lines, f"device: {found['device']}"], tables=[table])


def headline(report: Mapping[str, Any]) -> str:
    """For lists of runs: the best architecture of every target."""
    return "; ".join(said for name, one in report["targets"].items() if (said := _best(name, one)))


def _best(name: str, one: Mapping[str, Any]) -> str:
    key = one["measure"]
    whole = [r for r in one["rows"] if r["kind"] == MODEL and r["mean"] is not None and key in r["mean"]]
    if not whole:
        return ""
    best = (min if key == "mae" else max)(whole, key=lambda r: r["mean"][key]["mean"])
    factor, unit = scale(one)
    return f"{name} {MEASURES[key]} {mean(best, key, factor)} {unit}".rstrip() + f" ({best['label']})"


def shown(report: Mapping[str, Any]) -> Shown:
    """What came out."""
    folds = [f["name"] for f in report["folds"]]
    tables = [of_target(name, one, folds) for name, one in report["targets"].items()]
    lines = list(_lines(report))
    warnings = [f"{f['architecture']}, fold {f['fold']}: {f['reason']}" for f in report["failed"]]
    if n := len(report["failed_structures"]):
        warnings.append(f"{n} structures could not be used; {report['output']} has the list")
    lines.append(f"table, predictions, pictures -> {report['output']}")
    return Shown(lines, tables=tables, errors=warnings)


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    yield from leak_lines(report)
    yield from skipped_lines(report)


def skipped_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Baselines and published predictions that are not there in every fold, and why."""
    for name, one in report["targets"].items():
        of = f" of {name}" if len(report["targets"]) > 1 else ""
        for row in one["rows"]:
            why = [f[SKIPPED] for f in row["folds"] if SKIPPED in f]
            if why and row["kind"] != MODEL:
                where = f" in {len(why)} of {len(row['folds'])} folds" if len(why) < len(row["folds"]) else ""
                yield f"{KINDS[row['kind']]}{row['label']}{of}: skipped{where}, {why[0]}"


def leak_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """What the parts of the folds share, in one line each: how many structures, in how many folds."""
    found: dict[tuple[str, str], list[int]] = {}
    for of in report["leaks"]:
        for leak in of:
            found.setdefault((leak["kind"], " and ".join(leak["parts"])), []).append(leak["n"])
    for (kind, parts), numbers in found.items():
        few, many = min(numbers), max(numbers)
        n = str(few) if few == many else f"{few} to {many}"
        yield f"leak: {parts} share {n} {WORDS.get(kind, kind)} in {len(numbers)} of {len(report['folds'])} folds"


WORDS = {"structure": "structures", "copy": "copies", "formula": "formulas", "run": "runs"}


def of_target(name: str, one: Mapping[str, Any], folds: Sequence[str]) -> Table:
    """Rows over folds, their mean and spread, and all folds as one set."""
    key, (factor, unit) = one["measure"], scale(one)
    there = folds if len(folds) <= WIDE else []
    rows = []
    for row in one["rows"]:
        if all(SKIPPED in f for f in row["folds"]):
            continue
        cells = ["–" if key not in f else number(f[key] * factor) for f in row["folds"]] if there else []
        whole = row["all"]
        together = number(whole[key] * factor) if whole is not None and key in whole else "–"
        rows.append([f"{KINDS[row['kind']]}{row['label']}", *cells, mean(row, key, factor), together])
    n = next((r["all"]["n"] for r in one["rows"] if r["all"] is not None), None)
    said = f"{name}: {MEASURES[key]}" + (f" ({unit})" if unit else "") + (f", {n} labels" if n else "")
    heads = ("", *there, "mean ± std", "all")
    caption = "mean and deviation (n − 1) over the folds; all: their structures as one set"
    return Table(heads, rows, f"{said}, by fold", caption)


def mean(row: Mapping[str, Any], key: str, factor: float) -> str:
    """``57.8 ± 3.1``; a dash where a fold is missing."""
    found = (row["mean"] or {}).get(key)
    if found is None:
        return "–"
    said = number(found["mean"] * factor)
    if found["std"] is None:
        return said
    deviation = found["std"] * factor
    return f"{said} ± {deviation:.0f}" if deviation >= 100 else f"{said} ± {deviation:.2g}"


def scale(one: Mapping[str, Any]) -> tuple[float, str]:
    """Factor and unit in which the errors of a target read best."""
    if one["measure"] != "mae":
        return 1.0, ""
    sizes = [r["mean"]["mae"]["mean"] for r in one["rows"] if r["mean"] is not None and "mae" in r["mean"]]
    return unit_for(min(sizes, default=1.0), Quantity("x", one["unit"]))
