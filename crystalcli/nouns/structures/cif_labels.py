"""Numbers that a CIF says of its sites and of the crystal, beside what makes the structure: candidates for labels."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import isfinite
from typing import Any

import numpy as np
from gemmi import cif
from numpy.typing import NDArray

from crystalcli.nouns import cells
from crystalcli.nouns.structures.cif_sites import PREFIX, Sites
from crystalcli.nouns.structures.numbers import is_nothing, number_in
from crystalcli.nouns.structures.offered import MAX_TAG
from crystalcli.vocabulary.quantities import Quantity

_BOOKKEEPING = re.compile(
    r"""_(?:\[local\]_)?(?:
    atom | audit | cell | chemical | citation | computing | database | diffrn | display | exptl | function | geom | iso
    | jana | journal | magnetic | model | parent | pd | phase | propagation | publ | publcif | refine | refln | reflns
    | restr | space | structure | symmetry | twin | valence
    | amcsd | ccdc | cgraph | cod | csd | gsas | icsd | iucr | jcpds | olex2 | oxford | pdf | platon | shelx | shelxl
    | smtbx | software | squeeze | tcod_software | vrf | xd | \w+_database | \w+_db | \w+_space_group | \w+_uri
    )(?:_|\.|$)""",
    re.IGNORECASE | re.VERBOSE,
)
"""Items of the dictionaries on cell, experiment and paper, and what programs and databases keep for themselves."""
_DESCRIPTION = re.compile(
    r"""adp_type | attached_hydrogens | calc_attached_atom | calc_flag | cartn_.* | chemical_conn_number | constraints
    | description | disorder_\w+ | displace_\w+ | fract_.* | id | label.* | occ_\w+ | occupancy.* | refinement_flags.*
    | restraints | rot_\w+ | serial | site_symmetry_order | symmetry_\w* | thermal_displace_type | trans_\w+
    | type_symbol | wyckoff_\w* | \w*modulation_flag | \w*multiplicity | \w*_su | \w+[_.]label | \w+[_.]symmform
    | aniso_type_symbol | aniso_ratio""",
    re.IGNORECASE | re.VERBOSE,
)
"""Columns of the atom loop that describe a site without measuring anything."""
_OF_TYPES = re.compile(r"symbol|description|number_in_cell|scat_.*|radius_.*|analytical_mass.*|\w*_su|atomic_\w+")
_DIRECTED = re.compile(r".*[_.](?:[xyz]|[xyz][xyz]|[1-3][1-3]|spherical_\w+)", re.IGNORECASE)
_MOMENT = re.compile(r"moment[_.]crystalaxis_([xyz])")
_LIKE_A_NUMBER = re.compile(r"'?[-+]?\d*[.,]?\d+(?:[dDeE][-+]?\d+)?'?")
_TYPES = "_atom_type_"
_UNITS = {"U_iso_or_equiv": "Å²", "B_iso_or_equiv": "Å²", "moment": "µB"}
_SPELLING = {name.lower(): name for name in _UNITS}
"""Names of the dictionary count as one, in whatever letters a file has them."""


@dataclass
class Beside:
    """What a CIF says beside the structure.

    Args:
        sites: numbers (n,) or vectors (n, 3) of the asymmetric unit, NaN where the file says nothing; by the file's own
            name without ``_atom_site_`` or ``_atom_type_``.
        turned: names among them whose values symmetry turns: they are known for the listed sites only.
        crystal: numbers of the whole crystal.
        tags: texts of the whole crystal.
        left_out: items that are none of the file's bookkeeping and are not used, by name, and what they are.
        warnings: columns of numbers with something in them that is none.
    """

    sites: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    turned: set[str] = field(default_factory=set)
    crystal: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def expanded(self, index: NDArray[np.int64] | None) -> tuple[dict[str, Any], dict[str, Quantity], list[str]]:
        """Labels of all atoms and of the crystal, what is known of them, and what is said of those that are lost.

        Args:
            index: (N,) site that each atom is an image of; none where the sites are the atoms.
        """
        there = {k: v for k, v in self.sites.items() if index is None or k not in self.turned}
        labels = {k: v if index is None else v[index] for k, v in there.items()}
        known = {k: Quantity(k, _UNITS.get(k, ""), "site") for k in labels}
        lost = sorted(self.sites.keys() - there.keys())
        said = [f"{', '.join(lost)}: symmetry turns them, and the file does not say how; left out"] if lost else []
        return {**self.crystal, **labels}, known, [*self.warnings, *said]


def beside(block: cif.Block, sites: Sites, cell: NDArray[np.float64]) -> Beside:
    """Everything in ``block`` that may serve as a label.

    Args:
        block: with atoms.
        sites: its atom loop.
        cell: rows (3, 3), Å; moments along its vectors become Cartesian.
    """
    found = Beside()
    items: Iterable[Any] = block
    for item in items:
        pair = item.pair
        if pair is not None:
            if _is_own(pair[0]):
                _of_crystal(found, *pair)
        elif item.loop is not None:
            tags = tuple(item.loop.tags)
            if not _is_plain(tags):
                _of_loop(found, tags, item.loop.values, sites)
    if found.sites:
        _moments(found, cell)
        found.turned |= {name for name in found.sites if _DIRECTED.fullmatch(name)}
    return found


@lru_cache(maxsize=4096)
def _is_own(tag: str) -> bool:
    return _BOOKKEEPING.match(tag) is None


@lru_cache(maxsize=1024)
def _is_plain(tags: tuple[str, ...]) -> bool:
    """Whether a loop has no column that may be a label."""
    return not any(map(_name, tags))


def _name(tag: str) -> str:
    """What the label of a column would be called; empty for what is none."""
    lowered = tag.lower()
    if lowered.startswith(PREFIX):
        short = tag[len(PREFIX) :]
        return "" if _DESCRIPTION.fullmatch(short) else _SPELLING.get(short.lower(), short)
    if lowered.startswith(_TYPES):
        return "" if _OF_TYPES.fullmatch(lowered, len(_TYPES)) else tag[len(_TYPES) :]
    return tag[1:] if _is_own(tag) else ""


def _number(text: str) -> float:
    """The number of a CIF, ``1.20(3)`` say, or as people write them elsewhere; NaN if it is none."""
    number = cif.as_number(text)
    if not isfinite(number):
        as_written = number_in(cif.as_string(text))
        number = math.nan if as_written is None else as_written
    return number if isfinite(number) else math.nan


def _of_crystal(found: Beside, tag: str, text: str) -> None:
    number, words = _number(text), cif.as_string(text).strip()
    if isfinite(number):
        found.crystal[tag[1:]] = number
    elif "\n" in words or len(words) > MAX_TAG:
        found.left_out[tag[1:]] = "a text"
    elif not is_nothing(words):
        found.tags[tag[1:]] = words


def _of_loop(found: Beside, tags: tuple[str, ...], values: list[str], sites: Sites) -> None:
    columns = {tag: values[k :: len(tags)] for k, tag in enumerate(tags)}
    rows = _rows({tag.lower(): column for tag, column in columns.items()}, sites)
    for tag, texts in columns.items():
        name = _name(tag)
        if not name:
            continue
        if rows is None or name in found.sites or name.lower().startswith("aniso"):
            found.left_out[name] = f"{len(texts)} values of a loop"
        else:
            _of_sites(found, name, [texts[k] if k is not None else "?" for k in rows], sites.labels)


def _rows(columns: dict[str, list[str]], sites: Sites) -> list[int | None] | None:
    """The row of each site in a loop of sites or in one that names sites or types of atoms; none if it is not clear."""
    if PREFIX + "fract_x" in columns:
        return list(range(len(sites.labels)))
    key = next((t for t in columns if t == f"{_TYPES}symbol" or (t.startswith(PREFIX) and t.endswith("label"))), "")
    names = sites.columns.get("type_symbol" if key.startswith(_TYPES) else "label")
    if not key or names is None or (key.endswith("label") and len(set(names)) < len(names)):
        return None
    place = {cif.as_string(text): k for k, text in enumerate(columns[key])}
    return [place.get(cif.as_string(name)) for name in names] if len(place) == len(columns[key]) else None


def _of_sites(found: Beside, name: str, texts: list[str], labels: Sequence[str]) -> None:
    numbers = np.array([_number(text) for text in texts])
    there = np.isfinite(numbers)
    words = [k for k in np.flatnonzero(~there).tolist() if not is_nothing(cif.as_string(texts[k]))]
    if not words:
        if there.any():
            found.sites[name] = numbers
        return
    found.left_out[name] = "words"
    odd = next((k for k in words if _LIKE_A_NUMBER.fullmatch(texts[k])), words[0])
    if there.any() or _LIKE_A_NUMBER.fullmatch(texts[odd]):
        text = cif.as_string(texts[odd])
        found.tags[name] = text  # who asks for the label is told that it is a text here
        found.warnings.append(f"{name} of {labels[odd]} is '{text}', no number; {name} is left out")


def _moments(found: Beside, cell: NDArray[np.float64]) -> None:
    """Components along the unit vectors of the cell become one Cartesian vector (magnetic CIF dictionary)."""
    parts = {m[1]: name for name in found.sites if (m := _MOMENT.fullmatch(name.lower()))}
    if len(parts) == 3:
        along = np.stack([found.sites.pop(parts[axis]) for axis in "xyz"], axis=-1)
        found.sites["moment"] = along @ (cell / np.array(cells.lengths(cell))[:, None])
        found.turned.add("moment")
