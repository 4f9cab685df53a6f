"""How large the crystal would be: the volume per atom that a box is a little larger than, and where it is from.

In this order (M. Aykol et al., SynS & ML workshop, ICML 2023, sec. 2, and what it leaves open): what the user says; the
stable phase, or the mixture of phases by the lever rule, v = Σ_k φ_k v_k with the atomic fractions φ_k; where their
energies are not all known the mean over those of this formula, or without one the densest mixture; the densest mixture
of measured crystals, which are the elements where no compound is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import ase
import numpy as np

from crystal_glass.composition import Composition, parse, reduced
from crystal_glass.crystals import COMPOUNDS, MEASURED, cell_volume, elemental
from crystalcli.nouns.structures.entry import Entry
from crystalcli.vocabulary.errors import InputError, UsageError

GIVEN = "given"


@dataclass(frozen=True)
class Phase:
    """A crystal: its formula, volume and energy per atom (Å³, eV; the energy none where nobody knows it)."""

    formula: str
    fractions: dict[str, float]
    volume: float
    energy: float | None = None


@dataclass(frozen=True)
class Volume:
    """Å³ per atom, and where it is from, in words."""

    per_atom: float
    source: str


def phases_of(items: Iterable[Entry | InputError]) -> list[Phase]:
    """Crystals of files, each with the energy that its file has.

    Raises:
        InputError: one that cannot be read, or is no crystal.
    """
    found = []
    for item in items:
        if isinstance(item, InputError):
            raise item
        if not item.atoms.pbc.all():
            raise InputError("is no crystal: not periodic in three directions", path=item.source)
        found.append(_phase(item.atoms, item.labels.get("energy")))
    return found


def _phase(atoms: ase.Atoms, energy: object) -> Phase:
    n = len(atoms)
    counts = {s: int((atoms.symbols == s).sum()) for s in sorted(set(atoms.symbols))}
    known = isinstance(energy, (int, float)) and np.isfinite(energy)
    return Phase(
        reduced(counts),
        {s: m / n for s, m in counts.items()},
        float(atoms.get_volume()) / n,
        float(energy) / n if known and isinstance(energy, (int, float)) else None,
    )


def measured_phases(symbols: Iterable[str]) -> list[Phase]:
    """Crystals of the tables that have none but these elements."""
    wanted = set(symbols)
    found = []
    for symbol in sorted(wanted):
        if (volume := elemental(symbol)) is not None:
            found.append(Phase(symbol, {symbol: 1.0}, volume[0]))
    for formula, (units, lengths) in COMPOUNDS.items():
        composition = parse(formula)
        if set(composition.fractions) <= wanted:
            atoms = units * float(sum(n for _, n in composition.amounts))
            shares = {s: float(f) for s, f in composition.fractions.items()}
            found.append(Phase(formula, shares, cell_volume(lengths) / atoms))
    return found


def lever(fractions: dict[str, float], phases: Sequence[Phase]) -> list[tuple[Phase, float]] | None:
    """The mixture of ``phases`` with composition ``fractions`` that is lowest in energy, or in volume without energies.

    Returns:
        The phases that take part and their atomic fractions; none where these phases cannot make it up.
    """
    from scipy.optimize import linprog

    usable = _usable(fractions, phases)
    if not usable:
        return None
    by_energy = _energies_known(usable)
    cost = np.array([p.energy if by_energy else p.volume for p in usable], dtype=np.float64)
    symbols = sorted(fractions)
    table = np.array([[p.fractions.get(s, 0.0) for p in usable] for s in symbols])
    solved = linprog(cost, A_eq=table, b_eq=[fractions[s] for s in symbols], bounds=(0, 1), method="highs")
    if not solved.success:
        return None
    shares = solved.x / solved.x.sum()
    return [(p, float(x)) for p, x in zip(usable, shares, strict=True) if x > 1e-9]


def _usable(fractions: dict[str, float], phases: Sequence[Phase]) -> list[Phase]:
    return [p for p in phases if set(p.fractions) <= set(fractions)]


def _energies_known(phases: Sequence[Phase]) -> bool:
    return all(p.energy is not None for p in phases)


def volume_of(
    composition: Composition, given: float, phases: Sequence[Phase], asked: Composition | None = None
) -> Volume:
    """Volume per atom of the crystal at ``composition``.

    Args:
        composition: that of the atoms in the box.
        given: Å³ per atom; 0 where the user says nothing.
        phases: of the user's files.
        asked: the composition that was asked for, where whole numbers of atoms make a little another one. Where the
            phases of the user make up this alone, its volume is taken.

    Raises:
        UsageError: nothing is known of an element; says the cure.
    """
    if given:
        return Volume(given, GIVEN)
    fractions = {s: float(f) for s, f in composition.fractions.items()}
    for one in (composition, *((asked,) if asked else ())):
        if (found := _of_phases({s: float(f) for s, f in one.fractions.items()}, phases)) is not None:
            return found
    known = measured_phases(fractions)
    mixed = lever(fractions, known)
    if mixed is None:
        missing = [s for s in fractions if elemental(s) is None]
        said = f"{composition.text}: no crystal of {', '.join(missing) or 'it'} is known; give --volume or --phases"
        raise UsageError(said, path=composition.path, line=composition.line)
    sources = {(elemental(p.formula) or (0.0, MEASURED))[1] if len(p.fractions) == 1 else MEASURED for p, _ in mixed}
    return Volume(sum(x * p.volume for p, x in mixed), f"{' and '.join(sorted(sources))}: {_said(mixed)}")


def _of_phases(fractions: dict[str, float], phases: Sequence[Phase]) -> Volume | None:
    """What the phases of the user say; none where they cannot make it up."""
    by = "hull" if _energies_known(_usable(fractions, phases)) else "densest mixture"
    same = [p for p in phases if p.fractions.keys() == fractions.keys() and _near(p.fractions, fractions)]
    if same and by != "hull":
        mean = sum(p.volume for p in same) / len(same)
        return Volume(mean, f"mean of the phases given: {len(same)} of {same[0].formula}")
    if mixed := lever(fractions, phases):
        return Volume(sum(x * p.volume for p, x in mixed), f"{by} of the phases given: {_said(mixed)}")
    return None


def _near(one: dict[str, float], other: dict[str, float]) -> bool:
    return all(abs(one[s] - other[s]) < 1e-9 for s in one)


def _said(mixed: Sequence[tuple[Phase, float]]) -> str:
    if len(mixed) == 1:
        return mixed[0][0].formula
    return " + ".join(f"{x:.4g} {p.formula}" for p, x in mixed)
