"""How much larger are the errors of predictions that are flagged as extrapolations? By reason, for labelled caches.

python benchmarks/extrapolation.py MODEL CACHE... [--large 0.2] [--element F] [-o FILE]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from crystalcli.engine.read.reading import Failure
from crystalcli.engine.run.devices import prepare_cpu
from crystalcli.prediction.predictor import Predictor
from crystalcli.prediction.rows import Row

REASONS = {"never seen": "elements", "unlike": "unlike any structure of the training", "disagree": "members disagree"}


def told(rows: Sequence[Row], name: str, large: float) -> dict[str, Any]:
    """Errors, calibration and flags of structures with labels."""
    error = np.array([float(r.values[name]) - float(r.labels[name]) for r in rows])
    size = np.abs(error)
    spread = [r.uncertainties.get(name, {}) for r in rows]
    found: dict[str, Any] = {"n": len(rows), "mae": float(size.mean())}
    if "sigma" in spread[0]:
        found["mean z2"] = float(np.mean((error / np.array([float(u["sigma"]) for u in spread])) ** 2))
        found["smallest sigma_e"] = min(float(u.get("sigma_e", 0.0)) for u in spread)
    if "low_90" in spread[0]:
        inside = [
            float(u["low_90"]) <= float(r.labels[name]) <= float(u["high_90"])
            for u, r in zip(spread, rows, strict=True)
        ]
        found["90 % hold"] = float(np.mean(inside))
    for word, said in REASONS.items():
        flag = np.array([word in r.extrapolating for r in rows])
        if flag.any() and not flag.all():
            found[said] = {
                "share": float(flag.mean()),
                "mae flagged, others": [float(size[flag].mean()), float(size[~flag].mean())],
                "large flagged, others": [float((size[flag] > large).mean()), float((size[~flag] > large).mean())],
            }
    return found


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("caches", nargs="+")
    parser.add_argument("--large", type=float, default=0.2, help="errors above this are large, in the target's unit")
    parser.add_argument("--element", default="", help="structures with this element apart from the others")
    parser.add_argument("-o", "--output", type=Path)
    wish = parser.parse_args()
    torch.set_num_threads(1)
    prepare_cpu()
    predictor = Predictor(wish.model, batch_size=256, allow_unseen=True)
    name = predictor.quantities[0].name
    rows: list[Row] = []
    result = {}
    for cache in wish.caches:
        mine = [r for r in predictor.predict([cache]) if not isinstance(r, Failure) and name in r.labels]
        if not wish.element:
            result[cache] = told(mine, name, wish.large)
        rows += mine
    if wish.element:
        for word, has in ((f"with {wish.element}", True), (f"without {wish.element}", False)):
            result[word] = told([r for r in rows if (wish.element in r.atoms.symbols) == has], name, wish.large)
    text = json.dumps(result, indent=1)
    print(text)
    if wish.output:
        wish.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
