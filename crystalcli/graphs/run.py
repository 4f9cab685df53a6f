"""A build as the work of a workflow: what was asked becomes a plan, and what came out plain data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from crystalcli.contracts.host import Reporter
from crystalcli.contracts.request import Request
from crystalcli.contracts.workflow import Running, Work
from crystalcli.engine.read.inputs import about
from crystalcli.graphs import build
from crystalcli.graphs.options import BuildOptions
from crystalcli.graphs.plan import BuildPlan, BuildReport
from crystalcli.graphs.resolving import resolve
from crystalcli.vocabulary.errors import Exit, UsageError, one_line


class Building(Work):
    """What a build has looked up before a file is read; the cache and its parts are :mod:`build_graphs`'s.

    Raises:
        UsageError, InputError: as :func:`resolve`, or a tolerance that is none.
    """

    def __init__(self, request: Request, reporter: Reporter) -> None:
        asked: BuildOptions = request.options
        self.tolerated = tolerance(asked.allow_failures)
        part = request.parts["featurizer"]
        self.resolved = resolve(BuildPlan.of(asked, part.options, overwrite=request.overwrite))
        for note in self.resolved.reading.notes if self.resolved.requests is not None else ():
            reporter.say(note)

    def describe(self) -> Mapping[str, Any]:
        """The resolved plan as plain values."""
        resolved = self.resolved
        return {
            "output": str(resolved.plan.output),
            "files": len(resolved.paths),
            "featurizer": resolved.recipe.featurizer,
            "options": dict(resolved.recipe.options),
            "fields": list(resolved.recipe.fields),
            "up_to_date": resolved.current is not None,
        }

    def do(self, run: Running) -> Mapping[str, Any]:
        """Build, or go on with it."""
        done, total = 0, self.resolved.plan.limit or about(self.resolved.paths)
        of = f" of {total}" if total else ""

        def hear(n: int, text: str) -> None:
            nonlocal done
            done += n
            run.reporter.progress(f"{done}{of} graphs", done, total)
            if text:
                run.reporter.say(text)

        report = build.run(self.resolved, hear, run.stop)
        code = report.exit_code
        if code == Exit.SOME_FAILED and self.tolerated(
            len(report.failures), report.n_structures + len(report.failures)
        ):
            code = Exit.OK
        return to_json(report) | {"exit_code": int(code)}


def to_json(report: BuildReport) -> dict[str, Any]:
    """What came of a build as plain values."""
    warned = len({source for source, _ in report.warnings})
    share = report.share
    return {
        "output": str(report.output) if report.n_structures and share.count == 1 else None,
        "structures": report.n_structures,
        "atoms": report.n_atoms,
        "edges": report.n_edges,
        "labels": list(report.labels),
        "labels_said": [*report.audit.lines, *report.seen.lines()],
        "fields": dict(report.fields),
        "ok": report.n_structures - warned,
        "warned": warned,
        "failed": len(report.failures),
        "failures": [f.to_json() for f in report.failures],
        "failures_file": str(report.failures_file) if report.failures else None,
        "warnings": [{"source": s, "text": one_line(t)} for s, t in report.warnings],
        "label_warnings": list(report.audit.warnings),
        "left_out": dict(report.left_out),
        **report.seen.to_json(),
        "shard": f"{share.index + 1} of {share.count}" if share.count > 1 else None,
        "up_to_date": report.up_to_date,
    }


def tolerance(text: str) -> Callable[[int, int], bool]:
    """``N`` or ``P%`` → a test of (failed, all).

    Raises:
        UsageError: neither.
    """
    number = text.strip().removesuffix("%")
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if not value >= 0:
        raise UsageError(f"--allow-failures takes a number or a percentage, not '{text}'")
    if text.strip().endswith("%"):
        return lambda failed, total: failed * 100 <= value * total
    return lambda failed, _total: failed <= value
