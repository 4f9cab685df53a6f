"""Names of the checks, in the order in which they are tried, and what is asked of them.

Loads nothing heavy: help and completion want them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from crystalcli.vocabulary.errors import UsageError, did_you_mean

OF_STRUCTURES = {
    "noise": "answers scatter no more than single precision does",
    "repeat": "asked again, the same answer",
    "translation": "moved, and atoms by lattice vectors",
    "rotation": "turned: energy the same, forces and stress turn",
    "mirror": "reflected",
    "permutation": "another order of the atoms",
    "supercell": "twice the crystal, twice the energy",
    "cell": "other vectors of the same lattice",
    "forces": "the derivative of the energy, by differences",
    "stress": "the derivative by the strain, by differences",
    "smooth": "no jumps of energy and forces as a crystal grows",
    "drift": "energy stays in undisturbed dynamics",
    "speed": "time of a call",
}
OF_PAIRS = {
    "core": "two atoms repel each other all the way in",
    "pair-smooth": "no jumps as two atoms part",
}
CHECKS = (*OF_STRUCTURES, *OF_PAIRS)
ALL = "all"
"""All elements that the potential knows, as a word of ``--elements``."""


@dataclass(frozen=True, kw_only=True)
class CheckRequest:
    """What of a potential is checked.

    Args:
        checks: names. elements: of the pairs, symbols; empty: those of structures, or all if they are few.
        kelvin, steps: of the dynamics. seed: of everything random.
    """

    checks: tuple[str, ...] = CHECKS
    elements: tuple[str, ...] = ()
    kelvin: float = 300.0
    steps: int = 300
    seed: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain values by the names of the flags, and the checks."""
        return {
            "checks": list(self.checks),
            "elements": list(self.elements),
            "temperature": self.kelvin,
            "steps": self.steps,
            "seed": self.seed,
        }


def wanted(only: str, skip: str) -> tuple[str, ...]:
    """Names of the checks that ``--only`` and ``--skip`` leave.

    Raises:
        UsageError: a name that is none, or none left.
    """
    said = {flag: words(text) for flag, text in (("only", only), ("skip", skip))}
    for flag, names in said.items():
        for name in names:
            if name not in CHECKS:
                raise UsageError(f"--{flag}: no check '{name}'; {did_you_mean(name, CHECKS)}")
    left = tuple(c for c in CHECKS if (not only or c in said["only"]) and c not in said["skip"])
    if not left:
        raise UsageError(f"--only and --skip leave nothing to check; checks: {', '.join(CHECKS)}")
    return left


def words(text: str) -> tuple[str, ...]:
    """What stands between commas."""
    return tuple(w.strip() for w in text.split(",") if w.strip())
