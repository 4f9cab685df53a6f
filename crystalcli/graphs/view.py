"""What a person sees of a build: the plan, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from crystalcli.contracts.workflow import Shown

SHOWN = 100
"""Failures printed one by one; all of them are in the file beside the cache."""
SHOWN_WARNINGS = 10


def planned(found: Mapping[str, Any]) -> Shown:
    """The resolved plan."""
    options = ", ".join(f"{k} {v}" for k, v in found["options"].items())
    lines = [
        f"would build {found['output']} from {found['files']} files",
        f"featurizer {found['featurizer']}: {options}",
    ]
    if found["fields"]:
        lines.append(f"per-site fields: {', '.join(found['fields'])}")
    if found["up_to_date"]:
        lines.append("nothing to do: it is up to date")
    return Shown(lines)


def shown(report: Mapping[str, Any]) -> Shown:
    """What was built, and what failed."""
    warnings = [
        *report["label_warnings"],
        *(f"{w['source']}: {w['text']}" for w in report["warnings"][:SHOWN_WARNINGS]),
    ]
    if (more := len(report["warnings"]) - SHOWN_WARNINGS) > 0:
        warnings.append(f"{more} more warnings of this kind; --json lists all")
    errors = [f"{f['path']}: {f['reason']}" for f in report["failures"][:SHOWN]]
    if (more := len(report["failures"]) - SHOWN) > 0:
        errors.append(f"{more} more inputs failed; see {report['failures_file']}")
    return Shown([*report["labels_said"], *_lines(report)], warnings=warnings, errors=errors)


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    for name, n in report["fields"].items():
        yield f"field '{name}': not 0 in {n} of {report['structures']} structures"
    for label, n in report["left_out"].items():
        yield f"{n} structures without a label '{label}' are left out"
    size = f"{report['structures']} structures, {report['atoms']} atoms, {report['edges']} edges"
    if report["up_to_date"]:
        yield f"{report['output']} is up to date: {size}"
    elif report["shard"]:
        yield f"shard {report['shard']}: {size}; when all are done, the same command without --shard joins them"
    elif report["output"] is not None:
        yield f"{report['output']}: {size}"
    else:
        yield "no input was usable; nothing was written"
    listed = f" (listed in {report['failures_file']})" if report["failed"] else ""
    yield f"{report['ok']} ok, {report['warned']} warned, {report['failed']} failed{listed}"
