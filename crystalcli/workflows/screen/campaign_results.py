"""What a stage makes of a structure, as a record that survives a journal bit by bit."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ase
from ase.data import chemical_symbols

from crystalcli.mechanisms.phases.hull import Amounts
from crystalcli.vocabulary.errors import one_line

DONE = "done"
ELEMENT = "element "
"""Before the ids of structures of elements, so that candidates may have the same."""


@dataclass(frozen=True)
class Item:
    """A structure on its way through the stages."""

    id: str
    atoms: ase.Atoms

    @property
    def amounts(self) -> dict[str, float]:
        """Symbol → atoms."""
        return {chemical_symbols[z]: float(n) for z, n in sorted(Counter(self.atoms.numbers.tolist()).items())}


@dataclass(frozen=True)
class Result:
    """What came of one structure at one stage.

    Args:
        id: which one.
        reason: ``done``, or a short word for what went wrong. message: one line where there is more to say.
        atoms: the structure now; none where there is none.
        energy: as the stage has it, a total energy in eV or a formation energy in eV/atom; none where there is none.
    """

    id: str
    reason: str = DONE
    message: str = ""
    atoms: ase.Atoms | None = None
    energy: float | None = None

    @property
    def problem(self) -> str:
        """What went wrong, in one line; empty if nothing did."""
        if self.reason == DONE:
            return ""
        return self.reason + (f": {self.message}" if self.message else "")

    def to_json(self) -> dict[str, Any]:
        """Plain values, the inverse of :meth:`from_json`."""
        made: dict[str, Any] = {"id": self.id, "reason": self.reason, "energy": self.energy}
        if self.message:
            made["message"] = one_line(self.message)
        if self.atoms is not None:
            made["atoms"] = bare(self.atoms)
        return made

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Result:
        """Build from the record of :meth:`to_json`."""
        atoms = None if "atoms" not in data else ase.Atoms(**data["atoms"])
        return cls(data["id"], data["reason"], data.get("message", ""), atoms, data["energy"])


def bare(atoms: ase.Atoms) -> dict[str, Any]:
    """Numbers, positions (Å), cell (Å, rows) and pbc as plain lists."""
    return {
        "numbers": atoms.numbers.tolist(),
        "positions": atoms.positions.tolist(),
        "cell": atoms.cell.tolist(),
        "pbc": atoms.pbc.tolist(),
    }


def key_of(items: Sequence[Item]) -> str:
    """Name of the work on ``items``: equal structures under equal ids have equal names."""
    text = json.dumps([[i.id, bare(i.atoms)] for i in items])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def misfit(found: Result, item: Item) -> Result:
    """``found``, unless it is another compound than ``item``: then what is wrong with it."""
    if found.atoms is None or sorted(found.atoms.numbers) == sorted(item.atoms.numbers):
        return found
    said = f"came back as {found.atoms.get_chemical_formula()}, was {item.atoms.get_chemical_formula()}"
    return Result(item.id, "composition", said)


def with_energy(found: Result, key: str) -> Result:
    """``found``, unless it is a structure without the energy called ``key``: then that this is wrong with it."""
    if found.reason != DONE or found.energy is not None:
        return found
    return replace(found, reason="energy", message=f"came back without '{key}'")


def formation_energy(total: float, amounts: Amounts, elements: Mapping[str, float]) -> float:
    """``(E − Σ_k n_k μ_k) / Σ_k n_k``, eV/atom.

    Args:
        total: E, eV.
        amounts: n.
        elements: μ, eV/atom.
    """
    return (total - sum(n * elements[s] for s, n in amounts.items())) / sum(amounts.values())


Keyed = tuple[str, Sequence[Item]]
"""Name of a piece of work, and the structures in it."""
Done = tuple[str, list[Result]]
"""Name of a piece of work, and what came of its structures, in order."""
