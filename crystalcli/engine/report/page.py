"""The page: head, contents, sections of every run, scripts and data; one file that asks nothing of the network."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, cast

from crystalcli import __version__
from crystalcli.contracts.sections import Axis, Block, Fold, Note, Numbers, Plot, Section, Series
from crystalcli.contracts.workflow import Table
from crystalcli.contracts.workflow_record import Workflow
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.engine.report import asked, generic, html
from crystalcli.engine.report.packing import Packed
from crystalcli.engine.report.run_files import RunFiles
from crystalcli.engine.run import files
from crystalcli.vocabulary.errors import CrystalError

FEW = 8
"""Runs whose learning curves are drawn over each other."""

SCRIPTS = ("charts.js", "structures.js", "page.js")


def side_by_side(runs: Sequence[RunFiles], names: Sequence[str], shown: Sequence[Sequence[Section]]) -> Section:
    """What stands out in each, settings that differ, learning curves, then all numbers that differ."""
    rows = [["command", *(r.command for r in runs)], ["state", *(asked.state(r)[0] for r in runs)]]
    blocks: list[Block] = [Table(("", *names), [*rows, *_outstanding(shown)])]
    differing = list(_differences(runs))
    same = "The runs have the same settings." if not differing else ""
    blocks.append(Note(same) if same else Table(("setting that differs", *names), differing))
    blocks += _curves(runs, names)
    rows = list(_numbers(runs))
    if rows:
        blocks.append(Fold("Numbers of their reports that differ", [Table(("", *names), rows)]))
    return Section("Side by side", blocks)


def _outstanding(shown: Sequence[Sequence[Section]]) -> Iterator[list[str]]:
    """The numbers that stand out on the pages of the runs, by what they are."""
    found = [
        {c.said: c.value for section in sections for b in section.blocks if isinstance(b, Numbers) for c in b.cards}
        for sections in shown
    ]
    for said in dict.fromkeys(s for one in found for s in one):
        yield [said, *(one.get(said, "") for one in found)]


def _numbers(runs: Sequence[RunFiles]) -> Iterator[list[str]]:
    """Numbers of report.json that more than one run has, and that differ; by their way in it."""
    flat = [dict(_flat(r.report)) for r in runs]
    keys = list(dict.fromkeys(k for f in flat for k in f))
    for key in keys:
        values = [f.get(key) for f in flat]
        if sum(v is not None for v in values) > 1 and len(set(values)) > 1:
            yield [key, *("" if v is None else f"{v:.5g}" for v in values)]


def _flat(data: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, float]]:
    for key, value in data.items():
        name = f"{before} {key}".strip().replace("_", " ")
        if key in ("by_element", "runs", "rows", "structures", "some", "exit_code"):
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, name)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield name, value


def _differences(runs: Sequence[RunFiles]) -> Iterator[list[str]]:
    flat = [asked.settings(r) for r in runs]
    for key in sorted(k for k, n in Counter(k for f in flat for k in f).items() if n > 1):
        values = [f.get(key, "") for f in flat]
        if len(set(values)) > 1:
            yield [key, *values]


def _curves(runs: Sequence[RunFiles], names: Sequence[str]) -> Iterator[Block]:
    """The score of validation of every run."""
    series = []
    for run, name in list(zip(runs, names, strict=True))[:FEW]:
        lines = [m for m in run.metrics() if isinstance(m.get("val_score"), (int, float)) and "epoch" in m]
        if lines:
            series.append(Series(name, [m["epoch"] for m in lines], [m["val_score"] for m in lines], "line"))
    if len(series) > 1:
        yield Plot("Score of validation", Axis("epoch"), Axis("score", log=True), series, wide=True)


@dataclass(frozen=True)
class Made:
    """A page as it was made: its text, and what was said of what could not be shown."""

    text: str
    problems: Sequence[str]


def write(paths: Sequence[Path], target: Path) -> Made:
    """Make the page of the runs in folders ``paths`` and write it to ``target``, whole.

    Raises:
        UsageError: one is no run. EnvironmentProblem: the page cannot be written.
    """
    made = page(paths)
    files.write_text(target, made.text)
    return made


def page(paths: Sequence[Path]) -> Made:
    """The page of the runs in folders ``paths``.

    Raises:
        UsageError: one is no run.
    """
    runs = [RunFiles(p) for p in paths]
    names = _names(paths)
    shown_of = [sections(run) for run in runs]
    packed, bodies, contents = Packed(), list[str](), list[str]()
    if len(runs) > 1:
        packed.libraries.append({})
        contents.append('<a href="#beside">Side by side</a>')
        bodies.append(html.section(side_by_side(runs, names, shown_of), "beside", packed))
    for k, (run, name, shown) in enumerate(zip(runs, names, shown_of, strict=True)):
        packed.libraries.append({})
        if run.problems:
            shown.append(Section("Not shown", [Note(p, warning=True) for p in dict.fromkeys(run.problems)]))
        head = f"<h2>{html.word(name)}</h2>" if len(runs) > 1 else ""
        contents += [f"<b>{html.word(name)}</b>"] if head else []
        contents += [f'<a href="#s{k}-{i}">{html.word(s.title)}</a>' for i, s in enumerate(shown)]
        inner = "".join(html.section(s, f"s{k}-{i}", packed) for i, s in enumerate(shown))
        bodies.append(f'<div class="run">{head}{inner}</div>')
    title = names[0] if len(names) == 1 else f"{len(names)} runs"
    problems = [p for r in runs for p in dict.fromkeys(r.problems)]
    return Made(_whole(title, _under(runs), contents, bodies, packed), problems)


def sections(run: RunFiles) -> list[Section]:
    """What was asked, and what the run's workflow shows of it; plain tables where it shows nothing, or cannot.

    A workflow comes from anywhere, and files are of any version: whatever goes wrong in it is said on the page.
    """
    found = registry().parts.get(("workflow", run.command))
    own: list[Section] = []
    if found is not None and (show := cast(Workflow, found.part).sections) is not None:
        try:
            own = list(show(run))
        except Exception as problem:
            said = problem.reason if isinstance(problem, CrystalError) else f"{type(problem).__name__}: {problem}"
            run.problems.append(
                f"the sections of {run.command} could not be made ({said}); its tables are shown instead"
            )
    elif found is None:
        run.problems.append(f"no workflow '{run.command}' is installed; its tables are shown as they are")
    return [*(own or generic.sections(run)), asked.section(run)]


def _names(paths: Sequence[Path]) -> list[str]:
    """Short names of the runs: their folders', whole ways where two are alike."""
    last = [p.resolve().name for p in paths]
    return [str(p) if last.count(name) > 1 else name for p, name in zip(paths, last, strict=True)]


def _under(runs: Sequence[RunFiles]) -> str:
    """The line under the title."""
    if len(runs) > 1:
        return html.word(", ".join(dict.fromkeys(f"crystal {r.command}" for r in runs)))
    (run,) = runs
    said, good = asked.state(run)
    badge = f'<span class="badge {"good" if good else "warn"}">{"✓" if good else "!"} {html.word(said)}</span>'
    begun = html.word(str(run.record.get("started", ""))[:16].replace("T", " "))
    line = f'</p><pre class="command">{html.word(asked.command(run))}</pre><p>' if asked.command(run) else ""
    return f"crystal {html.word(run.command)} · {begun} · {badge}{line}"


def _whole(title: str, under: str, contents: Sequence[str], bodies: Sequence[str], packed: Packed) -> str:
    style = _asset("page.css")
    script = "\n".join(_asset(name) for name in SCRIPTS)
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}';"
        " base-uri 'none'; form-action 'none'"
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="crystal {html.word(__version__)}">
<title>{html.word(title)} – crystal report</title>
<style>{style}</style>
</head>
<body>
<div class="page">
<header><div class="words"><h1>{html.word(title)}</h1><p>{under}</p></div>
<button id="theme" class="small" type="button" title="dark or light">◐ theme</button></header>
<nav aria-label="contents">{"".join(contents)}</nav>
<main><noscript><p class="note warning">Plots, structures and long tables are drawn by the page's own scripts, which are
switched off here.</p></noscript>
{"".join(bodies)}</main>
<footer>Made by crystal {html.word(__version__)} from the files of the run; nothing on this page was computed or fetched
elsewhere. Drag in a plot to look closer, double-click for the whole of it; click a point for its structure.</footer>
</div>
<script type="application/json" id="data">{packed.text()}</script>
<script>{script}</script>
</body>
</html>
"""


def _asset(name: str) -> str:
    return (resources.files(__package__) / "assets" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """How the page's policy names the one script and the one style that may be there."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
