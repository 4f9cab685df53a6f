"""The checks by name, what each found, and how findings of many structures are told as one.

Loads nothing heavy: help and completion want them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

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

Status = Literal["passed", "failed", "not run"]
WORST: tuple[Status, ...] = ("failed", "not run", "passed")


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


def wanted_checks(only: str, skip: str) -> tuple[str, ...]:
    """Names of the checks that ``--only`` and ``--skip`` leave.

    Raises:
        UsageError: a name that is none, or none left.
    """
    said = {flag: between_commas(text) for flag, text in (("only", only), ("skip", skip))}
    for flag, names in said.items():
        for name in names:
            if name not in CHECKS:
                raise UsageError(f"--{flag}: no check '{name}'; {did_you_mean(name, CHECKS)}")
    left = tuple(c for c in CHECKS if (not only or c in said["only"]) and c not in said["skip"])
    if not left:
        raise UsageError(f"--only and --skip leave nothing to check; checks: {', '.join(CHECKS)}")
    return left


def between_commas(text: str) -> tuple[str, ...]:
    """What stands between commas."""
    return tuple(w.strip() for w in text.split(",") if w.strip())


@dataclass(frozen=True)
class Finding:
    """One check on one structure, or on one pair of elements.

    Args:
        check: its name. subject: the structure's id, or ``O-Si``.
        status: ``not run`` is never passed: the potential, or the structure, has not what the check asks about.
        found, allowed: numbers by what they are of and their unit, such as ``{"energy (eV/atom)": 1e-9}``.
        said: why it is not passed, or where.
        more: further plain values for ``--json``.
    """

    check: str
    subject: str
    status: Status
    found: Mapping[str, float] = field(default_factory=dict)
    allowed: Mapping[str, float] = field(default_factory=dict)
    said: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values; a number that is none is null."""
        plain = dataclasses.asdict(self)
        for kind in ("found", "allowed"):
            plain[kind] = {k: v if math.isfinite(v) else None for k, v in plain[kind].items()}
        return plain


def judged(
    check: str, subject: str, found: Mapping[str, float], allowed: Mapping[str, float], said: str = "", **more: Any
) -> Finding:
    """Passed where every number is at most what is allowed; ``said`` is kept where it is not."""
    good = all(found[k] <= allowed[k] for k in found)  # a number that is none is not
    return Finding(check, subject, "passed" if good else "failed", found, allowed, "" if good else said, more)


def not_run(check: str, subject: str, why: str) -> Finding:
    """A check that could not be tried."""
    return Finding(check, subject, "not run", said=why)


def worst(findings: Sequence[Finding]) -> Finding:
    """The one that tells most of all of one check: a failed one first, of those the farthest beyond what is allowed."""
    return min(findings, key=lambda f: (WORST.index(f.status), -_excess(f)))


def _excess(f: Finding) -> float:
    shares = [f.found[k] / f.allowed[k] if f.allowed[k] else math.inf for k in f.found if k in f.allowed]
    return max((math.inf if math.isnan(s) else s for s in shares), default=0.0)
