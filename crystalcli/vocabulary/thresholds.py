"""Thresholds as people write them: ``2sigma``, ``2σ``, ``50meV``, ``0.05eV``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from crystalcli.vocabulary.errors import UsageError

_TEXT = re.compile(r"\s*(?P<number>\d+(?:\.\d*)?|\.\d+)\s*(?P<unit>sigma|σ|meV(?:/atom)?|eV(?:/atom)?)\s*")


@dataclass(frozen=True)
class Threshold:
    """How far above the hull a phase may be.

    Args:
        value: a multiple of σ, or eV/atom.
        kind: which of them.
    """

    value: float
    kind: Literal["sigma", "energy"]

    @classmethod
    def parse(cls, text: str) -> Threshold:
        """Read a threshold.

        Raises:
            UsageError: anything else than a number with ``sigma``, ``σ``, ``meV`` or ``eV``.
        """
        match = _TEXT.fullmatch(text)
        if not match:
            raise UsageError(f"threshold '{text}' is not understood; write 2sigma, 2σ, 50meV or 0.05eV (per atom)")
        number, unit = float(match["number"]), match["unit"].removesuffix("/atom")
        if unit in ("sigma", "σ"):
            return cls(number, "sigma")
        return cls(number / 1000.0 if unit == "meV" else number, "energy")

    def __str__(self) -> str:
        return f"{self.value:g}σ" if self.kind == "sigma" else f"{self.value * 1000:g} meV/atom"

    def reach(self, sigma: float) -> float:
        """The distance above the hull, eV/atom, beyond which a phase of uncertainty ``sigma`` is out."""
        return self.value * sigma if self.kind == "sigma" else self.value
