"""Which setting of a space group a CIF means: by what it says of the group, then by its cell, then by its atoms."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from ase.cell import Cell
from ase.data import chemical_symbols, covalent_radii
from gemmi import cif
from numpy.typing import NDArray

from crystalcli.nouns.structures.check import OVERLAP
from crystalcli.nouns.structures.cif_formula import remarks, units_are_whole
from crystalcli.nouns.structures.cif_groups import (
    Rows,
    label,
    number_of_schoenflies,
    operations_of,
    rows_of_code,
    rows_of_name,
    rows_of_number,
    table,
)
from crystalcli.nouns.structures.cif_images import expand, misfits, squared
from crystalcli.nouns.structures.cif_sites import Sites
from crystalcli.vocabulary.errors import InputError

FITS = 1e-2
"""Largest misfit of operations and cell. Of 956 published crystals four were above, each a contradiction."""
MONOCLINIC = 15
"""Largest number of a monoclinic group; a name that does not tell the unique axis means b."""
ROUNDING = 0.05
"""Å. Images of one site nearer than this are one atom, written with few digits."""
_PROBED = 200
"""Sites whose contacts are looked at where nothing else tells two settings apart."""
TAGS = {
    "_space_group_name_h-m_alt": "name",
    "_symmetry_space_group_name_h-m": "name",
    "_space_group.name_h-m_alt": "name",
    "_space_group_name_h-m": "name",
    "_space_group_name_h-m_full": "name",
    "_symmetry_space_group_name_h-m_full": "name",
    "_space_group_name_h-m_ref": "reference",
    "_space_group_it_number": "number",
    "_symmetry_int_tables_number": "number",
    "_space_group.it_number": "number",
    "_space_group_name_schoenflies": "Schoenflies",
    "_space_group_it_coordinate_system_code": "code",
    "_symmetry_space_group_it_coordinate_system_code": "code",
    "_space_group.it_coordinate_system_code": "code",
}
_MULTIPLICITY = ("_atom_site_symmetry_multiplicity", "_atom_site_site_symmetry_multiplicity")

Texts = tuple[tuple[str, str], ...]
Crystal = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Index of the site and fractional coordinates of every atom."""


@dataclass(frozen=True)
class Said:
    """What a file says of its group beside operations and Hall symbol.

    Args:
        statements: each as it is shown, with the settings that it allows.
        unknown: names and numbers that nobody knows.
        exact: there is a name, which says more than the number.
        warnings: what was not understood and does not matter beside a name.
        code: of the setting.
    """

    statements: tuple[tuple[str, Rows], ...]
    unknown: tuple[str, ...]
    exact: bool
    warnings: tuple[str, ...]
    code: str

    def rows(self) -> Rows:
        """Settings that agree with all of it; none if nothing was said.

        Raises:
            InputError: two statements contradict each other, or a name is not understood; they are named.
        """
        if self.unknown and not self.exact:
            what = f"space group '{self.unknown[0]}' not understood"
            if self.statements:
                raise InputError(f"{what}; {self.statements[0][0]} does not tell its setting", code="symmetry")
            raise InputError(f"unknown space group '{self.unknown[0]}' and no operations listed", code="symmetry")
        if not self.statements:
            return ()
        first, rows = self.statements[0]
        for other, allowed in self.statements[1:]:
            both = tuple(k for k in rows if k in allowed)
            if not both:
                raise InputError(f"{first} and {other} contradict each other", code="symmetry")
            rows = both
        chosen = rows_of_code(rows, self.code) if self.code else rows
        if chosen == ():
            raise InputError(f"{first} has no setting of the code '{self.code}'", code="symmetry")
        return chosen if chosen is not None else rows


def what_is_said(block: cif.Block) -> Said:
    """Names, numbers and the code of the setting of a block."""
    found = [(kind, block.find_value(tag)) for tag, kind in TAGS.items()]
    texts = [(kind, cif.as_string(text).strip()) for kind, text in found if text is not None]
    return _understood(tuple((kind, text) for kind, text in texts if text not in ("", "?", ".")))


@lru_cache(maxsize=1024)
def _understood(texts: Texts) -> Said:
    named: list[tuple[str, Rows]] = []
    numbered: list[tuple[str, Rows]] = []
    unknown: list[str] = []
    warnings: list[str] = []
    code = ""
    for kind, text in texts:
        if kind == "code":
            code = text if rows_of_code((0,), text) is not None else code
            if code != text:
                warnings.append(f"code of the setting '{text}' not understood")
            continue
        rows = rows_of_name(text) if kind == "name" else ()
        if rows:
            named.append((f"'{text}'", rows))
            continue
        number = _number(kind, text)
        rows = rows_of_number(number) if number is not None else ()
        if rows:
            numbered.append((f"group {number}" if text.isdigit() else f"'{text}', group {number}", rows))
        elif kind in ("name", "number"):
            unknown.append(text)
        else:
            warnings.append(f"space group '{text}' ({kind}) not understood")
    if named:
        warnings += [f"'{text}' is no space group that crystal knows" for text in unknown]
    return Said((*named, *numbered), tuple(unknown), bool(named), tuple(warnings), code)


def _number(kind: str, text: str) -> int | None:
    if text.isdigit():
        return int(text)
    if kind == "reference":
        rows = rows_of_name(text)
        return table()[rows[0]].number if rows else None
    return number_of_schoenflies(text) if kind != "number" else None


def setting(block: cif.Block, cell: NDArray[np.float64], sites: Sites) -> tuple[int | None, list[str]]:
    """Row of the table that the file means, none if it says nothing of symmetry, and warnings.

    Raises:
        InputError: what is said contradicts itself or the cell, or leaves settings that nothing tells apart.
    """
    said = what_is_said(block)
    rows = said.rows()
    if not rows:
        return None, ["no symmetry given; taken as P 1"]
    shown, warnings = said.statements[0][0], list(said.warnings)
    fit = [k for k in rows if misfits(squared(operations_of(k)[0]), cell).max() <= FITS]
    if not fit:
        raise InputError(f"{shown} does not fit the cell ({in_words(cell)}); correct one of them", code="symmetry")
    standard, names = table()[rows[0]], list(dict.fromkeys(table()[k].hm for k in fit))
    axis = standard.qualifier.lstrip("-")[:1]
    if standard.hm in names and (len(names) == 1 or axis == ("b" if standard.number <= MONOCLINIC else "")):
        if not said.exact and not said.code and standard.number > 1:
            warnings.append(f"no symmetry operations listed; standard setting of group {standard.number} taken")
        fit = [k for k in fit if table()[k].hm == standard.hm]
    elif len(names) == 1:
        warnings.append(f"{shown} is taken as '{names[0]}', its only setting that fits the cell")
    elif not said.exact:
        raise InputError(
            f"{shown} has settings that the cell allows alike ({', '.join(names)}); name one", code="symmetry"
        )
    if len(fit) == 1:
        return fit[0], warnings
    chosen, doubt = _by_atoms(fit, shown, block, cell, sites)
    return chosen, [*warnings, *doubt]


def in_words(cell: NDArray[np.float64]) -> str:
    """Lengths and angles of a cell, short."""
    a, b, c, alpha, beta, gamma = (f"{x:.5g}" for x in Cell(cell).cellpar())
    return f"{a} {b} {c} Å, {alpha} {beta} {gamma}°"


def _by_atoms(
    rows: list[int], shown: str, block: cif.Block, cell: NDArray[np.float64], sites: Sites
) -> tuple[int, list[str]]:
    """The setting that formula, Z, density or multiplicities leave; else that of the wider atoms, with a warning."""
    crystals = {k: expand(sites.fractional, operations_of(k), cell, OVERLAP, OVERLAP) for k in rows}
    for worse in (_contradictions, _multiplicities):
        points = {k: worse(block, crystals[k], cell, sites) for k in crystals}
        crystals = {k: crystals[k] for k, p in points.items() if p == min(points.values())}
    if len(crystals) == 1:
        return next(iter(crystals)), []
    # images a little apart, which formula and counts may take for one atom, speak against a setting here
    split = {k: expand(sites.fractional, operations_of(k), cell, ROUNDING, ROUNDING) for k in crystals}
    contacts = {k: _nearest(crystal, cell, sites) for k, crystal in split.items()}
    best, *others = sorted(contacts, key=lambda k: contacts[k], reverse=True)
    contact = ", ".join(f"{contacts[k][1]} in '{label(k)}'" for k in (best, *others[:2]))
    return best, [f"{shown} does not say which of its settings it means; '{label(best)}' taken by contacts: {contact}"]


def _contradictions(
    block: cif.Block, crystal: Crystal, cell: NDArray[np.float64], sites: Sites
) -> tuple[bool, int, bool]:
    numbers = sites.numbers[crystal[0]]
    found = remarks(block, numbers, cell)
    return any(r.grave for r in found), len(found), not units_are_whole(block, numbers)


def _multiplicities(block: cif.Block, crystal: Crystal, _cell: NDArray[np.float64], sites: Sites) -> bool:
    """Whether a site has another number of images than its row says."""
    n = len(sites.numbers)
    stated = next((v for v in (block.find_values(t) for t in _MULTIPLICITY) if len(v) == n), ())
    found: list[int] = np.bincount(crystal[0], minlength=n).tolist()
    return [cif.as_number(text) for text in stated] != found


def _nearest(crystal: Crystal, cell: NDArray[np.float64], sites: Sites) -> tuple[float, str]:
    """Shortest distance of two atoms in units of their covalent radii, and in words."""
    which, where = crystal
    numbers = sites.numbers[which]
    best, words = np.inf, "none"
    for k, site in enumerate(sites.fractional[:_PROBED]):
        delta = where - site
        delta -= np.rint(delta)
        distance = np.linalg.norm(delta @ cell, axis=1)
        distance[(which == k) & (distance < ROUNDING)] = np.inf
        scaled = distance / (covalent_radii[sites.numbers[k]] + covalent_radii[numbers])
        j = int(scaled.argmin())
        if scaled[j] < best:
            pair = f"{chemical_symbols[sites.numbers[k]]}-{chemical_symbols[numbers[j]]}"
            best, words = float(scaled[j]), f"{pair} {distance[j]:.2f} Å"
    return best, words
