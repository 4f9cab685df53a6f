"""Space groups as people write them: names, numbers and codes of a setting, as rows of gemmi's table of settings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import accumulate

import gemmi
import numpy as np

from crystalcli.nouns.structures.cif_images import Operations

Rows = tuple[int, ...]
"""Settings, as places in the table; those that a bare name or number means by convention stand first."""

_IDLE = re.compile(r"</?su[bp]>|[\s_(){}$~\"'\\]", re.IGNORECASE)
"""What a name may hold without meaning anything: ``P2(1)/n``, ``P 2_1/n``, ``P2<sub>1</sub>/n``, ``P 2~1~/n``."""
_BARRED = re.compile(r"\\(?:overline|bar)\s*\{?\s*(\d)\s*\}?")
_AXES = re.compile(r"(?:21?|4[1-3]?|6[1-5]?)/(?=[a-n])")
_IN_BRACKETS = re.compile(r"\s*[\[(]\s*(\d{1,3})\s*[\])]\s*$")
_NUMBERED = re.compile(r"[\s,;]*[\[(]?\s*(?:#|\b(?:no|nr|number)\b\.?)\s*:?\s*(\d{1,3})\b.*$", re.IGNORECASE)
_CODED = (
    re.compile(r"\s*:\s*([^:\s]+)\s*$"),
    re.compile(r"[\s,;(\[]*\borigin\s*(?:choice|no\.?|at)?\s*([12])[\s)\]]*$", re.IGNORECASE),
    re.compile(r"[\s,;]*[(\[]?\b((?:hex|rhomb)[a-z]*)\.?(?:\s*(?:axes|setting))?[\s)\]]*$", re.IGNORECASE),
    re.compile(r"\s*(hr|z|s|h|r)\s*$", re.IGNORECASE),
)
_SCHOENFLIES = re.compile(r"([CDSTO](?:\d|\d?[hvids])?)\s*[\^(_{-]*\s*(\d{1,2})\s*[)}]*")
_FIRST_OF_CLASS = (
    "C1:1 Ci:1 C2:3 Cs:4 C2h:6 D2:9 C2v:22 D2h:28 C4:6 S4:2 C4h:6 D4:10 C4v:12 D2d:12 D4h:20 C3:4 C3i:2 D3:7 C3v:6 "
    "D3d:6 C6:6 C3h:1 C6h:2 D6:6 C6v:4 D3h:4 D6h:4 T:5 Th:7 O:8 Td:6 Oh:10"
)
_SAME_CLASS = {"S2": "Ci", "C1h": "Cs", "S6": "C3i", "S1": "Cs"}


@lru_cache(maxsize=1)
def table() -> tuple[gemmi.SpaceGroup, ...]:
    """Every setting that gemmi knows: International Tables' and, behind number 230, some that are not in them."""
    return tuple(gemmi.spacegroup_table())


def label(row: int) -> str:
    """Name of a setting with its choice: ``F d -3 m:2``."""
    return str(table()[row].xhm())


@lru_cache(maxsize=600)
def operations_of(row: int) -> Operations:
    """Operations of a setting."""
    return arrays(table()[row].operations())


@lru_cache(maxsize=600)
def triplets_of(row: int) -> tuple[str, ...]:
    """Operations of a setting as texts, in the order of :func:`operations_of`."""
    return tuple(op.triplet() for op in table()[row].operations())


def arrays(ops: Iterable[gemmi.Op]) -> Operations:
    """Operations as arrays."""
    there = list(ops)
    den = float(gemmi.Op.DEN)
    return np.array([o.rot for o in there]) / den, np.array([o.tran for o in there]) / den


@lru_cache(maxsize=256)
def rows_of_number(number: int) -> Rows:
    """Settings of a group by its number, the standard one first; none if there is no such group."""
    return tuple(k for k, group in enumerate(_tabulated()) if group.number == number)


def _tabulated() -> tuple[gemmi.SpaceGroup, ...]:
    last = max(k for k, group in enumerate(table()) if group.number == 230)
    return table()[: last + 1]


@lru_cache(maxsize=1024)
def rows_of_name(name: str) -> Rows:
    """Settings that a Hermann-Mauguin name can mean; none if it is not understood.

    The number of the group or the code of a setting may stand behind it: ``Pnma (62)``, ``F d -3 m:2``, ``R -3 c H``.
    """
    name = _BARRED.sub(r"-\1", name.split("=")[min(1, name.count("="))])  # spglib: P 2_1/c = P 1 2_1/n 1
    bracketed = _IN_BRACKETS.search(name)
    if bracketed:  # P 2(1) is a screw axis, P 2 (3) has a number behind it
        rows = _of_number(rows_of_name(name[: bracketed.start()]), bracketed[1])
        if rows:
            return rows
    numbered = _NUMBERED.search(name)
    if numbered:
        return _of_number(rows_of_name(name[: numbered.start()]), numbered[1])
    rows = _bare(name)
    if rows:
        return rows
    for pattern in _CODED:
        coded = pattern.search(name)
        if coded and coded.start():
            return rows_of_code(rows_of_name(name[: coded.start()]), coded[1]) or ()
    return ()


def _of_number(rows: Rows, number: str) -> Rows:
    return tuple(k for k in rows if table()[k].number == int(number))


def _bare(name: str) -> Rows:
    key = _IDLE.sub("", name).lower()
    return _by_key().get(key) or _by_key().get(_shortened(key), ())


def _shortened(key: str) -> str:
    """The short symbol of a full one: P 21/n 21/m 21/a is P n m a, P 63/m 2/m 2/c P 63/m m c, F 4/m -3 2/m F m -3 m."""
    if "-3" in key:
        return "-3".join(_AXES.sub("", part) for part in key.split("-3"))
    if len(_AXES.findall(key)) < 2:
        return key
    head, slash, tail = key.partition("/")
    return head + slash + _AXES.sub("", tail) if head[1:2] in ("4", "6") else _AXES.sub("", key)


@lru_cache(maxsize=1)
def _by_key() -> dict[str, Rows]:
    keys: dict[str, list[int]] = {}
    for k in range(len(table())):
        for key in sorted(set(_spellings(k))):
            keys.setdefault(key.lower(), []).append(k)
    return {key: tuple(rows) for key, rows in keys.items()}


def _spellings(row: int) -> Iterator[str]:
    """The name of a setting in the ways in which it is written, without blanks."""
    group = table()[row]
    lattice, *axes = group.hm.split()
    yield lattice + "".join(axes)
    if 3 <= group.number <= 15 and row < len(_tabulated()):
        yield lattice + "".join(axis for axis in axes if axis != "1")
    if group.number >= 195:  # until 1983 without the bar: F d 3 m
        yield lattice + "".join(axes).replace("-3", "3")
    if group.ext == "H":  # of the Protein Data Bank
        yield "H" + "".join(axes)
    if group.number in (39, 41, 64, 67, 68):  # double glide planes, since 1992: C m c e
        axes["ABC".index(lattice)] = "e"
        yield lattice + "".join(axes)


def rows_of_code(rows: Rows, code: str) -> Rows | None:
    """Those of ``rows`` that a code of the setting leaves (``2``, ``b1``, ``-cba``, ``1cab``, ``h``), none if unknown.

    Where a group has one origin only, ``1`` and ``2`` say nothing.
    """
    meant = _meaning(code.strip().lower())
    if meant is None:
        return None
    ext, axes = meant
    return tuple(k for k in rows if _has_ext(table()[k].ext, ext) and _has_axes(table()[k].qualifier, axes))


def _meaning(code: str) -> tuple[str, str] | None:
    """Choice (1, 2, H, R or empty) and axes (``abc`` and its like, ``b1`` and its like, or empty) of a code."""
    if re.fullmatch("hr?|hex[a-z]*", code):
        return "H", ""
    if re.fullmatch("r|rhomb[a-z]*", code):
        return "R", ""
    if code in ("s", "z"):  # of ICSD: the origin of Schoenflies' description, and that at the centre (Zentrum)
        return str("sz".index(code) + 1), ""
    match = re.fullmatch(r"o?([12]?)((?:-?[abc]){3}|-?[abc]\d?|)", code)
    known = match is not None and (match[2] in ("", "abc", "a", "b", "c") or match[2] in _qualifiers())
    return (match[1], match[2]) if known and match and code else None


@lru_cache(maxsize=1)
def _qualifiers() -> frozenset[str]:
    return frozenset(group.qualifier for group in table())


def _has_ext(ext: str, wanted: str) -> bool:
    return not wanted or ext == wanted or (ext == "\0" and wanted != "R")


def _has_axes(qualifier: str, wanted: str) -> bool:
    if wanted in ("", qualifier):
        return True
    if wanted == "abc":
        return qualifier == ""
    if wanted in ("a", "b", "c"):  # the unique axis alone
        return qualifier.lstrip("-")[:1] == wanted and len(qualifier) <= 3
    return qualifier in ("a", "b", "c") and wanted.lstrip("-")[:1] == qualifier and len(wanted) <= 3


def number_of_schoenflies(text: str) -> int | None:
    """Number of a group by Schoenflies' symbol (``D2h^16``, ``D_2h^16^``): the tables count in his order."""
    match = _SCHOENFLIES.fullmatch(re.sub(r"[\s~{}$]|(?<=[CDSTO])_|\^$", "", text.strip()))
    if match is None:
        return None
    name = _SAME_CLASS.get(match[1], match[1])
    classes = [(c, int(n)) for c, n in (entry.split(":") for entry in _FIRST_OF_CLASS.split())]
    ends = accumulate(n for _, n in classes)
    for (symbol, count), end in zip(classes, ends, strict=True):
        if symbol == name and 1 <= int(match[2]) <= count:
            return end - count + int(match[2])
    return None
