"""What a person sees of the checks of a potential: a row a check, and a line for all that is not passed."""

from __future__ import annotations

import re
from collections.abc import Sequence

from crystalcli.contracts.workflow import Shown, Table
from crystalcli.potential_checks.findings import OF_PAIRS, Finding, worst
from crystalcli.potential_checks.run import Report

LINES, ALIKE = 40, 3
"""Of what is not passed; so many that say the same but for its numbers are told each for itself."""
NUMBER = re.compile(r"[+-]?\d[\d.]*(e[+-]?\d+)?")


def shown(name: str, report: Report) -> Shown:
    """Tables and lines."""
    by_check: dict[str, list[Finding]] = {}
    for f in report.findings:
        by_check.setdefault(f.check, []).append(f)
    rows = [_row(found) for found in by_check.values()]
    heads = ["check", "", "of", "at the worst", "allowed"]
    tables = [Table(heads, rows, title=f"potential {name}")]
    if report.speeds:
        heads = ["structure", "atoms", "ms/atom", "CPU ms/atom", "threads", "on"]
        timed = [
            [s.subject, str(s.atoms), f"{s.wall:.3g}", f"{s.cpu:.3g}", str(s.threads), s.device] for s in report.speeds
        ]
        tables.append(Table(heads, timed, title="speed of energy, forces and stress"))
    return Shown(_lines(report), tables=tables)


def _row(found: Sequence[Finding]) -> list[str]:
    one = worst(found)
    passed = sum(f.status == "passed" for f in found)
    numbers, allowed = (_numbers(kind) for kind in (one.found, one.allowed))
    return [one.check, one.status, f"{passed}/{len(found)}", numbers, allowed]


def _numbers(values: object) -> str:
    assert isinstance(values, dict)
    return "\n".join(f"{v:.2g} {k.partition('(')[2].removesuffix(')')}" for k, v in values.items())


def _lines(report: Report) -> list[str]:
    bad = [f for f in report.findings if f.status != "passed"]
    alike: dict[tuple[str, ...], list[Finding]] = {}
    for f in sorted(bad, key=lambda f: f.status):  # failed before not run
        alike.setdefault((f.status, f.check, NUMBER.sub("0", f.said)), []).append(f)
    said = [line for found in alike.values() for line in _told(found)]
    lines = said[:LINES]
    if len(said) > LINES:
        lines.append(f"… and {len(said) - LINES} more; --json has all")
    lines += report.notes
    passed = len(report.findings) - len(bad)
    failed = sum(f.status == "failed" for f in bad)
    lines.append(f"{passed} of {len(report.findings)} checks passed, {failed} failed, {len(bad) - failed} not run")
    return lines


def _told(alike: Sequence[Finding]) -> list[str]:
    """A line for each of a few, one line with the worst for many."""
    one = worst(alike)
    if len(alike) <= ALIKE:
        return [f"{f.status}: {f.check}: {f.subject}: {f.said}" for f in alike]
    what = "pairs" if one.check in OF_PAIRS else "structures"
    names = ", ".join(f.subject for f in alike[:ALIKE])
    which = "the worst" if one.found else "the first"
    return [f"{one.status}: {one.check}: {len(alike)} {what} ({names}, …); {which}, {one.subject}: {one.said}"]
