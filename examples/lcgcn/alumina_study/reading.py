"""Reads the study from the TOML files beside it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from alumina_study.plan import Study
from alumina_study.records import Claim, Method, Row, Scale, Table

HERE = Path(__file__).resolve().parents[1]


def load(scale: str, *, tables: Iterable[str] = (), methods: Iterable[str] = (), folder: Path = HERE) -> Study:
    """Read the study.

    Raises:
        ValueError: no such scale, table or method; says which there are.
    """
    scales = _toml(folder / "scales.toml")
    known_methods = {k: _method(k, v) for k, v in _toml(folder / "methods.toml").items()}
    known_tables = {p.stem: _table(p) for p in sorted(folder.glob("tables/*.toml"), key=_order)}
    _refuse_unknown("scale", [scale], scales)
    chosen = Scale(scale, **{k: tuple(v) if isinstance(v, list) else v for k, v in scales[scale].items()})
    named_tables, named_methods = list(tables) or list(known_tables), list(methods) or list(known_methods)
    _refuse_unknown("table", named_tables, known_tables)
    _refuse_unknown("method", named_methods, known_methods)
    return Study(chosen, tuple(known_methods[m] for m in named_methods), tuple(known_tables[t] for t in named_tables))


def _refuse_unknown(what: str, words: Iterable[str], known: Mapping[str, Any]) -> None:
    for word in words:
        if word not in known:
            raise ValueError(f"no {what} '{word}'; there are {', '.join(known)}")


def _toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _order(path: Path) -> tuple[int, str]:
    romans = ("vi", "vii", "viii", "ix")
    order = ("table-ii", "table-iii", "figure-2", "table-iv", "table-v", "figure-3", *(f"table-{n}" for n in romans))
    return (order.index(path.stem) if path.stem in order else len(order), path.stem)


def _method(name: str, data: Mapping[str, Any]) -> Method:
    return Method(name, **{k: tuple(v) if isinstance(v, list) else v for k, v in data.items()})


def _table(path: Path) -> Table:
    data = _toml(path)
    rows = tuple(Row(**{k: tuple(v) if isinstance(v, list) else v for k, v in r.items()}) for r in data.pop("rows"))
    claims = tuple(Claim(c["text"], tuple((a, b) for a, b in c["less"])) for c in data.pop("claims", ()))
    lists = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
    return Table(path.stem, **lists, rows=rows, claims=claims)
