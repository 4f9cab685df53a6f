"""What held-out labels said of the σ of a model: a factor, and half widths of intervals. Kept in its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from crystalcli.contracts.modules import Prediction
from crystalcli.nouns.graph import CrystalGraph

UNCALIBRATED = "uncalibrated"


@dataclass(frozen=True)
class SigmaFit:
    """How the σ of one target is set right.

    Args:
        method: scale, or conformal (half widths too).
        factor: every part of σ is multiplied with it; mean z² of the fitted labels is 1 then. Of a model without σ it
            is σ itself, one number in the unit of the target (per atom for totals).
        half_widths: by level (``"0.9"``), in σ as it was before: value ± half width · σ holds a new label with that
            chance or more; 0 where so many errors are zero.
        n: labels. structures: that they belong to. data: name, or path of those of one name, →
            SHA-256 of the files with them.
    """

    method: str
    factor: float
    half_widths: Mapping[str, float]
    n: int
    structures: int
    data: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary, the inverse of :meth:`from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> SigmaFit:
        """Build from the dictionary of :meth:`to_json`.

        Raises:
            ValueError: numbers that cannot be.
        """
        made = cls(**found)
        widths = [float(w) for w in made.half_widths.values()]
        if not 0.0 < float(made.factor) < float("inf") or not all(0.0 <= w < float("inf") for w in widths):
            raise ValueError("a calibration of sigma that cannot be")
        return made

    def applied(self, prediction: Prediction, graph: CrystalGraph) -> Prediction:
        """``prediction`` with σ, its parts and its intervals as they were fitted."""
        before = unit_sigma(prediction, graph) if prediction.sigma is None else prediction.sigma
        noise, spread = prediction.aleatoric, prediction.epistemic
        return replace(
            prediction,
            sigma=before * self.factor,
            aleatoric=None if noise is None else noise * self.factor,
            epistemic=None if spread is None else spread * self.factor,
            half_widths={level: before * w for level, w in self.half_widths.items()},
        )


def unit_sigma(prediction: Prediction, graph: CrystalGraph) -> Tensor:
    """σ = 1 for every value, one per atom for totals: what a model without σ is fitted with."""
    ones = torch.ones_like(prediction.value)
    q = prediction.quantity
    return ones * graph.atom_counts if q.extensive and q.level == "structure" else ones


def applied(
    fits: Mapping[str, SigmaFit], predictions: Mapping[str, Prediction], graph: CrystalGraph
) -> dict[str, Prediction]:
    """Every prediction with the fit of its target, where there is one."""
    return {n: fits[n].applied(p, graph) if n in fits else p for n, p in predictions.items()}
