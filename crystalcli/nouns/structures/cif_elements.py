"""The element of a site, from its type symbol or, without one, from its label: what is not certain is refused."""

from __future__ import annotations

import re

from ase.data import atomic_numbers
from gemmi import cif

from crystalcli.vocabulary.errors import InputError

_TYPE = re.compile(r"([A-Za-z]{1,2})(?:\d*[+-]|[+-]?\d*(?:\.\d+)?)[+-]?")
_GROUP = re.compile(r"[A-Z]{2}\d+")
"""``NH4`` and ``CO3``: nihonium and cobalt, if capitals are no more than a habit."""
_LETTERS = re.compile(r"[A-Za-z]+")
_MIXED = re.compile(r"[/,+&]\s*[A-Z]")
_SCATTERING = {"cval": "C", "siva": "Si", "sival": "Si", "h(sds)": "H"}
"""Names of form factors that tables and the CIF dictionary use as type symbols."""
_DUMMY = {"x", "xx", "du", "va", "vac", "q", "m", "cg"}
_SITE_LETTERS = {"D": "a dummy or a peak", "T": "a tetrahedral site", "W": "water"}
"""Elements whose letter labels something else as often."""
_FORMULAS = ("_chemical_formula_sum", "_chemical_formula_moiety", "_chemical_formula_structural")
_ISOTOPES = {"D": "deuterium", "T": "tritium"}
_SYMBOL = re.compile(r"[A-Z][a-z]?")
_KNOWN = frozenset([*atomic_numbers, *_ISOTOPES]) - {"X"}
CURE = "; add _atom_site_type_symbol"


class Formula:
    """Elements that the file states; looked up when the first site is not certain without them."""

    def __init__(self, block: cif.Block) -> None:
        self._block = block
        self._known: tuple[str, frozenset[str]] | None = None

    @property
    def text(self) -> str:
        """As written, ``""`` if nothing is stated."""
        return self._read()[0]

    @property
    def elements(self) -> frozenset[str]:
        """Symbols in the formula, D and T among them; empty if there is none, or one that is no chemist's."""
        return self._read()[1]

    def _read(self) -> tuple[str, frozenset[str]]:
        if self._known is None:
            self._known = "", frozenset()
            for tag in _FORMULAS:
                text = cif.as_string(self._block.find_value(tag) or "?").strip()
                symbols = frozenset(_SYMBOL.findall(text))
                if symbols and symbols <= _KNOWN:
                    self._known = text, symbols
                    break
        return self._known


def of_type(text: str, label: str, formula: Formula) -> tuple[int, str]:
    """Atomic number of a type symbol such as ``Na``, ``Na1+`` or ``Cval``, and a warning or ``""``.

    Raises:
        InputError: no element, or a symbol in other letters than usual that the formula of the file does not have.
    """
    match = _TYPE.fullmatch(text)
    letters = match[1] if match else ""
    symbol = _SCATTERING.get(text.lower(), letters.capitalize())
    if symbol in _ISOTOPES:
        if symbol == "T" and formula.elements and not formula.elements & {"T", "H"}:
            raise InputError(f"'{text}' of site {label} is tritium, which {_says(formula)} lacks", code="element")
        return 1, _as_hydrogen(symbol, label)
    if atomic_numbers.get(symbol, 0) < 1:
        raise _no_element(text, letters, label, "")
    if letters and letters != symbol and formula.elements and symbol not in formula.elements:
        raise InputError(f"'{text}' of site {label} is {symbol}, which {_says(formula)} lacks", code="element")
    if _GROUP.fullmatch(text) and set(letters) <= _KNOWN and symbol not in formula.elements:
        said = f"'{text}' of site {label} is {symbol}, or a group of {letters[0]} and {letters[1]}"
        raise InputError(f"{said}; write {symbol}, or a site for every atom", code="element")
    return int(atomic_numbers[symbol]), ""


def of_label(label: str, formula: Formula) -> tuple[int, str]:
    """Atomic number of a site known by its label alone, and a warning or ``""``.

    ``Na12A`` is Na. Where the letters are no symbol (``CA1``, ``OW1``) the formula of the file decides, if it leaves
    one choice; a symbol that it lacks is no symbol, and ``D1``, ``T1`` and ``W1`` need it.

    Raises:
        InputError: what is not certain.
    """
    match = _LETTERS.match(label)
    letters = match[0] if match else ""
    stated = formula.elements
    if letters.lower() in _DUMMY or not letters:
        raise _no_element(label, letters, "", CURE)
    if _MIXED.search(label, len(letters)):
        raise InputError(f"site {label} names two elements{CURE}", code="element")
    if letters in _SITE_LETTERS and letters not in stated and not (letters == "D" and "H" in stated):
        raise InputError(
            f"{label} is no element for certain: {letters} may be {_SITE_LETTERS[letters]}{CURE}", code="element"
        )
    if letters in _ISOTOPES:
        return 1, _as_hydrogen(letters, label)
    if atomic_numbers.get(letters, 0) > 0:
        if stated and letters not in stated:
            raise InputError(f"site {label} would be {letters}, which {_says(formula)} lacks{CURE}", code="element")
        return int(atomic_numbers[letters]), ""
    choices = _by_formula(letters, stated)
    if len(choices) == 1:
        (symbol,) = choices
        return int(atomic_numbers[symbol]), f"{label} is taken as {symbol}: {_says(formula)} leaves no other choice"
    if choices:
        raise InputError(f"site {label} is {' or '.join(sorted(choices))}{CURE}", code="element")
    raise _no_element(label, letters, "", CURE)


def _by_formula(letters: str, stated: frozenset[str]) -> set[str]:
    """Elements of the formula that letters which are no symbol may stand for: ``CA`` for Ca or C, ``OH`` for O or H."""
    if len(letters) > 2:
        return set()
    whole, first, rest = letters.capitalize(), letters[0].upper(), letters[1:]
    choices = {whole} & stated
    if first in stated and first not in _SITE_LETTERS:
        choices |= {first} | ({rest} & stated)
    return choices - _ISOTOPES.keys()


def _no_element(text: str, letters: str, label: str, cure: str) -> InputError:
    kind = "a dummy or a vacancy" if (letters or text).lower() in _DUMMY else "no element"
    site = f" of site {label}" if label else ""
    return InputError(f"'{text}'{site} is {kind}{cure}", code="element")


def _as_hydrogen(symbol: str, label: str) -> str:
    return f"{label} is {_ISOTOPES[symbol]}; taken as H"


def _says(formula: Formula) -> str:
    return f"the formula '{formula.text}'"
