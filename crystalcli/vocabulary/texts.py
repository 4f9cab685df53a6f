"""Texts of strangers, made harmless: the one rule for names, ids and words of files wherever they are read or shown.

What steers a terminal or cannot be seen becomes a backslash escape: controls (C0, DEL, C1), line and paragraph ends,
marks that turn the direction of writing, zero-width characters, bytes that are no Unicode.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

STEERING = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories: controls, formats (marks of direction, zero widths), surrogates, line and paragraph ends."""
FORMULA = frozenset("=+-@＝＋－＠")
"""First characters by which a spreadsheet takes a cell for a formula; the wide ones in East Asian settings."""


def inert(text: str) -> str:
    r"""``text`` with ``\x1b``, ``\n``, ``\u202e`` in place of what :data:`STEERING` names; mostly the same text."""
    return text if text.isprintable() else "".join(_escaped(c) if steers(c) else c for c in text)


def steers(character: str) -> bool:
    """Whether a terminal would obey it, or a person not see it."""
    return unicodedata.category(character) in STEERING


def cell(text: str) -> str:
    """``text`` for a cell of a table: :func:`inert`, and with a ``'`` before what a spreadsheet would calculate.

    Numbers stay what they are, with whatever sign.
    """
    shown = inert(text)
    if shown[:1] not in FORMULA or _is_number(shown):
        return shown
    return f"'{shown}"


def json_inert(text: str) -> str:
    """JSON ``text`` with its own escapes in place of what :data:`STEERING` names; it means the same."""
    if text.isprintable():
        return text
    return "".join(json.dumps(c)[1:-1] if c != "\n" and steers(c) else c for c in text)


def xyz_word(text: str) -> str:
    """``text`` for a comment line of extended XYZ, where a backslash stands for what follows; quotes are left as is."""
    return inert(text).replace("\\", "\\\\")


def file_word(text: str) -> str:
    """``text`` as part of the name of a file: no way to another folder, nothing hidden, no more than 100 bytes."""
    plain = "".join("_" if c in '/\\:*?"<>|' or steers(c) else c for c in text)
    return plain.encode()[:100].decode(errors="ignore")


def apart(names: Iterable[str]) -> Iterator[str]:
    """``names`` of files, numbered from the second on where two would be the same on a disk that knows no case."""
    taken: set[str] = set()
    for name in names:
        unique, k = name, 2
        while unique.lower() in taken:
            unique, k = f"{name}-{k}", k + 1
        taken.add(unique.lower())
        yield unique


def some(names: Sequence[str], most: int) -> str:
    """The first ``most`` of ``names``, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
