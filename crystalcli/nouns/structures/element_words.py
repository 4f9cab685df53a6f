"""Words that stand where an element was meant, and what they may mean."""

from __future__ import annotations

import re

from ase.data import atomic_numbers


def no_element(word: str, of: str = "") -> str:
    """``'CU' of atom 1 is no element; write Cu``: the cure where the letters leave one. Nothing is taken for it."""
    letters = re.match(r"[A-Za-z]*", word)
    symbol = letters[0].capitalize() if letters else ""
    group = letters is not None and letters[0].isupper() and word != letters[0] and len(letters[0]) > 1  # NH4, CO3
    known = symbol not in ("", "X") and symbol in atomic_numbers and "." not in word and not group
    cure = f"; write {symbol}" if known else ""
    return f"'{word}'{f' of {of}' if of else ''} is no element{cure}"
