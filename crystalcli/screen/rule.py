"""Which candidates are worth the next, dearer step: the hull of predictions and the rule ``E_hull > κσ``.

F. Ekström Kelvinius, R. Armiento, F. Lindsten, Phys. Rev. Materials 6, 033801 (2022),
doi:10.1103/PhysRevMaterials.6.033801, Sec. II D. σ is the candidate's own; > is strict; what is on the hull stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crystalcli.screen import hull
from crystalcli.screen.hull import Amounts, Phase
from crystalcli.vocabulary.thresholds import Threshold


@dataclass(frozen=True)
class Candidate:
    """A phase with its predicted formation energy, eV/atom.

    Args:
        id: of the structure. amounts: composition.
        energy: mean of the members. aleatoric, epistemic: parts of σ. members: (M,) what each member says.
        extrapolating: why the prediction is not to be trusted as it is; empty if nothing speaks against it.
        calibration: how its σ was calibrated, or ``uncalibrated``; empty where nobody says.
    """

    id: str
    amounts: Amounts
    energy: float
    aleatoric: float
    epistemic: float
    members: tuple[float, ...] = ()
    extrapolating: str = ""
    calibration: str = ""

    @property
    def sigma(self) -> float:
        """``√(σ_a² + σ_e²)``, eV/atom."""
        return float(np.hypot(self.aleatoric, self.epistemic))


@dataclass(frozen=True)
class Decision:
    """What becomes of a candidate.

    Args:
        above: distance to the hull, eV/atom, 0 on it; negative only for one that does not compete.
        products: what it would decompose into.
        kept: whether it goes on.
        reason: in words.
        on_hull: share of the members for which it is on the hull; none without members.
        competes: whether its prediction shapes the hull of the others.
    """

    above: float
    products: tuple[str, ...]
    kept: bool
    reason: str
    on_hull: float | None = None
    competes: bool = True


def decide(
    candidates: Sequence[Candidate], references: Sequence[Phase], threshold: Threshold, *, robust: float = 1.0
) -> list[Decision]:
    """Decide on every candidate.

    Args:
        candidates: with predictions.
        references: phases of known energy; elements are added.
        threshold: how far above the hull a candidate may be.
        robust: candidates whose σ_e is above this quantile do not compete, but stay candidates: a single wild
            prediction cannot push all others out. 1: all compete.
    """
    if not candidates:
        return []
    spread = np.array([c.epistemic for c in candidates])
    sure = spread[np.isfinite(spread)]
    limit = np.quantile(sure, robust) if robust < 1.0 and len(sure) else np.inf
    competing = [bool(np.isfinite(c.energy) and s <= limit) for c, s in zip(candidates, spread, strict=True)]
    phases = [Phase(c.amounts, c.energy, c.id) for c in candidates]
    found = hull.distances(phases, competing, references, near=hull.ON_PREDICTED_HULL)
    shares = _shares_on_hull(candidates, competing, references)
    made = []
    for c, d, share, competes in zip(candidates, found, shares, competing, strict=True):
        kept, reason = _rule(c, d.above, threshold)
        made.append(Decision(d.above, d.products, kept, reason, share, competes))
    return made


def _rule(candidate: Candidate, above: float, threshold: Threshold) -> tuple[bool, str]:
    if not np.isfinite(candidate.energy):
        return True, "no prediction: kept, to be looked at"
    if above <= hull.ON_PREDICTED_HULL:
        return True, "on the predicted hull"
    if threshold.kind == "sigma" and not np.isfinite(candidate.sigma):
        return True, "no sigma: kept, to be looked at"
    reach = threshold.reach(candidate.sigma)
    height, limit = f"{1000 * above:.1f} meV/atom above the hull", f"{threshold} = {1000 * reach:.1f} meV/atom"
    if threshold.kind == "energy":
        limit = str(threshold)
    if above > reach:
        return False, f"{height} > {limit}"
    return True, f"{height} ≤ {limit}"


def _shares_on_hull(
    candidates: Sequence[Candidate], competing: Sequence[bool], references: Sequence[Phase]
) -> list[float | None]:
    """For every candidate the share of members in whose own hull it is stable; none where they did not predict it.

    What does not shape the hull of the mean does not shape those of the members either.
    """
    asked = [k for k, c in enumerate(candidates) if c.members and np.isfinite(c.members).all()]
    counts = {len(candidates[k].members) for k in asked}
    shares: list[float | None] = [None] * len(candidates)
    if len(counts) != 1:
        return shares
    (n,) = counts
    votes, takes_part = np.zeros(len(asked)), [competing[k] for k in asked]
    for m in range(n):
        phases = [Phase(candidates[k].amounts, candidates[k].members[m], candidates[k].id) for k in asked]
        found = hull.distances(phases, takes_part, references, near=hull.ON_PREDICTED_HULL)
        votes += [d.above <= hull.ON_PREDICTED_HULL for d in found]
    for k, v in zip(asked, votes / n, strict=True):
        shares[k] = float(v)
    return shares


def stage_costs(counts: Sequence[int], costs: Sequence[float], trained_on: int) -> float:
    """Cost of a staged campaign in units of a full relaxation.

    ``(Σ_s n_s c_s + n_train Σ_s c_s) / Σ_s c_s``: stage s is paid for the n_s candidates that reach it; the structures
    that models are trained on pay all stages.
    """
    whole = sum(costs)
    return (sum(n * c for n, c in zip(counts, costs, strict=True)) + trained_on * whole) / whole
