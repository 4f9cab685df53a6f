"""The comment line of extended XYZ: ``key=value`` pairs as numbers, arrays, truth values and texts.

Grammar: https://github.com/libAtoms/extxyz, with the older ways of quoting arrays, as ASE reads them. Compared with ASE
in the tests; other than there, a number with Fortran's exponent is one, ``-7,1`` is no pair of numbers, a bracket may
hold rows, a key may not be given twice with two values, and a line without any ``=`` is a comment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from crystalcli.nouns.structures.numbers import DECIMAL_COMMA, number_in
from crystalcli.vocabulary.errors import InputError

_PAIR = re.compile(
    r"""\s*
    (?:"((?:\\.|[^"\\])*)"|'([^']*)'|([^\s="]+))             # key: quoted or bare
    (?:\s*=\s*(?:
        ("(?:\\.|[^"\\])*"(?=[\s,]|$)|'[^']*'(?=[\s,]|$)     # a quoted value,
        |\{(?:[^{}]|\{[^{}]*\})*\}|\[(?:[^\[\]]|\[[^\[\]]*\])*\])  # or an array
        |(\S*)                                               # or a bare one
    ))?""",
    re.VERBOSE,
)
_ROW = re.compile(r"\[([^\[\]]*)\]")
_TRUTH = {"T": True, "F": False}
_TRUTH |= {w: v for word, v in (("true", True), ("false", False)) for w in (word, word.capitalize(), word.upper())}
COMMENT = "comment"


def parse(line: str) -> dict[str, Any]:
    """What the comment line says, by key as written; a bare word is true, a line without ``=`` is the ``comment``.

    Raises:
        InputError: a quote or bracket that is not closed, or a key with two values.
    """
    line = line.strip()
    if "=" not in line:
        return {COMMENT: line} if line else {}
    found: dict[str, Any] = {}
    for key, value in _pairs(line):
        if key in found and not _equal(found[key], value):
            raise InputError(f"'{key}' is there twice, with different values", line=2, code="syntax")
        found[key] = value
    return found


def texts(line: str) -> dict[str, str]:
    r"""The values as they stand, without quotes: ``007`` is no number here; ``\\`` is one backslash, ``C:\x`` stays."""
    found = _written(line.strip())
    return {key: text if mark else re.sub(r'\\([\\"])', r"\1", text) for key, text, mark in found}


def _pairs(line: str) -> list[tuple[str, Any]]:
    return [(key, True if mark is None else _value(text, mark)) for key, text, mark in _written(line)]


def _written(line: str) -> list[tuple[str, str, str | None]]:
    """(key, text of the value, how it is quoted); none for a word without value."""
    found = []
    position = 0
    while position < len(line):
        match = _PAIR.match(line, position)
        if match is None or match.end() == position:
            raise InputError("a quote in the comment line is not closed", line=2, code="syntax")
        position = match.end()
        quoted, single, bare, whole, plain = match.groups()
        key = bare if bare is not None else single if single is not None else quoted.replace("\\", "")
        if whole is not None:
            inner = whole[1:-1]
            found.append((key, re.sub(r"\\(.)", r"\1", inner) if whole[0] == '"' else inner, whole[0]))
        elif plain is None:
            found.append((key, "", None))
        elif plain[:1] in ('"', "{", "[") or '"' in plain:
            raise InputError(f"a quote or bracket behind {key}= is not closed", line=2, code="syntax")
        else:
            found.append((key, plain, ""))
    return found


def _equal(a: Any, b: Any) -> bool:
    return type(a) is type(b) and bool(np.array_equal(a, b))


def _value(text: str, mark: str) -> Any:
    """A number, an array, a truth value or a text."""
    inner = text.strip()
    if mark == '"' and inner[:1] + inner[-1:] in ("[]", "{}"):  # an array of the newer kind, in quotes
        mark, inner = inner[0], inner[1:-1]
    if mark in ("[", "{") and ("[" in inner or "{" in inner):
        return _rows(inner.replace("{", "[").replace("}", "]"), text)
    if not mark and DECIMAL_COMMA.fullmatch(inner):
        return inner
    words = inner.replace(",", " ").split()
    for kind in (_whole, number_in, _TRUTH.get):
        values = _all(words, kind)
        if values is not None:
            return values[0] if len(values) == 1 else values if kind == _TRUTH.get else np.array(values)
    return _json(text) if text.startswith("_JSON ") else text


def _all(words: list[str], kind: Callable[[str], Any]) -> list[Any] | None:
    values = []
    for word in words:
        value = kind(word)
        if value is None:
            return None
        values.append(value)
    return values or None


def _whole(word: str) -> int | None:
    """A whole number that an array can hold."""
    if "_" in word or len(word) > 18:
        return None
    try:
        return int(word)
    except ValueError:
        return None


def _rows(inner: str, text: str) -> Any:
    """A matrix ``[a, b], [c, d]``; the text if its rows are not alike."""
    rows = [_value(row, "[") for row in _ROW.findall(inner)]
    try:
        matrix = np.array(rows)
    except ValueError:
        return text
    return matrix if matrix.dtype.kind in "fi" else text


def _json(text: str) -> Any:
    try:
        value = json.loads(text.removeprefix("_JSON "))
    except (ValueError, RecursionError):
        return text
    if not isinstance(value, list):
        return value
    try:
        array = np.array(value)
    except ValueError:
        return value
    return array if array.dtype.kind in "fib" else value
