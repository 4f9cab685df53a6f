"""A page for runs whose workflow brings no sections of its own: its report, its tables, its structures, as they are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from crystalcli.contracts.sections import (
    Axis,
    Block,
    Facts,
    Fold,
    Geometry,
    Note,
    Picture,
    Plot,
    Section,
    Series,
    Structure,
    Structures,
    numbers,
)
from crystalcli.contracts.workflow import Table
from crystalcli.engine.report.run_files import RunFiles

MOST_FILES = 8
"""Tables and files of structures that are shown."""
MOST_ROWS = 2000
PICTURE_BYTES = 2_000_000
MOST_STRUCTURES = 12


def sections(run: RunFiles) -> list[Section]:
    """Numbers of report.json, CSV tables, structures."""
    found = [Section("Report", list(_report(run.report)))] if run.report else []
    tables = run.names("*.csv")
    found += [Section(name, list(_table(run, name))) for name in tables[:MOST_FILES]]
    shown = list(_structures(run))
    if shown:
        found.append(Section("Structures", shown))
    drawn = list(_pictures(run))
    if drawn:
        found.append(Section("Pictures", drawn))
    if len(tables) > MOST_FILES:
        left = ", ".join(tables[MOST_FILES:])
        found.append(Section("More tables", [Note(f"in the folder: {left}")]))
    return [s for s in found if s.blocks]


def _report(report: Mapping[str, Any]) -> Iterator[Block]:
    """Plain values first, then what is nested, as tables where it can be."""
    plain = [(_words(k), _value(v)) for k, v in report.items() if not isinstance(v, (Mapping, list)) and k != "output"]
    if plain:
        yield Facts(plain)
    for key, value in report.items():
        if isinstance(value, Mapping) and value:
            yield from _nested(_words(key), value)
        elif isinstance(value, list) and value:
            yield from _listed(_words(key), value)


def _nested(title: str, value: Mapping[str, Any]) -> Iterator[Block]:
    inner = list(value.values())
    if all(isinstance(v, Mapping) for v in inner):
        heads = list(dict.fromkeys(k for v in inner for k in v if not isinstance(v[k], (Mapping, list))))
        if heads:
            rows = [[str(name), *(_value(v.get(h)) for h in heads)] for name, v in value.items()]
            yield Table(("", *map(_words, heads)), rows[:MOST_ROWS], title)
        for name, v in value.items():
            deeper = {k: w for k, w in v.items() if isinstance(w, Mapping) and w}
            for key, one in deeper.items():
                yield Fold(f"{title}: {name}, {_words(key)}", list(_nested("", one)))
        return
    rows = [[str(k), _value(v)] for k, v in value.items() if not isinstance(v, Mapping)]
    if rows:
        yield Table(("", "value"), rows[:MOST_ROWS], title)
    for key, one in value.items():
        if isinstance(one, Mapping) and one:
            yield from _nested(f"{title}, {_words(str(key))}".strip(", "), one)


def _listed(title: str, value: list[Any]) -> Iterator[Block]:
    if all(isinstance(v, Mapping) for v in value):
        heads = list(dict.fromkeys(k for v in value for k in v if not isinstance(v[k], Mapping)))
        yield Table([_words(h) for h in heads], [[_value(v.get(h)) for h in heads] for v in value][:MOST_ROWS], title)
    else:
        yield Facts([(title, ", ".join(_value(v) for v in value[:200]) + (" …" if len(value) > 200 else ""))])


def _table(run: RunFiles, name: str) -> Iterator[Block]:
    columns = run.table(name)
    if not columns:
        return
    heads = list(columns)
    rows = list(zip(*columns.values(), strict=True))
    curve = _curve(name, columns)
    if curve is not None:
        yield curve
    more = f"the first {MOST_ROWS:,} of {len(rows):,} rows" if len(rows) > MOST_ROWS else ""
    shown = Table(heads, [[_short(c) for c in row] for row in rows[:MOST_ROWS]], caption=more)
    yield shown if curve is None else Fold("as a table", [shown])


def _curve(name: str, columns: Mapping[str, list[str]]) -> Plot | None:
    """Columns of numbers drawn over the first, if that only goes up: a log, a distribution, a curve."""
    if len(columns) < 2 or not 8 <= len(next(iter(columns.values()))) <= 100_000:
        return None
    read = {head: numbers(column) for head, column in columns.items()}
    first, *rest = read
    x = read[first]
    if not all(math.isfinite(v) for v in x) or any(b <= a for a, b in pairwise(x)):
        return None
    drawn = [h for h in rest if any(math.isfinite(v) for v in read[h])][:7]
    if len({h.partition("[")[2] for h in drawn}) > 1:
        drawn = drawn[:1]
    if not drawn:
        return None
    series = [Series(h, x, read[h], "line") for h in drawn]
    return Plot(name, Axis(first), Axis(drawn[0] if len(drawn) == 1 else ""), series, wide=True)


def _structures(run: RunFiles) -> Iterator[Block]:
    """Of the files of the folder; then those that several folders in it have under one name, a frame of each."""
    for name in run.names("*.extxyz")[:MOST_FILES]:
        shown = [_structure(f, g, f"{name} {k + 1}") for k, (f, g) in enumerate(run.frames(name, MOST_STRUCTURES))]
        if shown:
            more = ", evenly chosen" if len(shown) == MOST_STRUCTURES else ""
            yield Structures(name, shown, f"structures of {name}{more}")
    below: dict[str, list[str]] = {}
    for way in run.names("*/*.extxyz") + run.names("*/*/*.extxyz"):
        if not any((run.path / parent / "run.json").is_file() for parent in Path(way).parents if parent != Path()):
            below.setdefault(Path(way).name, []).append(way)
    for name, ways in list(below.items())[:MOST_FILES]:
        shown = [
            _structure(f, g, Path(way).parent.name) for way in ways[:MOST_STRUCTURES] for f, g in run.frames(way, 1)
        ]
        if shown:
            more = f"; {len(ways)} are in the folder" if len(ways) > len(shown) else ""
            yield Structures(name, shown, f"{name} of each{more}")


def _structure(facts: Mapping[str, str], geometry: Geometry, called: str) -> Structure:
    known = [(n, _short(facts[n])) for n in ("energy", "converged", "reason", "formula", "step") if n in facts]
    return Structure(facts.get("id", called), [geometry], known)


def _pictures(run: RunFiles) -> Iterator[Block]:
    """Pictures that the run has drawn itself, as long as they are not too large together."""
    left = PICTURE_BYTES
    for name in run.names("*.png") + run.names("*/*/*.png"):
        size = (run.path / name).stat().st_size
        if size > left:
            yield Note(f"{name} and what follows are in the folder: too large together for this page")
            return
        left -= size
        yield Picture(name, (run.path / name).read_bytes())


def _words(key: str) -> str:
    return str(key).replace("_", " ")


def _value(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return _short(repr(value))
    if isinstance(value, list):
        return ", ".join(_value(v) for v in value[:20]) + (" …" if len(value) > 20 else "")
    return str(value)


def _short(text: str) -> str:
    """Six digits of a number with more; any other text as it is."""
    if len(text) < 9:
        return text
    try:
        number = float(text)
    except ValueError:
        return text
    return text if text.lstrip("-").isdigit() or not math.isfinite(number) else f"{number:.6g}"
