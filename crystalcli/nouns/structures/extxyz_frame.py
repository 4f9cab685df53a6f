"""A frame of extended XYZ before ASE reads it: ASE guesses where it cannot read, and puts atoms at the origin."""

from __future__ import annotations

import re

from crystalcli.vocabulary.errors import InputError

_PROPERTIES = re.compile(r"""(?:^|\s)Properties=(?:"([^"]*)"|(\S+))""")
_PBC = re.compile(r"""(?:^|\s)pbc=(?:"([^"]*)"|\[([^\]]*)\]|(\S+))""", re.IGNORECASE)
_YES_OR_NO = {"t", "f", "true", "false", "1", "0"}
_SPECIES = ("species:S:1", "Z:I:1", "numbers:I:1")


def refuse_broken(frame: str) -> None:
    """Refuse a frame whose comment line cannot be meant.

    Raises:
        InputError: an open quote, a ``pbc`` that is not three of T and F, ``Properties`` that are no triples or name no
            elements or positions, or a row with more or fewer columns than they say.
    """
    _, comment, *rows = frame.split("\n")
    if comment.replace('\\"', "").count('"') % 2:
        raise InputError("a quote in the comment line is not closed", code="syntax")
    if (found := _PBC.search(comment)) is not None:
        words = next(g for g in found.groups() if g is not None).strip('[]"').replace(",", " ").split()
        if len(words) != 3 or not all(w.lower() in _YES_OR_NO for w in words):
            raise InputError(f"pbc is '{' '.join(words)}', not three of T and F", code="syntax")
    if (found := _PROPERTIES.search(comment)) is not None:
        _refuse_rows(rows, _width(found[1] or found[2]))


def _width(properties: str) -> int:
    """Number of columns that ``NAME:TYPE:COUNT:…`` stands for."""
    words = properties.split(":")
    triples = list(zip(words[::3], words[1::3], words[2::3], strict=False))
    if len(words) % 3 or not all(t in set("RSIL") and n.isdigit() and int(n) > 0 for _, t, n in triples):
        raise InputError(f"Properties={properties[:80]} are not NAME:TYPE:COUNT, with type R, S, I or L", code="syntax")
    said = [":".join(t) for t in triples]
    if "pos:R:3" not in said:
        raise InputError("Properties name no positions (pos:R:3)", code="no-atoms")
    if not set(_SPECIES) & set(said):
        raise InputError("Properties name no elements (species:S:1)", code="no-atoms")
    return sum(int(n) for _, _, n in triples)


def _refuse_rows(rows: list[str], width: int) -> None:
    for k, row in enumerate(rows):
        found = len(row.split())
        if found != width and (found or k < len(rows) - 1):
            raise InputError(f"the row of atom {k} has {found} columns, Properties say {width}", code="syntax")
