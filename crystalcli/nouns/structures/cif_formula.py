"""What a CIF states of its contents (formula, formula units in the cell, density) against the atoms that it gives."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from ase.data import atomic_masses, atomic_numbers, chemical_symbols
from gemmi import cif
from numpy.typing import NDArray

from crystalcli.nouns import cells
from crystalcli.vocabulary.errors import InputError

ROUNDED = 0.02
"""Relative; amounts written with a decimal point, and Z, agree within this. Whole numbers agree exactly."""
DENSITY_AGREES = 0.1
"""Relative."""
GRAMS = 1.66053907
"""g/cm³ of one dalton per Å³."""
_SUM = "_chemical_formula_sum"
_ALSO = ("_chemical_formula_moiety", "_chemical_formula_structural", "_chemical_formula_iupac")
_Z = "_cell_formula_units_z"
_DENSITY = "_exptl_crystal_density_diffrn"
_TOKEN = re.compile(
    r"([A-Z][a-z]?)(?:(?!\d+[+-])(\d*\.?\d*))?|([(\[{])|[)\]}](?:(?!\d+[+-])(\d*\.?\d*))?"
    r"|(\d+[+-]|[+-]\d*)|(\d+\.?\d*|\.\d+)|([,·*;])|\s+"
)

Amounts = dict[str, float]


@dataclass(frozen=True)
class Remark:
    """One disagreement; a grave one means that the atoms cannot be what the file says they are."""

    said: str
    grave: bool


def refuse_contradiction(block: cif.Block, numbers: NDArray[np.int64], cell: NDArray[np.float64]) -> list[str]:
    """Warnings on what the file states beside atomic numbers (N,) in the cell.

    Raises:
        InputError: the formula, or the number of formula units, cannot be that of the atoms; both are named.
    """
    found = remarks(block, numbers, cell)
    grave = next((r for r in found if r.grave), None)
    if grave is not None:
        raise InputError(f"{grave.said}; correct what is stated, the sites or the symmetry", code="formula")
    return [r.said for r in found]


def remarks(block: cif.Block, numbers: NDArray[np.int64], cell: NDArray[np.float64]) -> list[Remark]:
    """Every disagreement of stated formula, Z and density with the atoms. Missing hydrogen atoms are no grave one."""
    found: Amounts = {chemical_symbols[z]: n for z, n in sorted(Counter(numbers.tolist()).items())}
    z = _number(block, _Z)
    text = _text(block, _SUM)
    if text:
        said = _of_formula(text, found, z, whole_cell=bool(_text(block, _ALSO[1])))
    else:
        also = next(filter(None, (_text(block, tag) for tag in _ALSO)), "")
        weak = _of_formula(also, found, z, whole_cell=True) if also and formulas(also) else []
        said = [Remark(r.said, grave=False) for r in weak] or _of_units(found, z)
    return said or _of_density(block, numbers, cell)


def _of_formula(text: str, found: Amounts, z: float, *, whole_cell: bool) -> list[Remark]:
    readings = formulas(text)
    if not readings:
        return [Remark(f"{_SUM} '{text}' is not understood; nothing compared with it", grave=False)]
    answers = [_against(stated, text, found, z, whole_cell) for stated in readings]
    return min(answers, key=lambda a: (any(r.grave for r in a), len(a)))


def _against(stated: Amounts, text: str, found: Amounts, z: float, whole_cell: bool) -> list[Remark]:
    """One reading of the formula against the atoms; hydrogen is compared last, since it is what files lack."""
    said: list[Remark] = []
    scale = 1.0
    shown = " ".join(f"{s}{n:g}" for s, n in found.items())
    if stated != found:
        there = f"formula says '{text}', the atoms are {shown}"
        heavy = {s: n for s, n in stated.items() if s != "H"} or stated
        have = {s: n for s, n in found.items() if s != "H"} or found
        if heavy.keys() != have.keys():
            return [Remark(there, grave=True)]
        scale = sum(have.values()) / sum(heavy.values())
        slack = 1e-6 if all(n == int(n) for n in stated.values()) else ROUNDED
        if any(abs(have[s] - scale * n) > slack * have[s] for s, n in heavy.items()):
            return [Remark(there, grave=True)]
        hydrogen, expected = found.get("H", 0), scale * stated.get("H", 0)
        if hydrogen > expected * (1 + slack):
            return [Remark(there, grave=True)]
        if hydrogen < expected * (1 - slack):
            said.append(Remark(there, grave=False))
    if not math.isfinite(z) or abs(scale - z) <= ROUNDED * z:
        return said
    units = f"_cell_formula_units_Z is {z:g} and the formula '{text}', the atoms are {shown}: {scale:.4g} formula units"
    if scale != 1 or any(n % z for n in stated.values()):
        return [Remark(units, grave=True)]
    # programs write the contents of the whole cell as formula, beside the reduced one and its Z
    return said if whole_cell else [*said, Remark(f"{units}; taken as formula of the cell", grave=False)]


def _of_units(found: Amounts, z: float) -> list[Remark]:
    """Z alone: every element comes in multiples of it."""
    if not math.isfinite(z) or z != int(z) or not any(n % z for s, n in found.items() if s != "H"):
        return []
    shown = " ".join(f"{s}{n:g}" for s, n in found.items())
    return [Remark(f"_cell_formula_units_Z is {z:g}, which does not divide the atoms {shown}", grave=True)]


def units_are_whole(block: cif.Block, numbers: NDArray[np.int64]) -> bool:
    """Whether Z, if stated, is the number of reduced formula units among the atoms."""
    z = _number(block, _Z)
    return not math.isfinite(z) or math.gcd(*Counter(numbers.tolist()).values()) == z


def _of_density(block: cif.Block, numbers: NDArray[np.int64], cell: NDArray[np.float64]) -> list[Remark]:
    stated = _number(block, _DENSITY)
    if not math.isfinite(stated) or stated <= 0:
        return []
    density = GRAMS * float(atomic_masses[numbers].sum()) / cells.volume(cell)
    if abs(density - stated) <= DENSITY_AGREES * stated:
        return []
    return [Remark(f"{_DENSITY} is {stated:g}, the atoms have {density:.4g} g/cm³", grave=False)]


def _text(block: cif.Block, tag: str) -> str:
    text = block.find_value(tag)
    plain = "" if text is None else cif.as_string(text).strip()
    return "" if plain in ("?", ".") else plain


def _number(block: cif.Block, tag: str) -> float:
    """A positive number, nan for any other."""
    text = block.find_value(tag)
    value = math.nan if text is None else cif.as_number(cif.as_string(text))
    return value if value > 0 else math.nan


@lru_cache(maxsize=256)
def formulas(text: str) -> tuple[Amounts, ...]:
    """What a formula can mean, element to amount; none if it is no formula.

    Capitals have two readings (``CO2``), and so has a point before an amount: ``CuSO4.5H2O``.
    """
    readings = [_parsed(text)]
    if "." in text:
        readings.append(_parsed(re.sub(r"\.(?=\d*[A-Z(])", ",", text)))
    if text.isupper() and re.search("[A-Z]{2}", text):
        readings.append(_parsed(re.sub("[A-Z]{2}", lambda m: m[0].capitalize(), text)))
    return tuple(r for k, r in enumerate(readings) if r and r not in readings[:k])


def _parsed(text: str) -> Amounts:
    """``Ca (O H)2``, ``Cu S O4, 5(H2 O)``, ``C10 H12 N2 2+, 2(Cl 1-)``: counted by a stack of open brackets."""
    stack: list[tuple[float, Amounts]] = [(1.0, {})]
    front, at, number = 1.0, 0, ""
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            return {}
        at, number = match.end(), match[6] or (number if match[0].isspace() else "")
        element, amount, opens, behind, charge, before, comma = match.groups()
        if element:
            _add(stack[-1][1], {element: _amount(amount)}, front)
        elif opens:
            stack.append((front, {}))
            front = 1.0
        elif before:
            front = _amount(before)
        elif match[0][0] in ")]}":
            times, inside = stack.pop()
            if not stack:
                return {}
            _add(stack[-1][1], inside, times * _amount(behind))
        elif comma or charge:
            front = 1.0
    counted = stack[0][1] if len(stack) == 1 and not number else {}
    for isotope in ("D", "T"):
        if isotope in counted:
            _add(counted, {"H": counted.pop(isotope)})
    known = counted.keys() <= atomic_numbers.keys()
    return {s: n for s, n in counted.items() if n > 0} if known else {}


def _amount(text: str | None) -> float:
    return float(text) if text and text != "." else 1.0


def _add(total: Amounts, more: Amounts, times: float = 1.0) -> None:
    for symbol, amount in more.items():
        total[symbol] = total.get(symbol, 0) + times * amount
