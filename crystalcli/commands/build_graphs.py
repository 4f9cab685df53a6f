"""``crystal build-graphs``: structure files → graph cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crystalcli.commands.command import plugin_command
from crystalcli.commands.console import Face
from crystalcli.commands.plugin_flags import DefaultPart, names
from crystalcli.commands.shared import (
    DryRun,
    Jobs,
    Json,
    MemoryPerJob,
    Output,
    Overwrite,
    Quiet,
    Scheduler,
    SecondsPerFile,
    TimeLimit,
    cores,
)
from crystalcli.contracts.records import PartFlags
from crystalcli.mechanisms.registry.plugin_manager import registry
from crystalcli.vocabulary.errors import Exit, UsageError, one_line

if TYPE_CHECKING:
    from crystalcli.workflows.graphs.build_graphs_plan import BuildReport, Resolved

SHOWN = 100
"""Failures printed one by one; all of them are in the file beside the cache."""
SHOWN_WARNINGS = 10


def _chosen(word: Callable[[str, str | None], str | None]) -> Sequence[PartFlags]:
    part = registry().get("featurizer", word("--featurizer", None) or registry().default("featurizer"))
    return [PartFlags(part, part.options)]


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("build-graphs", cls=plugin_command(_chosen))(build_graphs)


def build_graphs(
    ctx: typer.Context,
    inputs: Annotated[
        list[str],
        typer.Argument(help="files, folders, quoted globs, lists (@list.txt), or - for a list on stdin"),
    ],
    output: Output = Path("graphs.h5"),
    *,
    featurizer: Annotated[
        str,
        typer.Option(
            help="what makes the graphs", autocompletion=names("featurizer"), default_factory=DefaultPart("featurizer")
        ),
    ],
    targets: Annotated[
        str, typer.Option(help="labels to take, comma-separated: [NAME=]KEY[/atom|*atoms][:UNIT]; none for none")
    ] = "",
    fields: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="per-site fields that models read, comma-separated: fixed (constraints), tags, any array of the files",
        ),
    ] = "",
    require_labels: Annotated[
        bool, typer.Option("--require-labels", help="leave out structures that lack one of the targets")
    ] = False,
    cif_column: Annotated[str, typer.Option(help="column of a CSV that holds the CIF text")] = "",
    id_column: Annotated[str, typer.Option(help="column of a CSV that names the rows")] = "",
    allow_failures: Annotated[str, typer.Option(metavar="N|P%", help="exit 0 with up to so many failed inputs")] = "0",
    jobs: Jobs = 0,
    scheduler: Scheduler = "",
    shard: Annotated[
        str,
        typer.Option(
            metavar="I/N", help="do only every N-th block of 512 files, for array jobs; then run without to join"
        ),
    ] = "",
    seconds_per_file: SecondsPerFile = 60.0,
    memory_per_job: MemoryPerJob = 8.0,
    time_limit: TimeLimit = "",
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Build the graphs of structures and keep them in one file.

    Labels come from an id_prop.csv beside the files, from columns of a table, or from the files themselves.
    A file that cannot be read is reported and listed in OUTPUT.failures.jsonl; the others go on. Files are read in
    worker processes with limits of time and memory. A build that was stopped or killed goes on where it was when the
    same command is given again: what is done lies in OUTPUT.parts, and the result is the same bytes.
    """
    from crystalcli.mechanisms.running.places import Place
    from crystalcli.mechanisms.running.stopping import Stop, seconds
    from crystalcli.mechanisms.running.tasks import Limits
    from crystalcli.nouns.structures.read_options import ReadOptions
    from crystalcli.workflows.graphs.build_graphs import run
    from crystalcli.workflows.graphs.build_graphs_parts import Share
    from crystalcli.workflows.graphs.build_graphs_plan import BuildPlan
    from crystalcli.workflows.graphs.build_graphs_resolving import resolve

    face = Face(json=json, quiet=quiet)
    tolerated = _tolerance(allow_failures)
    plan = BuildPlan(
        inputs=tuple(inputs),
        output=output,
        featurizer=featurizer,
        options=ctx.obj["featurizer", featurizer].values,
        targets=tuple(t for t in targets.split(",") if t.strip()),
        overwrite=overwrite,
        place=Place(jobs or cores(), scheduler),
        reading=ReadOptions(cif_column=cif_column, id_column=id_column),
        require_labels=require_labels,
        share=Share.parse(shard) if shard else Share(),
        limits=Limits.of(seconds_per_file, memory_per_job),
        fields=tuple(f for f in fields.split(",") if f.strip()),
    )
    resolved = resolve(plan)
    for note in resolved.reading.notes if resolved.requests is not None else ():
        face.say(note)
    if dry_run:
        _show_plan(face, resolved)
        raise typer.Exit(Exit.OK)
    with Stop(seconds(time_limit)).listening() as stop, face.progress("graphs", None) as advance:
        report = run(resolved, partial(_hear, face, advance), stop)
    code = report.exit_code
    if code == Exit.SOME_FAILED and tolerated(len(report.failures), report.n_structures + len(report.failures)):
        code = Exit.OK
    _show(face, report)
    face.result(_as_json(report) | {"exit_code": int(code)})
    raise typer.Exit(code)


def _hear(face: Face, advance: Callable[[int, str], None], n: int, text: str) -> None:
    advance(n, text)
    if text:
        face.line(text)


def _show_plan(face: Face, resolved: Resolved) -> None:
    options = ", ".join(f"{k} {v}" for k, v in resolved.recipe.options.items())
    face.say(f"would build {resolved.plan.output} from {len(resolved.paths)} files")
    face.say(f"featurizer {resolved.recipe.featurizer}: {options}")
    if resolved.recipe.fields:
        face.say(f"per-site fields: {', '.join(resolved.recipe.fields)}")
    if resolved.current is not None:
        face.say("nothing to do: it is up to date")
    face.result(
        {
            "output": str(resolved.plan.output),
            "files": len(resolved.paths),
            "featurizer": resolved.recipe.featurizer,
            "options": dict(resolved.recipe.options),
            "fields": list(resolved.recipe.fields),
            "up_to_date": resolved.current is not None,
        }
    )


def _show(face: Face, report: BuildReport) -> None:
    for line in (*report.audit.lines, *report.seen.lines()):
        face.say(line)
    for text in report.audit.warnings:
        face.warn(text)
    for source, text in report.warnings[:SHOWN_WARNINGS]:
        face.warn(f"{source}: {text}")
    if (more := len(report.warnings) - SHOWN_WARNINGS) > 0:
        face.warn(f"{more} more warnings of this kind; --json lists all")
    for failure in report.failures[:SHOWN]:
        face.error(f"{failure.path}: {failure.reason}")
    if (more := len(report.failures) - SHOWN) > 0:
        face.error(f"{more} more inputs failed; see {report.failures_file}")
    for name, n in report.fields.items():
        face.say(f"field '{name}': not 0 in {n} of {report.n_structures} structures")
    for label, n in report.left_out.items():
        face.say(f"{n} structures without a label '{label}' are left out")
    size = f"{report.n_structures} structures, {report.n_atoms} atoms, {report.n_edges} edges"
    if report.up_to_date:
        face.say(f"{report.output} is up to date: {size}")
    elif report.share.count > 1:
        done = f"{report.share.index + 1} of {report.share.count}"
        face.say(f"shard {done}: {size}; when all are done, the same command without --shard joins them")
    elif report.n_structures:
        face.say(f"{report.output}: {size}")
    else:
        face.say("no input was usable; nothing was written")
    ok, warned, failed = _counts(report)
    listed = f" (listed in {report.failures_file})" if failed else ""
    face.say(f"{ok} ok, {warned} warned, {failed} failed{listed}")


def _counts(report: BuildReport) -> tuple[int, int, int]:
    warned = len({source for source, _ in report.warnings})
    return report.n_structures - warned, warned, len(report.failures)


def _as_json(report: BuildReport) -> dict[str, Any]:
    ok, warned, failed = _counts(report)
    return {
        "output": str(report.output) if report.n_structures and report.share.count == 1 else None,
        "structures": report.n_structures,
        "atoms": report.n_atoms,
        "edges": report.n_edges,
        "labels": list(report.labels),
        "fields": dict(report.fields),
        "ok": ok,
        "warned": warned,
        "failed": failed,
        "failures": [
            {"path": f.path, "id": f.id, "stage": f.stage, "code": f.code, "reason": f.reason} for f in report.failures
        ],
        "warnings": [{"source": s, "text": one_line(t)} for s, t in report.warnings],
        "label_warnings": list(report.audit.warnings),
        "left_out": dict(report.left_out),
        **report.seen.to_json(),
        "up_to_date": report.up_to_date,
    }


def _tolerance(text: str) -> Callable[[int, int], bool]:
    """``N`` or ``P%`` → a test of (failed, all)."""
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
