"""The card of a model: what it was taught, and what it is worth, measured here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from crystalcli.engine.read.reading import Failure
from crystalcli.engine.run.devices import prepare_cpu
from crystalcli.prediction.predictor import Predictor
from crystalcli.prediction.rows import Row

LICENCE = "CC BY 4.0 (weights and data); cite Jain et al. 2013 and Dunn et al. 2020"
LEVEL = "PBE and PBE+U of the Materials Project, snapshot of 2018/2019"
DATA = (
    "mp-formation-energy: relaxed crystals of the Materials Project with at most 60 sites, as Matbench v0.1 has them, "
    "whose composition and space group occur once"
)
ATTRIBUTION = (
    "The Materials Project: A. Jain et al., APL Mater. 1, 011002 (2013), doi:10.1063/1.4812323, CC BY 4.0",
    "Matbench: A. Dunn et al., npj Comput. Mater. 6, 138 (2020), doi:10.1038/s41524-020-00406-3, MIT",
)
SPLIT = "by reduced formula: all polymorphs of a formula are in one part; Al-O and (Ti,Zr,Hf)-Zn-N phases are in none"
CLASSES = (
    ("halides", {"F", "Cl", "Br", "I"}),
    ("oxides", {"O"}),
    ("chalcogenides", {"S", "Se", "Te"}),
    ("pnictides", {"N", "P", "As", "Sb"}),
    ("other non-metals", {"H", "B", "C", "Si", "Ge", "He", "Ne", "Ar", "Kr", "Xe", "Rn", "At"}),
)
"""A crystal is of the first class that has one of its elements, else a metal."""
LARGE = {"eV/atom": 0.2, "eV": 1.0}
"""Errors above this are large."""
NAMES = {"al-o": "Al-O phases", "ti-zr-hf-zn-n": "(Ti,Zr,Hf)-Zn-N phases", "wbm": "WBM (substituted prototypes)"}


def card(model: Path, target: str, folder: Path, said: Sequence[str], hashes: Mapping[str, str]) -> dict[str, Any]:
    """All that a card holds but the hash of its file.

    Args:
        model: calibrated.
        target: which it shows.
        folder: with the graphs.
        said: commands.
        hashes: of the data.
    """
    prepare_cpu()
    predictor = Predictor(model, batch_size=256, allow_unseen=True)
    (quantity,) = (q for q in predictor.quantities if q.name == target)
    split = predictor.provenance["split"]
    rows = _rows(predictor, folder / "test.h5", target)
    mean = predictor.model.spec.statistics.target_mean[target]
    true = np.array([float(r.labels[target]) for r in rows])
    elsewhere = {
        name: _worth(found, target, quantity.unit)
        for file, name in NAMES.items()
        if (found := _rows(predictor, folder / f"{file}.h5", target))
    }
    test = _worth(rows, target, quantity.unit)
    return {
        "licence": LICENCE,
        "level": LEVEL,
        "target": target,
        "unit": quantity.unit,
        "data": DATA,
        "attribution": list(ATTRIBUTION),
        "structures": {
            "taught a member": len(split["train"]),
            "chose epochs alone": len(split["val"]),
            "calibrated sigma": predictor.model.sigma_fits[target].structures,
            "test": len(rows),
        },
        "split": SPLIT,
        "architecture": predictor.model.spec.architecture.name,
        "members": len(getattr(predictor.model, "members", [0])),
        "parameters": sum(p.numel() for p in predictor.model.parameters()),
        "test": test | {"mae of the mean": float(np.abs(true - mean).mean())},
        "elsewhere": elsewhere,
        "by_class": _by_class(rows, target),
        "by_element": _by_element(rows, target),
        "sha256_of_data": dict(hashes),
        "commands": [*said],
    }


def _rows(predictor: Predictor, cache: Path, target: str) -> list[Row]:
    """Predictions of structures with a label."""
    rows = [row for row in predictor.predict([str(cache)]) if not isinstance(row, Failure)]
    return [row for row in rows if target in row.labels]


def _error(row: Row, target: str) -> float:
    return float(row.values[target]) - float(row.labels[target])


def _worth(rows: Sequence[Row], target: str, unit: str) -> dict[str, Any]:
    """Errors, what intervals hold, and what the flag finds."""
    error = np.array([_error(r, target) for r in rows])
    sigma = np.array([float(r.uncertainties[target]["sigma"]) for r in rows])
    flagged = np.array([bool(r.extrapolating) for r in rows])
    large = np.abs(error) > LARGE[unit]
    found: dict[str, Any] = {
        "n": len(rows),
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "largest": float(np.abs(error).max()),
        "mean z2": float(((error / sigma) ** 2).mean()),
    }
    for word in rows[0].uncertainties[target]:
        if word.startswith("low_"):
            level = word.removeprefix("low_")
            ends = [(r.uncertainties[target][word], r.uncertainties[target][f"high_{level}"]) for r in rows]
            held = [float(a) <= float(r.labels[target]) <= float(b) for r, (a, b) in zip(rows, ends, strict=True)]
            found[f"{level} % hold"] = float(np.mean(held))
    return found | {
        "flagged": float(flagged.mean()),
        f"above {LARGE[unit]:g} {unit}": float(large.mean()),
        "of these flagged": float(flagged[large].mean()) if large.any() else None,
    }


def _class_of(row: Row) -> str:
    elements = set(row.atoms.symbols)
    return next((name for name, those in CLASSES if elements & those), "metals")


def _by_class(rows: Sequence[Row], target: str) -> dict[str, dict[str, float]]:
    names = [*(name for name, _ in CLASSES), "metals"]
    found: dict[str, list[float]] = {name: [] for name in names}
    for row in rows:
        found[_class_of(row)].append(abs(_error(row, target)))
    return {name: _mean(errors) for name, errors in found.items() if errors}


def _by_element(rows: Sequence[Row], target: str) -> dict[str, dict[str, float]]:
    """Over the crystals that have an element."""
    found: dict[int, list[float]] = {}
    for row in rows:
        for z in sorted({int(z) for z in row.atoms.numbers}):
            found.setdefault(z, []).append(abs(_error(row, target)))
    return {chemical_symbols[z]: _mean(found[z]) for z in sorted(found)}


def _mean(errors: Sequence[float]) -> dict[str, float]:
    return {"n": len(errors), "mae": float(np.mean(errors))}
