"""Numbers by element on a periodic table, as HTML: coloured in seven steps, each with its number."""

from __future__ import annotations

import math
from html import escape

from crystalcli.contracts.sections import Elements
from crystalcli.vocabulary.texts import inert

LEFT = ["H", "Li Be", "Na Mg", "K Ca Sc", "Rb Sr Y", "Cs Ba La", "Fr Ra Ac"]
RIGHT = [
    "He", "B C N O F Ne", "Al Si P S Cl Ar", "Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr",
    "Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe", "Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn",
    "Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og",
]  # fmt: skip
BELOW = ["Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu", "Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr"]
STEPS = 7


def rows() -> list[list[str]]:
    """Symbols row by row, 18 wide; empty where there is none."""
    found = []
    for left, right in zip(LEFT, RIGHT, strict=True):
        a, b = left.split(), right.split()
        found.append([*a, *[""] * (18 - len(a) - len(b)), *b])
    return found + [[""] * 18] + [[*[""] * 3, *row.split(), ""] for row in BELOW]


def steps(values: list[float]) -> list[float]:
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


def table(shown: Elements) -> str:
    """The table and its key."""
    ends = steps(list(shown.values.values()))
    offset = STEPS - len(ends) if len(ends) > 1 else 3
    lines = []
    for row in rows():
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
