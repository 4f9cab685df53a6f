"""Blocks of a section as HTML. Every text is escaped here, and nowhere else is one put into a page."""

from __future__ import annotations

import math
import re
from base64 import b64encode
from collections.abc import Sequence
from html import escape

from crystalcli.contracts.sections import (
    Block,
    Elements,
    Facts,
    Fold,
    Geometries,
    Note,
    Numbers,
    Picture,
    Plot,
    Section,
    Structures,
)
from crystalcli.contracts.workflow import Table
from crystalcli.engine.report.packing import Packed
from crystalcli.vocabulary.texts import inert

LEFT = ["H", "Li Be", "Na Mg", "K Ca Sc", "Rb Sr Y", "Cs Ba La", "Fr Ra Ac"]
RIGHT = [
    "He", "B C N O F Ne", "Al Si P S Cl Ar", "Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr",
    "Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe", "Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn",
    "Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og",
]  # fmt: skip
BELOW = ["Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu", "Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr"]
STEPS = 7

PNG = b"\x89PNG\r\n\x1a\n"
LONG = 40
"""Rows of a table that are simply there; of more, some at a time."""
_NUMBER = re.compile(r"[-−+]?(\d[\d,]*\.?\d*|\.\d+)([eE][-+−]?\d+)?( ?[%σ]| ± .*| [^\s\d]\S{0,15})?")


def periodic_rows() -> list[list[str]]:
    """Symbols row by row, 18 wide; empty where there is none."""
    found = []
    for left, right in zip(LEFT, RIGHT, strict=True):
        a, b = left.split(), right.split()
        found.append([*a, *[""] * (18 - len(a) - len(b)), *b])
    return found + [[""] * 18] + [[*[""] * 3, *row.split(), ""] for row in BELOW]


def colour_steps(values: list[float]) -> list[float]:
    """Upper ends of the steps of colour: equal shares of the elements, each end a rounded number."""
    known = sorted(v for v in values if math.isfinite(v))
    if not known:
        return []
    ends = [known[min(len(known) - 1, math.ceil(len(known) * (k + 1) / STEPS) - 1)] for k in range(STEPS)]
    return sorted({_up(e) for e in ends})


def _up(value: float) -> float:
    """Two digits, not below ``value``."""
    if value == 0:
        return 0.0
    power = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    return float(f"{math.ceil(value / power - 1e-9) * power:.6g}")


def elements_table(shown: Elements) -> str:
    """The table and its key."""
    ends = colour_steps(list(shown.values.values()))
    offset = STEPS - len(ends) if len(ends) > 1 else 3
    lines = []
    for row in periodic_rows():
        if not any(row):
            lines.append('<tr><td class="gap" colspan="18"></td></tr>')
            continue
        lines.append("<tr>" + "".join(_cell(s, shown, ends, offset) for s in row) + "</tr>")
    unit = f" {escape(inert(shown.unit))}" if shown.unit else ""
    key = "".join(f'<span><i class="q{k + offset}"></i>≤ {e:g}</span>' for k, e in enumerate(ends))
    mark = f'<span><i class="dash"></i>{escape(inert(shown.mark))}</span>' if shown.marked and shown.mark else ""
    body = f'<div class="scroll"><table class="periodic">{"".join(lines)}</table></div>'
    return f'{body}<div class="ramp">{key}<span>{unit}</span>{mark}</div>'


def _cell(symbol: str, shown: Elements, ends: list[float], offset: int) -> str:
    if not symbol:
        return "<td></td>"
    value = shown.values.get(symbol)
    if value is None or not math.isfinite(value):
        return f'<td class="el none"><b>{symbol}</b></td>'
    step = next((k for k, e in enumerate(ends) if value <= e * (1 + 1e-12)), len(ends) - 1) + offset
    marked = " marked" if symbol in shown.marked else ""
    unit = f" {inert(shown.unit)}" if shown.unit else ""
    tip = escape(f"{symbol}\nvalue: {value:.4g}{unit}" + (f"\n{shown.notes[symbol]}" if symbol in shown.notes else ""))
    return f'<td class="el q{step}{marked}" data-tip="{tip}"><b>{symbol}</b><small>{_short(value)}</small></td>'


def _short(value: float) -> str:
    return f"{value:.2g}" if 1e-3 <= abs(value) < 1e4 or value == 0 else f"{value:.0e}"


def word(text: object) -> str:
    """A text of anywhere as HTML: escaped, and nothing in it that steers or cannot be seen."""
    return escape("\n".join(inert(line) for line in str(text).split("\n")))


def section(one: Section, anchor: str, packed: Packed) -> str:
    """A section with its title."""
    return f'<section id="{anchor}"><h3>{word(one.title)}</h3>{blocks(one.blocks, packed)}</section>'


def blocks(all_of: Sequence[Block], packed: Packed) -> str:
    """Blocks in order; plots that are not wide two in a line."""
    made = [_block(b, packed) for b in all_of]
    return f'<div class="blocks">{"".join(made)}</div>'


def _block(one: Block, packed: Packed) -> str:  # noqa: PLR0911 - one line a kind
    match one:
        case Note():
            return f'<p class="note{" warning" if one.warning else ""}">{word(one.text)}</p>'
        case Facts():
            return f'<dl class="facts">{"".join(f"<dt>{word(n)}</dt><dd>{word(v)}</dd>" for n, v in one.rows)}</dl>'
        case Numbers():
            return f'<div class="cards">{"".join(_card(c.value, c.said, c.beside) for c in one.cards)}</div>'
        case Table():
            return table(one, packed)
        case Plot():
            return _plot(one, packed)
        case Elements():
            return _figure(one.title, elements_table(one), one.caption)
        case Structures():
            return _structures(one, packed)
        case Picture():
            shown = f'<img alt="{word(one.title)}" src="data:image/png;base64,{b64encode(one.png).decode()}">'
            return _figure(one.title, shown, one.caption, ' class="half"') if one.png.startswith(PNG) else ""
        case Geometries():
            kept, of = packed.library(one.by_id)
            said = f"Structures of {kept:,} of {of:,} points are in this page; those named first." if kept < of else ""
            return f'<p class="note">{said}</p>' if said else ""
        case Fold():
            shown = " open" if one.open else ""
            return f"<details{shown}><summary>{word(one.title)}</summary>{blocks(one.blocks, packed)}</details>"


def _card(value: str, said: str, beside: str) -> str:
    small = f"<small>{word(beside)}</small>" if beside else ""
    return f'<div class="card"><b>{word(value)}</b><span>{word(said)}</span>{small}</div>'


def _figure(title: str, body: str, caption: str, more: str = "") -> str:
    head = f"<figcaption>{word(title)}</figcaption>" if title else ""
    foot = f'<p class="caption">{word(caption)}</p>' if caption else ""
    return f"<figure{more}>{head}{body}{foot}</figure>"


def _plot(one: Plot, packed: Packed) -> str:
    number, left = packed.plot(one)
    packed.plots[number]["caption"] = "\n".join(t for t in (inert(one.caption), left) if t)
    return _figure(one.title, "", "", f' class="plot{"" if one.wide else " half"}" data-plot="{number}"')


def _structures(one: Structures, packed: Packed) -> str:
    if not one.shown:
        return ""
    return _figure(one.title, "", one.caption or " ", f' data-structures="{packed.viewer(one)}"')


def _kind(text: object) -> str:
    """Short words are not broken."""
    return ' class="short"' if len(str(text)) <= 24 else ""


def table(one: Table, packed: Packed) -> str:
    """A table; numbers to the right. One of many rows is searched and sorted by the page's script."""
    if not one.rows:
        return ""
    numeric = [
        all(not (c := str(r[k]).strip()) or _NUMBER.fullmatch(c) for r in one.rows) for k in range(len(one.heads))
    ]
    title = f'<p class="tabletitle">{word(one.title)}</p>' if one.title else ""
    foot = f'<p class="caption">{word(one.caption)}</p>' if one.caption else ""
    if len(one.rows) > LONG:
        return f'<div>{title}<div data-table="{packed.table(one, numeric)}"></div>{foot}</div>'
    kinds = [' class="num"' if n else "" for n in numeric]
    head = "".join(f"<th{k}>{word(h)}</th>" for h, k in zip(one.heads, kinds, strict=True))
    rows = "".join(
        "<tr>" + "".join(f"<td{k or _kind(c)}>{word(c)}</td>" for c, k in zip(row, kinds, strict=True)) + "</tr>"
        for row in one.rows
    )
    body = f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    return f"<div>{title}{body}{foot}</div>"
