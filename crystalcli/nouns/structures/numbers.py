"""Numbers as people and programs write them, and words that stand where a number was meant."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

_FORTRAN = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+))(?:[dDqQ]([-+]?\d+)|(?<=[.\d])([-+]\d{3}))")
"""A double precision exponent, or one whose letter had no room: ``-7.1D+00``, ``0.7-100``."""
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][-+]?\d+)?"
DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+(?:[eEdD][-+]?\d+)?")
"""More likely a number with a comma than two numbers."""
_SEVERAL = re.compile(rf"\[?{_NUMBER}(?:[\s,]+{_NUMBER})+\]?")
_WITH_UNIT = re.compile(
    rf"{_NUMBER}\s*\*?\s*(?:[mk]?eV|Ry|Ha|Hartree|k?J|kcal|[GMk]?Pa|k?bar|Å|Ang|µB|muB|K)(?:[/^*·]\S*)?"
)
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?:(?:,\d{3})+\.\d*|(?:,\d{3}){2,})")
_UNCERTAIN = re.compile(rf"{_NUMBER}(?:\(\d+\)|\s*(?:±|\+/?-)\s*{_NUMBER})")
_BOUND = re.compile(rf"[<>≤≥~≈]=?\s*{_NUMBER}")
_NOTHING = frozenset(("", "nan", "none", "null", "n/a", "#n/a", "<na>", "?"))
_SHOWN = 60


def is_number(value: Any) -> bool:
    """A real number, finite or not; a truth value is none."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, (bool, np.bool_))


def number_in(text: str) -> float | None:
    """The number that ``text`` is, none if it is a text.

    Fortran's exponents count (``-7.1D+00``, ``0.7-100``), the minus of typesetters, and what ASE marks as ``_JSON``.
    """
    if "_" in text:  # float() would take 1_000
        if not text.startswith("_JSON "):
            return None
        text = text.removeprefix("_JSON ")
    try:
        return float(text)
    except ValueError:
        pass
    found = _FORTRAN.fullmatch(text.strip().replace("\N{MINUS SIGN}", "-"))
    if found is not None and (found[2] or "." in found[1]):
        return float(f"{found[1]}e{found[2] or found[3]}")
    try:
        return float(text.replace("\N{MINUS SIGN}", "-")) if "_" not in text else None
    except ValueError:
        return None


def is_nothing(text: str) -> bool:
    """Whether ``text`` is empty or a word for a missing value (``Na`` is sodium)."""
    word = text.strip()
    return word.lower() in _NOTHING or word in ("NA", "na")


def meant_as_number(text: str) -> bool:
    """Whether ``text`` is no number but was clearly meant as one."""
    return bool(hint(text))


def hint(text: str) -> str:
    """What may be wrong with a ``text`` that is no number, in parentheses behind a space; nothing if it is a word."""
    word = text.strip()
    for said, found in (
        ("a comma between thousands? leave it out", _THOUSANDS.fullmatch(word)),
        ("write the number without its uncertainty", _UNCERTAIN.fullmatch(word)),
        ("a bound is no value", _BOUND.fullmatch(word)),
        ("write the number without %", word.endswith("%") and re.fullmatch(_NUMBER, word[:-1].strip())),
        ("Fortran prints stars where a number has no room", "*" in word and not word.strip("*-+. ")),
        ("a decimal comma? write a point", DECIMAL_COMMA.fullmatch(word)),
        ("several numbers where one belongs", _SEVERAL.fullmatch(word)),
        ("write the number alone and say its unit with --targets KEY:UNIT", _WITH_UNIT.fullmatch(word)),
        ("no underscores in numbers", "_" in word and re.fullmatch(_NUMBER, word.replace("_", ""))),
    ):
        if found:
            return f" ({said})"
    return ""


def no_number(text: str) -> str:
    """``'TEXT', not a number``, with what may be wrong with it."""
    word = text.strip()
    return f"'{word if len(word) <= _SHOWN else word[:_SHOWN] + '…'}', not a number{hint(word)}"
