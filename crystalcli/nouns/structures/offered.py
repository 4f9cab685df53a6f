"""What a file says beside a structure, sorted by one rule for all formats.

Numbers, vectors and tensors are offered as labels under the file's own names, words are kept as tags, and whatever
remains is named with what it is, so that nothing a file says is lost without a word.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import ase
import numpy as np
from numpy.typing import NDArray

from crystalcli.nouns import cells
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.numbers import is_number, number_in
from crystalcli.nouns.structures.said_units import with_units
from crystalcli.vocabulary.quantities import Quantity

IDS = ("id", "name", "material_id")
"""Keys under which a structure says what it is called."""
START_OF = "start_of"
"""Key with the id of the structure that this one is a further start of; as written, as ids are. It teaches where that
one does, and nothing else is done with it."""
MAX_TAG = 200
"""Longer texts are not kept as tags."""
MAX_VECTOR = 512
"""Longer rows of numbers (a spectrum, a grid) are no label."""
SYMMETRIC = 1e-3
"""A tensor is symmetric if its halves differ by less, relative to its largest component."""
ASE_QUANTITIES: dict[str, Quantity] = {
    "energy": Quantity("energy", "eV", extensive=True),
    "free_energy": Quantity("free_energy", "eV", extensive=True),
    "forces": Quantity("forces", "eV/Å", "site"),
    "charges": Quantity("charges", "e", "site"),
    "magmoms": Quantity("magmoms", "µB", "site"),
    "magmom": Quantity("magmom", "µB", extensive=True),
    "energies": Quantity("energies", "eV", "site"),
    "stress": Quantity("stress", "eV/Å³", shape=(6,)),
    "stresses": Quantity("stresses", "eV/Å³", "site"),
    "dipole": Quantity("dipole", "e·Å", shape=(3,)),
    "virial": Quantity("virial", "eV", shape=(6,)),
}
"""What ASE, and extended XYZ, store under a fixed name and unit."""
RESULTS = frozenset(ASE_QUANTITIES) - {"virial"}
"""Those that ASE keeps as results of a calculation, and not beside the structure."""
STRAIN = "relaxed_strain"
"""Name of the label that says how a cell relaxes: ε with (1 + ε) the stretch, xx yy zz yz xz xy; positions that relax
with it are in the frame of the start's cell."""
POSITIONS = frozenset({"relaxed_positions", "initial_positions", "final_positions"})
"""Names of columns of three that are places of the atoms, Å."""
OF_VIRIAL = "stress_from_"
"""Before the name of a virial: the stress that it stands for."""
INITIAL = {"initial_magmoms": "µB", "initial_charges": "e"}
"""What ASE keeps of the atoms with which a calculation begins, and where many keep what came out of it; with units."""
OF_SITES = "_of_sites"
"""Behind the name of a column, where the file gives the whole structure something of the same name."""
_STRUCTURE_ITSELF = frozenset(("numbers", "positions", "tags", "momenta", "masses"))
_PER_ATOM = frozenset(("force", "forces", "charges", "magmoms", "magmom", "energies", "velocities"))
"""Names whose lists are one per atom wherever they fit."""

Floats = NDArray[np.float64]


@dataclass
class Offered:
    """What is found beside one structure.

    Args:
        n_atoms: of the structure.
        cell: (3, 3) Å; a virial is a stress where its vectors span a volume.
        labels, tags, quantities, left_out, notes: as of an :class:`~crystalcli.nouns.structures.entry.Entry`.
    """

    n_atoms: int
    cell: Floats | None = None
    labels: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    quantities: dict[str, Quantity] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _ordered: bool = field(default=False, init=False)

    def take(
        self,
        said: Mapping[str, Any],
        known: Mapping[str, Quantity] | None = None,
        *,
        skip: Collection[str] = (),
        per_atom: bool = False,
        ordered: bool = False,
    ) -> None:
        """Sort what is said of the structure as a whole.

        Args:
            said: name → anything.
            known: what the format itself declares of some names.
            skip: names that are used elsewhere.
            per_atom: lists as long as there are atoms are one per atom, as in JSON; one, three, six or nine stay one
                thing unless the format or the name says otherwise, or later the other structures.
            ordered: the format itself says that six numbers are xx yy zz yz xz xy.
        """
        self._ordered = ordered
        for key, value in said.items():
            if key == START_OF and is_number(value):
                self.tags[key] = str(value)
            elif key not in skip and value is not None:
                self._take(str(key), value, (known or {}).get(key), per_atom)

    def take_sites(self, arrays: Mapping[str, Any]) -> None:
        """Sort arrays of one row per atom; those that make the structure itself are no labels.

        What is there already counts: a column ``energy`` beside a total of that name is called ``energy_of_sites``.
        """
        for key, value in arrays.items():
            if key in _STRUCTURE_ITSELF or (key in self.labels and self._is_of_sites(key)):
                continue
            array = np.asarray(value)
            if array.dtype.kind in "fiu":
                rows = array if array.ndim <= 2 else array.reshape(len(array), -1)
                name = key
                if key in self.labels:
                    name = key + OF_SITES
                    self.notes.append(f"'{key}' is one per structure and one per atom, which is called '{name}'")
                self._label(name, np.asarray(rows, dtype=np.float64), _known_of_sites(name, key), "site")
            else:
                self.left_out[key] = "words, one per atom" if array.dtype.kind in "OUS" else "yes or no, one per atom"

    def _is_of_sites(self, key: str) -> bool:
        known = self.quantities.get(key)
        return known is not None and known.level == "site"

    def _take(self, key: str, value: Any, known: Quantity | None, per_atom: bool) -> None:
        if is_number(value) and known is not None and known.level == "site":
            self._array(key, np.array([value], dtype=np.float64), known, per_atom)
        elif is_number(value):
            self.labels[key] = float(value)
            if known is not None and not known.shape and known.level == "structure":
                self.quantities[key] = known
        elif isinstance(value, str):
            self._text(key, value, known)
        elif isinstance(value, (bool, np.bool_)):
            self.tags[key] = str(value)
        elif isinstance(value, (list, tuple, np.ndarray)):
            array = numbers_of(value)
            if array is None:
                self.left_out[key] = _what(value)
            elif array.size == 1 and not self._is_of_one_atom(key, array, known, per_atom):
                self._take(key, float(array.ravel()[0]), known, per_atom)
            else:
                self._array(key, array, known, per_atom)
        else:
            self.left_out[key] = _what(value)

    def _text(self, key: str, text: str, known: Quantity | None) -> None:
        number = number_in(text) if known is not None else None
        if number is not None:
            self._take(key, number, known, False)
        elif len(text) <= MAX_TAG:
            self.tags[key] = text
        else:
            self.left_out[key] = f"a text of {len(text)} characters"

    def _array(self, key: str, array: Floats, known: Quantity | None, per_atom: bool) -> None:
        of_site = known.level == "site" if known is not None else per_atom and self._fits_atoms(key, array)
        if of_site:
            if len(array) == self.n_atoms:
                self._label(key, array.reshape(self.n_atoms, -1) if array.ndim > 2 else array, known, "site")
            else:
                self.left_out[key] = f"{_shape(array)} for {self.n_atoms} atoms"
        elif known is not None and not known.shape:  # several where there is one: refused with its line if asked for
            self.tags[key] = " ".join(f"{v:g}" for v in array.ravel()[:9])
        elif array.shape in ((9,), (3, 3)) or (array.shape == (6,) and (known is not None or is_stress(key))):
            self._tensor(key, array, known)
        elif array.ndim == 1 and len(array) <= MAX_VECTOR:
            self._label(key, array, known if known is not None and known.shape == array.shape else None)
        else:
            self.left_out[key] = _shape(array)

    def _is_of_one_atom(self, key: str, array: Floats, known: Quantity | None, per_atom: bool) -> bool:
        """Whether a list of one number is that of the only atom, by what the format or the name says."""
        if known is not None:
            return known.level == "site"
        return per_atom and array.ndim > 0 and len(array) == self.n_atoms and key.lower() in _PER_ATOM

    def _fits_atoms(self, key: str, array: Floats) -> bool:
        if len(array) != self.n_atoms or is_stress(key):
            return False
        return key.lower() in _PER_ATOM or (array.ndim == 2 and array.shape != (3, 3)) or len(array) not in (3, 6, 9)

    def _tensor(self, key: str, array: Floats, known: Quantity | None) -> None:
        """A tensor of rank two: a stress or virial as six numbers if it is symmetric, anything else as it stands."""
        if not is_stress(key) and (known is None or known.shape != (6,)):
            self._label(key, array.reshape(3, 3), known or Quantity(key, shape=(3, 3)))
            return
        if array.shape == (6,) and not self._ordered:
            self.notes.append(f"'{key}' of six numbers is taken as xx yy zz yz xz xy")
        tensor = voigt(array)
        unit = "eV" if is_virial(key) else ""
        self._label(key, array if tensor is None else tensor, known or Quantity(key, unit, shape=(6,)))
        volume = abs(cells.volume(self.cell)) if self.cell is not None and is_virial(key) else 0.0
        if tensor is not None and volume > 0.0:
            stress = Quantity(OF_VIRIAL + key, "eV/Å³", shape=(6,))
            self._label(stress.name, 0.0 - tensor / volume, stress)

    def _label(self, key: str, value: Floats, known: Quantity | None, level: str = "structure") -> None:
        self.labels[key] = value
        if known is not None:
            self.quantities[key] = known
        else:
            place = level == "site" and key in POSITIONS and value.shape[1:] == (3,)
            of_site = Quantity(key, "Å", "site", meaning="position") if place else Quantity(key, level="site")
            self.quantities[key] = of_site if level == "site" else Quantity(key, shape=value.shape)


def _known_of_sites(name: str, key: str) -> Quantity | None:
    """What is known of a column: of atoms ``magmom`` and ``energy`` have their unit, ``virial`` and ``stress`` none."""
    if key in INITIAL:
        return Quantity(name, INITIAL[key], "site")
    known = ASE_QUANTITIES.get(key)
    if known is None or known.level == "site":
        return known
    return Quantity(name, "" if known.shape else known.unit, "site")


def entry_of(offered: Offered, name: str, atoms: ase.Atoms, source: str, warnings: tuple[str, ...] = ()) -> Entry:
    """The entry of a structure with what was found beside it."""
    o = offered
    tags, quantities, notes, said = with_units(o.labels, o.tags, o.quantities)
    notes, warnings = [*o.notes, *notes], (*warnings, *said)
    return Entry(name, atoms, source, o.labels, tags, quantities, warnings, left_out=o.left_out, notes=tuple(notes))


def is_stress(key: str) -> bool:
    """Whether a label is a stress, or a virial, by its name."""
    return "stress" in key.lower() or is_virial(key)


def is_virial(key: str) -> bool:
    """Whether a label is a virial, −V σ in eV, by its name; a stress made of one is none."""
    return "virial" in key.lower() and "stress" not in key.lower()


def voigt(array: Floats) -> Floats | None:
    """A symmetric tensor as xx yy zz yz xz xy, from six or nine numbers; none if it is not symmetric."""
    if array.size == 6:
        return array
    full = array.reshape(3, 3)
    if np.isfinite(full).all() and np.abs(full - full.T).max() > SYMMETRIC * max(np.abs(full).max(), 1e-6):
        return None
    return np.array([full[0, 0], full[1, 1], full[2, 2], full[1, 2], full[0, 2], full[0, 1]])


def numbers_of(value: Any) -> Floats | None:
    """``value`` as an array of numbers, missing ones NaN; none if it holds anything else or rows differ in length."""
    try:
        raw = np.asarray(value)
        if raw.dtype.kind == "O":
            raw = np.array([np.nan if v is None else v for v in raw.ravel()]).reshape(raw.shape)
    except ValueError:
        return None
    return np.asarray(raw, dtype=np.float64) if raw.dtype.kind in "fiu" and raw.size else None


def _shape(array: Floats) -> str:
    return f"{' × '.join(str(n) for n in array.shape)} numbers"


def _what(value: Any) -> str:
    """A word on something that is neither number nor text."""
    if isinstance(value, Mapping):
        return "a record"
    if isinstance(value, (list, tuple, np.ndarray)):
        return f"a list of {len(value)}"
    return type(value).__name__
