"""A screening on disk: a row for every candidate, the list of survivors, hulls as pictures, the summary."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crystalcli.mechanisms.drawing import screening_plots
from crystalcli.mechanisms.models.sigma_fit import UNCALIBRATED
from crystalcli.mechanisms.phases import hull
from crystalcli.mechanisms.phases.hull import Phase
from crystalcli.mechanisms.phases.screening import Candidate, Decision
from crystalcli.mechanisms.running import files
from crystalcli.mechanisms.running.run_folder import RunFolder
from crystalcli.mechanisms.running.tables import csv_text
from crystalcli.mechanisms.scoring import stability
from crystalcli.vocabulary.errors import Exit
from crystalcli.vocabulary.pictures import FORMATS, paths
from crystalcli.vocabulary.thresholds import Threshold
from crystalcli.workflows.screen.screening_data import Pool

TABLE, SURVIVORS, REPORT = "screening.csv", "survivors.txt", "report.json"
HULL, MOST_PICTURES = "hull-", 12
HEADER = (
    "id",
    "formula",
    "system",
    "E_f [eV/atom]",
    "sigma_a [eV/atom]",
    "sigma_e [eV/atom]",
    "sigma [eV/atom]",
    "calibration",
    "E_hull [eV/atom]",
    "P(on hull)",
    "decomposes to",
    "decision",
    "reason",
    "extrapolating",
)


def write(
    folder: RunFolder,
    pool: Pool,
    candidates: Sequence[Candidate],
    decisions: Sequence[Decision],
    references: Sequence[Phase],
    threshold: Threshold,
    formats: str,
) -> dict[str, Any]:
    """Write everything; returns what report.json holds. Rows are sorted by distance to the hull, then by id."""
    order = sorted(range(len(candidates)), key=lambda k: (decisions[k].above, candidates[k].id))
    folder.write(TABLE, csv_text(list(HEADER), [_row(candidates[k], decisions[k]) for k in order]))
    kept = [candidates[k].id for k in order if decisions[k].kept]
    folder.write(SURVIVORS, "".join(f"{i}\n" for i in kept))
    systems = Counter(system(c.amounts) for c in candidates)
    pictures = draw_systems(folder.path, candidates, decisions, references, systems, formats)
    data = {
        "folder": str(folder.path),
        "threshold": str(threshold),
        "candidates": len(candidates),
        "kept": len(kept),
        "removed": len(candidates) - len(kept),
        "on_predicted_hull": sum(1 for d in decisions if d.above <= hull.ON_HULL),
        "extrapolating": sum(bool(c.extrapolating) for c in candidates),
        "uncalibrated": sum(c.calibration == UNCALIBRATED for c in candidates),
        "references": len(references),
        "systems": dict(systems.most_common()),
        "failed": [{"id": f.id, "path": f.path, "reason": f.reason} for f in pool.failures],
        "pictures": pictures,
        "stability": _stability(pool, decisions, references),
        "exit_code": int(Exit.SOME_FAILED if pool.failures else Exit.OK),
    }
    folder.write_json(REPORT, data)
    return data


def clear(folder: Path) -> None:
    """Remove what an earlier screening left."""
    for name in (TABLE, SURVIVORS, REPORT, "candidates.h5", "references.h5", "predictions.jsonl"):
        files.remove(folder / name)
    clear_hulls(folder)
    shutil.rmtree(folder / "model", ignore_errors=True)


def clear_hulls(folder: Path) -> None:
    """Remove the pictures of :func:`draw_systems`, in whatever format."""
    for ending in FORMATS:
        for picture in folder.glob(f"{HULL}*.{ending}"):
            files.remove(picture)


def lines(data: Mapping[str, Any]) -> list[str]:
    """What a person wants to know."""
    said = [
        f"{data['candidates']} candidates: {data['kept']} kept ({data['on_predicted_hull']} on the predicted hull), "
        f"{data['removed']} removed by E_hull > {data['threshold']}"
    ]
    if data["extrapolating"]:
        said.append(f"{data['extrapolating']} are extrapolations; see the last column of {TABLE}")
    if data["uncalibrated"] and data["threshold"].endswith("σ"):
        said.append("sigma is uncalibrated: crystal calibrate MODEL LABELLED gives it the size that errors have")
    s = data["stability"]
    if s:
        said.append(
            f"beside the true energies: recall {s['recall']:.2f}, precision {s['precision']:.2f}, F1 {s['f1']:.2f}, "
            f"DAF {s['daf']:.2f}, MAE of E_hull {1000 * s['mae']:.1f} meV/atom ({s['n']} candidates)"
        )
    return [*said, f"table -> {data['folder']}/{TABLE}", f"survivors -> {data['folder']}/{SURVIVORS}"]


def _row(c: Candidate, d: Decision) -> list[str]:
    numbers = [c.energy, c.aleatoric, c.epistemic, c.sigma]
    return [
        c.id,
        formula(c.amounts),
        system(c.amounts),
        *(f"{v:.6f}" for v in numbers),
        c.calibration,
        f"{d.above:.6f}",
        "" if d.on_hull is None else f"{d.on_hull:g}",
        " + ".join(d.products),
        "keep" if d.kept else "remove",
        d.reason if d.competes else f"{d.reason} (does not shape the hull of others)",
        c.extrapolating,
    ]


def _stability(pool: Pool, decisions: Sequence[Decision], references: Sequence[Phase]) -> dict[str, Any] | None:
    """Metrics where the candidates' true energies are known: their distances to the hull of all true energies."""
    known = np.isfinite(pool.energy)
    if not known.any():
        return None
    truth = [Phase(a, float(e)) for a, e, k in zip(pool.amounts(), pool.energy, known, strict=True) if k]
    true = np.array([d.above for d in hull.distances(truth, [True] * len(truth), references)])
    found = np.array([d.above for d in decisions])[known]
    return stability.stability(found, true).to_json()


def draw_systems(
    folder: Path,
    candidates: Sequence[Candidate],
    decisions: Sequence[Decision],
    references: Sequence[Phase],
    systems: Counter[str],
    pictures: str,
) -> list[str]:
    """A picture of each binary and ternary system, the largest first; returns the names of the files."""
    made: list[list[Path]] = []
    for system, _ in systems.most_common():
        elements = system.split("-")
        if len(elements) not in (2, 3) or len(made) == MOST_PICTURES:
            continue
        inside = [(c, d) for c, d in zip(candidates, decisions, strict=True) if set(c.amounts) <= set(elements)]
        known = [p for p in references if set(p.amounts) <= set(elements)]
        made.append(paths(folder / f"{HULL}{system}", pictures))
        screening_plots.draw(made[-1], elements, inside, known)
    return [path.name for drawn in made for path in drawn]


def system(amounts: Mapping[str, float]) -> str:
    """``Hf-N-Zn``."""
    return "-".join(sorted(amounts))


def formula(amounts: Mapping[str, float]) -> str:
    """Reduced formula, elements in alphabetical order."""
    divisor = int(np.gcd.reduce([round(n) for n in amounts.values()])) or 1
    return "".join(f"{s}{round(n) // divisor if round(n) != divisor else ''}" for s, n in sorted(amounts.items()))
