"""What a check found, and how findings of many structures are told as one."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["passed", "failed", "not run"]
WORST: tuple[Status, ...] = ("failed", "not run", "passed")


@dataclass(frozen=True)
class Finding:
    """One check on one structure, or on one pair of elements.

    Args:
        check: its name. subject: the structure's id, or ``Si-O``.
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
