"""What was asked of a run, and how it went: the first section of every page, whatever the workflow."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from crystalcli.contracts import options as opt
from crystalcli.contracts.sections import Block, Fold, Note, Section
from crystalcli.contracts.sections import Facts as FactsBlock
from crystalcli.contracts.workflow import Table
from crystalcli.contracts.workflow_record import Workflow
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.engine.report.run_files import RunFiles
from crystalcli.vocabulary.errors import Exit

ENDS = {
    Exit.OK: "finished", Exit.SOME_FAILED: "finished; some items failed", Exit.STOPPED: "stopped; can be resumed",
    Exit.NUMERICAL: "numerical failure; the last good state is kept", Exit.BUG: "ended by a bug",
}  # fmt: skip
LOG_LINES = 300
"""Lines of log.txt that are shown, the last."""


def state(run: RunFiles) -> tuple[str, bool]:
    """How the run stands, in words, and whether that is as it should be."""
    code = run.record.get("exit_code")
    if run.record.get("finished") and code in (None, 0):
        return "finished", True
    if code is None:
        return "under way, or killed", False
    return ENDS.get(code, f"ended with exit code {code}"), code == 0


def command(run: RunFiles) -> str:
    """The command line, without the way to the program."""
    argv = [str(a) for a in run.record.get("argv", ())]
    return shlex.join([Path(argv[0]).name, *argv[1:]]) if argv else ""


def section(run: RunFiles) -> Section:
    """Command, versions, data, parts, settings, log."""
    blocks: list[Block] = [FactsBlock(list(_facts(run)))]
    inputs = dict(run.record.get("inputs", {}))
    if inputs:
        rows = [[name, str(digest)[:16]] for name, digest in inputs.items()]
        blocks.append(Table(("data", "sha256, first digits"), rows))
    settings, units = list(_settings(run)), _units(run)
    if settings:
        rows = [[name, value, units.get(name, "")] for name, value in settings]
        blocks.append(Fold(f"All {len(settings)} settings", [Table(("setting", "value", "unit"), rows)]))
    lines = run.log()
    if lines:
        said = (
            f"Log, {len(lines)} lines"
            if len(lines) <= LOG_LINES
            else f"Log, the last {LOG_LINES} of {len(lines)} lines"
        )
        rows = [[line[:19], line[20:]] for line in lines[-LOG_LINES:]]
        blocks.append(Fold(said, [Table(("time", "said"), rows)]))
    warned = list(_warnings(lines))
    blocks[1:1] = [Note(w, warning=True) for w in warned[:5]]
    if len(warned) > 5:
        blocks.insert(6, Note(f"{len(warned) - 5} more warnings are in the log"))
    return Section("What was asked", blocks)


def _facts(run: RunFiles) -> Iterator[tuple[str, str]]:
    record = run.record
    yield "command", command(run)
    yield "state", state(run)[0]
    yield "folder", str(run.path)
    if record.get("started"):
        resumed = len(record.get("resumed", ()))
        yield "begun", str(record["started"]) + (f", gone on with {resumed} times" if resumed else "")
    if isinstance(record.get("seconds"), (int, float)):
        yield "time", _duration(record["seconds"])
    for key in ("device", "threads", "seed", "potential", "program"):
        if key in record:
            yield key, _text(record[key])
    parts = record.get("plugins", {})
    if parts:
        yield "parts", "\n".join(f"{n} ({v})" for n, v in dict(parts).items())
    if record.get("versions"):
        yield "versions", ", ".join(f"{n} {v}" for n, v in dict(record["versions"]).items())
    host = record.get("host")
    if isinstance(host, Mapping):
        yield "machine", ", ".join(str(v) for v in host.values())


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def _warnings(lines: Sequence[str]) -> Iterator[str]:
    seen = set()
    for line in lines:
        text = line[20:]
        if text.startswith("warning: ") and text not in seen:
            seen.add(text)
            yield text.removeprefix("warning: ")


def settings(run: RunFiles) -> dict[str, str]:
    """Every setting of the workflow and of its parts, by its name, as text."""
    return dict(_settings(run))


def _settings(run: RunFiles) -> Iterator[tuple[str, str]]:
    for name, value in sorted(run.options.items()):
        if value not in (None, "", [], ()):
            yield name.rstrip("_").replace("_", "-"), _text(value)
    for option, part in sorted(dict(run.request.get("parts", {})).items()):
        chosen = part.get("name", "")
        if run.options.get(option) != chosen:
            yield option, chosen
        for name, value in sorted(dict(part.get("options", {})).items()):
            yield f"{chosen}.{name.replace('_', '-')}", _text(value)


def _units(run: RunFiles) -> dict[str, str]:
    """Units by the names of settings, as the workflow and its parts declare them here; of what is installed."""
    there = registry().parts
    workflow = there.get(("workflow", run.command))
    if workflow is None:
        return {}
    found = {spec.name.rstrip("_").replace("_", "-"): spec.unit for spec in opt.specs(workflow.part.options)}
    for option, family in cast(Workflow, workflow.part).chooses.items():
        chosen = str(dict(run.request.get("parts", {})).get(option, {}).get("name", ""))
        if (part := there.get((family, chosen))) is not None:
            found |= {f"{chosen}.{s.name.replace('_', '-')}": s.unit for s in opt.specs(part.part.options)}
    return found


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_text(v)}" for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_text(v) for v in value)
    return str(value).lower() if isinstance(value, bool) else str(value)
