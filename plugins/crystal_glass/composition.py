"""What a formula means: amounts of elements, whole numbers of atoms in a box, and grids of compositions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import reduce
from itertools import combinations
from math import gcd
from pathlib import Path

from ase.data import atomic_numbers

from crystalcli.vocabulary.errors import UsageError

_TOKEN = re.compile(r"([A-Z][a-z]?)|([(\[])|([)\]])")
_AMOUNT = re.compile(r"\d+\.?\d*|\.\d+")
_ONE = re.compile(r"[A-Z][a-z]?\d*")
_COUNTED = re.compile(rf"(?:{_ONE.pattern})+")
LONGEST = 400
"""Characters of a formula: all elements fit, and no number or bracket is a burden."""
MOST = 96
"""Heaviest element: beyond Cm there are neither radii nor potentials."""


@dataclass(frozen=True)
class Composition:
    """Shares of elements.

    Args:
        text: as it was asked for.
        amounts: (symbol, amount), in the order of the text.
        path, line: of the list that asks for it.
    """

    text: str
    amounts: tuple[tuple[str, Fraction], ...]
    path: Path | None = field(default=None, compare=False)
    line: int | None = field(default=None, compare=False)

    @property
    def fractions(self) -> dict[str, Fraction]:
        """Atomic fractions by symbol; they sum to 1."""
        whole = sum((n for _, n in self.amounts), Fraction(0))
        return {s: n / whole for s, n in self.amounts}

    def rounded(self, atoms: int) -> Composition:
        """That of the whole numbers of atoms."""
        return replace(self, amounts=tuple((s, Fraction(n)) for s, n in self.counts(atoms).items()))

    def counts(self, atoms: int) -> dict[str, int]:
        """Whole numbers of atoms, ``atoms`` in all: those nearest to the fractions, the largest remainders rounded up.

        Raises:
            UsageError: an element would have no atom.
        """
        exact = {s: f * atoms for s, f in self.fractions.items()}
        found = {s: int(n) for s, n in exact.items()}
        by_rest = sorted(exact, key=lambda s: (found[s] - exact[s], s))  # ties by the alphabet, however it is written
        for symbol in by_rest[: atoms - sum(found.values())]:
            found[symbol] += 1
        if none := [s for s, n in found.items() if not n]:
            said = f"{self.text}: no atom of {none[0]} among {atoms}; give more --atoms"
            raise UsageError(said, path=self.path, line=self.line)
        return found


def parse(text: str) -> Composition:
    """Read ``Ti2O3``, ``Al0.3Ti0.7``, ``Ca(PO3)2``.

    Raises:
        UsageError: no formula; says where it stops making sense.
    """
    written = text.strip()
    if len(written) > LONGEST:
        raise UsageError(f"'{written[:40]}…' is no formula: {len(written)} characters")
    amounts, end = _group(written, 0, written, depth=0)
    if end < len(written) or not amounts:
        raise UsageError(f"'{text}' is no formula such as Ti2O3 or Al0.3Ti0.7: see '{written[end:] or written}'")
    if empty := [s for s, n in amounts.items() if n == 0]:
        raise UsageError(f"'{text}' has none of {empty[0]}; leave it out")
    return Composition(written, tuple(amounts.items()))


def _group(text: str, at: int, whole: str, depth: int) -> tuple[dict[str, Fraction], int]:
    found: dict[str, Fraction] = {}
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None or (token[3] and not depth):
            break
        if token[3]:
            return found, token.end()
        if token[2]:
            inner, at = _group(text, token.end(), whole, depth + 1)
            if not inner or text[at - 1] not in ")]":
                raise UsageError(f"'{whole}' has a bracket that is not closed, or empty")
        else:
            if not 0 < atomic_numbers.get(token[1], 0) <= MOST:
                raise UsageError(f"'{whole}': no element is called {token[1]}")
            inner, at = {token[1]: Fraction(1)}, token.end()
        number = _AMOUNT.match(text, at)
        times = Fraction(number[0]) if number else Fraction(1)
        at = number.end() if number else at
        for symbol, n in inner.items():
            found[symbol] = found.get(symbol, Fraction(0)) + n * times
    return found, at


def of_counts(counts: dict[str, int]) -> str:
    """``Ti40O60``, the elements in their order."""
    return "".join(f"{s}{n}" if n > 1 else s for s, n in counts.items())


def spelled(name: str) -> str:
    """The name of a box with its elements by the alphabet: of ``Cu8Al8-2`` and ``Al8Cu8-2`` the same."""
    formula, dash, replica = name.partition("-")
    if not _COUNTED.fullmatch(formula):
        return name
    return "".join(sorted(_ONE.findall(formula))) + dash + replica


def reduced(counts: dict[str, int]) -> str:
    """The formula in smallest whole numbers, elements by the alphabet, so that equal compositions have equal words."""
    common = reduce(gcd, counts.values())
    return of_counts({s: counts[s] // common for s in sorted(counts)})


def grid(elements: str, step: float, ends: bool) -> Iterator[Composition]:
    """All binaries of ``Al,Ti,Zr`` at every ``step`` percent, the pure elements with ``ends``.

    Raises:
        UsageError: fewer than two elements, one twice or unknown, a step that does not divide 100.
    """
    symbols = [w.strip() for w in elements.split(",") if w.strip()]
    for symbol in symbols:
        if not 0 < atomic_numbers.get(symbol, 0) <= MOST:
            raise UsageError(f"--grid {elements}: no element is called '{symbol}'")
    if len(symbols) < 2 or len(set(symbols)) < len(symbols):
        raise UsageError(f"--grid {elements}: two or more elements, each once: Al,Ti,Zr")
    parts = Fraction(100) / Fraction(str(step))
    if parts.denominator != 1 or parts < 2:
        raise UsageError(f"--step {step:g}: a part of 100 such as 10, 5 or 2.5")
    n = int(parts)
    if ends:
        yield from (Composition(s, ((s, Fraction(1)),)) for s in symbols)
    for a, b in combinations(symbols, 2):
        for k in range(1, n):
            share = Fraction(k, n)
            yield parse(f"{a}{_decimal(1 - share)}{b}{_decimal(share)}")


def listed(path: Path) -> Iterator[Composition]:
    """The compositions of a file, one a line; what follows ``#``, and empty lines, do not count.

    Raises:
        UsageError: the file cannot be read, or a line is no formula; says which.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(f"cannot read this list of compositions: {problem}", path=path) from problem
    for number, line in enumerate(lines, 1):
        word = line.split("#", 1)[0].strip()
        if not word:
            continue
        try:
            yield replace(parse(word), path=path, line=number)
        except UsageError as problem:
            raise UsageError(problem.reason, path=path, line=number) from problem


def once(found: Sequence[Composition], atoms: int) -> list[tuple[Composition, tuple[str, ...]]]:
    """Each composition once, as first asked for, and the words of others that have the same whole numbers of atoms."""
    kept: dict[tuple[tuple[str, int], ...], list[Composition]] = {}
    for one in found:
        kept.setdefault(tuple(sorted(one.counts(atoms).items())), []).append(one)
    return [
        (first, tuple(dict.fromkeys(o.text for o in others if o.fractions != first.fractions)))
        for first, *others in kept.values()
    ]


def _decimal(share: Fraction) -> str:
    return f"{float(share):.6g}"
