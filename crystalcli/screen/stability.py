"""How well predicted distances to the hull tell stable phases from others.

Conventions of J. Riebesell et al., Nat. Mach. Intell. (2025), arXiv:2308.14920 (Matbench Discovery): positive is
E_hull ≤ t; a missing prediction counts as unstable.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crystalcli.screen.hull import ON_HULL

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Stability:
    """Classification and error of distances to the hull.

    Args:
        n: phases. prevalence: share that is truly stable.
        precision, recall, f1: of being stable; 0 where nothing is found.
        tpr, fpr, tnr, fnr: rates of true and false positives and negatives.
        daf: discovery acceleration factor, precision over prevalence.
        mae, rmse: of E_hull, eV/atom, over finite predictions. r2: none where the truth is constant.
    """

    n: int
    prevalence: float
    precision: float
    recall: float
    f1: float
    tpr: float
    fpr: float
    tnr: float
    fnr: float
    daf: float
    mae: float
    rmse: float
    r2: float | None


def stability(predicted: Floats, true: Floats, threshold: float = 0.0) -> Stability:
    """Compare predicted with true distances to the hull, (n,) eV/atom each; ``threshold`` t in eV/atom."""
    tolerance = threshold + ON_HULL
    stable, called = true <= tolerance, np.isfinite(predicted) & (predicted <= tolerance)
    tp, fp = int((called & stable).sum()), int((called & ~stable).sum())
    fn, tn = int((~called & stable).sum()), int((~called & ~stable).sum())
    precision, recall, fpr = _share(tp, tp + fp), _share(tp, tp + fn), _share(fp, fp + tn)
    prevalence = _share(tp + fn, len(true))
    known = np.isfinite(predicted)
    error, truth = (predicted - true)[known], true[known]
    spread = float(np.square(truth - truth.mean()).sum()) if known.any() else 0.0
    return Stability(
        n=len(true),
        prevalence=prevalence,
        precision=precision,
        recall=recall,
        f1=_share(2 * tp, 2 * tp + fp + fn),
        tpr=recall,
        fpr=fpr,
        tnr=_share(tn, fp + tn),
        fnr=_share(fn, tp + fn),
        daf=precision / prevalence if prevalence else 0.0,
        mae=float(np.abs(error).mean()) if known.any() else float("nan"),
        rmse=float(np.sqrt(np.square(error).mean())) if known.any() else float("nan"),
        r2=1.0 - float(np.square(error).sum()) / spread if spread > 0 else None,
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
