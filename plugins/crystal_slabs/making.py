"""Structure k: a slab of a metal or an alloy, with an adsorbate or without, strained and rattled.

Everything random is drawn from a generator of ``(seed, k)``: the structure depends on nothing else but the options.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ase
import numpy as np
from ase.constraints import FixAtoms
from ase.data import atomic_numbers, reference_states
from numpy.typing import NDArray

from crystal_slabs import sites
from crystal_slabs.facets import C_OVER_A, FACETS, A, Ideal, ideal, ordered
from crystal_slabs.options import ADSORBATES, KINDS, SITES, SlabsOptions, span, words
from crystalcli.vocabulary.errors import UsageError

MOLECULES: dict[str, tuple[tuple[str, float], ...]] = {
    "H": (("H", 0.0),),
    "O": (("O", 0.0),),
    "CO": (("C", 0.0), ("O", 1.15)),
}
"""Atoms of the adsorbates, from the one that binds on: symbol, and place along the axis in Å."""
HELD, FREE, ADSORBATE = 0, 1, 2
"""The tags."""
_LATTICES = ("fcc", "bcc", "hcp")
_NO_METALS = frozenset({"H", "He", "Ne", "Ar", "Kr", "Xe", "Rn", "Se", "Te"})


@dataclass(frozen=True)
class Made:
    """A structure before it is relaxed.

    Args:
        atoms: with tags and the held ones fixed; periodic in the plane.
        facts: what the frame and the table say of it.
    """

    atoms: ase.Atoms
    facts: dict[str, Any]


class Maker:
    """Makes the structures.

    Raises:
        UsageError: elements, words or numbers that cannot work.
    """

    def __init__(self, options: SlabsOptions) -> None:
        o = self.options = options
        self.adsorbates = words(o.adsorbates, ADSORBATES, "adsorbates")
        self.kinds, self.sites = words(o.kinds, KINDS, "kinds"), words(o.sites, SITES, "sites")
        self.layers = span(o.layers, "layers", 20)
        self.repeat = span(o.repeat, "repeat", 10)
        self.metals = _by_lattice(o.elements)
        offered = [f for f, facet in FACETS.items() if facet.lattice in self.metals]
        asked = words(o.facets, tuple(FACETS), "facets") if o.facets else tuple(offered)
        self.facets = {m: [f for f in asked if FACETS[f].lattice == m] for m in self.metals}
        if idle := [f for f in asked if f not in offered]:
            raise UsageError(f"--facets {','.join(idle)}: none of --elements {o.elements} has that lattice")
        for lattice, metals in self.metals.items():
            if not self.facets[lattice]:
                raise UsageError(f"--facets {o.facets} has none of {lattice}, the lattice of {', '.join(metals)}")
            if not self._kinds(lattice):
                raise UsageError(
                    f"--kinds {o.kinds}: no alloy of {lattice} can be made of {', '.join(metals)} alone; "
                    "name more elements of that lattice, or the kind pure"
                )

    @property
    def elements(self) -> set[str]:
        """All that may be in a structure."""
        guests = {symbol for a in self.adsorbates if a != "none" for symbol, _ in MOLECULES[a]}
        return guests.union(*self.metals.values())

    def _kinds(self, lattice: str) -> list[str]:
        several = len(self.metals[lattice]) > 1
        possible = {"pure": True, "ordered": several and lattice == "fcc", "random": several}
        return [k for k in self.kinds if possible[k]]

    def make(self, k: int) -> Made:
        """Structure ``k``."""
        o, rng = self.options, np.random.default_rng([self.options.seed, k])
        host = _one(rng, [m for metals in self.metals.values() for m in metals])
        lattice = next(name for name, metals in self.metals.items() if host in metals)
        kind, facet = _one(rng, self._kinds(lattice)), _one(rng, self.facets[lattice])
        layers = int(rng.integers(self.layers[0], self.layers[1] + 1))
        repeat = [int(r) for r in rng.integers(self.repeat[0], self.repeat[1] + 1, 2)]
        if kind == "ordered":  # two vectors of the lattice are one of the cubic cell
            repeat = [r + r % 2 for r in repeat]
        slab = ideal(facet, (repeat[0], repeat[1]), layers)
        others = [m for m in self.metals[lattice] if m != host]
        symbols, name = _decorated(rng, slab, host, others, kind, o.most_elements)
        positions, cell = _scaled(rng, slab, symbols, lattice, o.strain)
        numbers = np.array([atomic_numbers[s] for s in symbols])
        held = slab.layer < max(layers - o.free_layers, 1)
        tags = np.where(held, HELD, FREE)
        guest, site = _one(rng, list(self.adsorbates)), ""
        if guest != "none":
            site = _one(rng, list(self.sites))
            top = positions[slab.layer == layers - 1]
            added = self._placed(rng, guest, site, positions, numbers, top, cell)
            positions = np.concatenate([positions, added])
            numbers = np.concatenate([numbers, [atomic_numbers[s] for s, _ in MOLECULES[guest]]])
            tags = np.concatenate([tags, np.full(len(added), ADSORBATE)])
        positions[:, 2] += 0.5 * o.vacuum - positions[:, 2].min()
        box = np.zeros((3, 3))
        box[:2, :2], box[2, 2] = cell, positions[:, 2].max() + 0.5 * o.vacuum
        positions[tags != HELD] += rng.normal(0.0, o.rattle, (int((tags != HELD).sum()), 3))
        atoms = ase.Atoms(numbers, positions, cell=box, pbc=(True, True, False), tags=tags)
        atoms.set_constraint(FixAtoms(mask=tags == HELD))
        group = "-".join(sorted(set(symbols)))
        config = "bare" if guest == "none" else guest
        facts = {
            "id": f"{k:06d}-{group.replace('-', '')}-{facet}-{config}",
            "group": group,
            "config_type": config,
            "prototype": f"{facet}-{name}",
            "facet": facet,
            "miller": " ".join(map(str, FACETS[facet].miller)),
            "layers": layers,
            "kind": kind,
            "site": site,
        }
        return Made(atoms, facts)

    def _placed(
        self,
        rng: np.random.Generator,
        guest: str,
        site: str,
        positions: NDArray[np.float64],
        numbers: NDArray[np.int64],
        top: NDArray[np.float64],
        cell: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Positions of the adsorbate's atoms, (A, 3) Å."""
        if site == "random":
            point = rng.random(2) @ cell
        else:
            found = sites.places(top[:, :2], cell)[site]
            point = found[rng.integers(len(found))]
        polar, turn = np.deg2rad(self.options.tilt) * rng.random(), 2 * np.pi * rng.random()
        axis = np.array([np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar)])
        molecule = MOLECULES[guest]
        z = sites.height(point, atomic_numbers[molecule[0][0]], positions, numbers, top, cell) + self.options.lift
        placed: NDArray[np.float64] = np.array([*point, z]) + np.outer([along for _, along in molecule], axis)
        return placed


def _by_lattice(elements: str) -> dict[str, list[str]]:
    """The metals of each lattice, as the elements crystallise."""
    known = tuple(s for s in atomic_numbers if _lattice(s) in _LATTICES)
    if not elements.strip():
        raise UsageError("which metals? give --elements Cu,Ag,Au or others that are fcc, bcc or hcp")
    found: dict[str, list[str]] = {}
    for symbol in (w.strip() for w in elements.split(",") if w.strip()):
        if symbol in atomic_numbers and symbol not in known:
            raise UsageError(f"--elements: {symbol} is neither fcc, bcc nor hcp; leave it out")
        words(symbol, known, "elements")
        metals = found.setdefault(_lattice(symbol), [])
        if symbol not in metals:
            metals.append(symbol)
    return found


def _lattice(symbol: str) -> str:
    """Of a metal; empty for what is none, or has another."""
    number = atomic_numbers[symbol]
    state = reference_states[number] if number < len(reference_states) else None
    if state is None or "a" not in state or symbol in _NO_METALS:
        return ""
    return str(state["symmetry"])


def _decorated(
    rng: np.random.Generator, slab: Ideal, host: str, others: list[str], kind: str, most: int
) -> tuple[list[str], str]:
    """Element of every site, and the name of the order."""
    n = len(slab.positions)
    if kind == "pure":
        return [host] * n, "pure"
    if kind == "ordered":
        assert slab.cubic is not None
        name, second = _one(rng, ["L1_0", "L1_2"]), _one(rng, others)
        shift = np.array([[0, 0, 0], [1, 1, 0], [1, 0, 1], [0, 1, 1]])[rng.integers(4)]
        chosen = ordered(slab.cubic, name, int(rng.integers(3)), shift)
        return [second if c else host for c in chosen], name
    several = int(rng.integers(2, min(most, len(others) + 1) + 1))
    mixed = [host, *(str(s) for s in rng.choice(others, several - 1, replace=False))]
    shares = rng.dirichlet(np.ones(several))
    return [str(s) for s in rng.choice(mixed, n, p=shares)], "random"


def _scaled(
    rng: np.random.Generator, slab: Ideal, symbols: list[str], lattice: str, strain: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions (N, 3) and cell (2, 2) in Å, of the lattice constants' mean (Vegard's law), each axis strained."""
    states = [reference_states[atomic_numbers[s]] for s in symbols]
    a = float(np.mean([s["a"] for s in states]))
    factors = np.full(3, a / A)
    if lattice == "hcp":
        factors[2] = float(np.mean([s["a"] * s["c/a"] for s in states])) / (A * C_OVER_A)
    factors *= 1.0 + strain * rng.uniform(-1.0, 1.0, 3)
    return slab.positions * factors, slab.cell[:, :2] * factors[:2]


def _one(rng: np.random.Generator, choices: list[str]) -> str:
    return choices[rng.integers(len(choices))]
