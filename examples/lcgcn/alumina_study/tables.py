"""Journal → tables in Markdown, the paper's numbers beside ours, each between markers of its own in a document."""

from __future__ import annotations

from collections.abc import Iterator

from alumina_study.error_tables import error_table
from alumina_study.journal import Journal
from alumina_study.other_tables import equilibrium_table, time_table
from alumina_study.plan import Study
from alumina_study.records import Table


def render(study: Study, table: Table, journal: Journal, command: str) -> str:
    """One table as Markdown; empty if nothing of it is done."""
    make = {"errors": error_table, "equilibrium": equilibrium_table, "time": time_table}[table.kind]
    lines = list(make(study, table, journal))
    if not lines:
        return ""
    head = [f"## {table.title}", "", table.text, "", *_said(study, table, command), ""]
    return "\n".join([*head, *lines]).rstrip() + "\n"


def _said(study: Study, table: Table, command: str) -> Iterator[str]:
    """Scale, counts, seeds and command, in words."""
    scale = study.scale
    size = f"at most {scale.snapshots} training snapshots" if scale.snapshots else "counts of the paper"
    seeds = ", ".join(map(str, scale.seeds))
    tests = f"at most {scale.probe} test snapshots each" if scale.probe else "all other snapshots as test"
    unit = "Milliseconds" if table.kind == "time" else "meV/atom"
    spread = " Mean ± standard deviation over the seeds." if len(scale.seeds) > 1 else ""
    yield f"Scale `{scale.name}`: {size}, {tests}; seeds {seeds}; `{command}`."
    if table.kind == "errors":
        own = any(list(t) == [test] for r in table.rows for t in r.trainings for test in table.tests)
        both = " Own test part: block split / random split." if own and "random" in table.splits else ""
        yield f"Mean absolute errors in {unit}; in brackets the snapshots of training.{both}{spread}"
    elif table.kind == "equilibrium":
        yield f"{unit}.{spread}"


def put(document: str, name: str, text: str) -> str:
    """``document`` with ``text`` between the markers of ``name``, appended if they are not there yet."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    block = f"{begin}\n{text}\n{end}"
    head, found, rest = document.partition(begin)
    if not found:
        return document.rstrip() + f"\n\n{block}\n"
    _, closed, tail = rest.partition(end)
    if not closed:
        raise ValueError(f"'{begin}' without '{end}'")
    return head + block + tail
