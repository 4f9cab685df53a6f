"""Outcomes → extended XYZ, CSV and CIF; numbers written so that they read back bit by bit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import tee
from pathlib import Path
from typing import Any

from ase.data import chemical_symbols

from crystalcli.engine.run import files
from crystalcli.relax.outcome import Geometry, Outcome
from crystalcli.relax.start import Begin
from crystalcli.vocabulary.tables import csv_text
from crystalcli.vocabulary.texts import apart, xyz_word

HEADER = (
    "id",
    "source",
    "converged",
    "reason",
    "message",
    "steps",
    "atoms",
    "energy_start [eV]",
    "energy [eV]",
    "fmax [eV/Å]",
    "smax [GPa]",
    "displacement_max [Å]",
    "displacement_mean [Å]",
    "volume_start [Å³]",
    "volume [Å³]",
    "volume_change [%]",
    "spacegroup_start",
    "spacegroup",
    "symprec [Å]",
)


def table(outcomes: Iterable[Outcome], symprec: float) -> str:
    """The text of relaxation.csv."""
    first, rest = _peeked(outcomes)
    if first is None or first.begin is None:
        return csv_text(HEADER, (_row(o, symprec) for o in rest))
    blank = Begin("")
    return csv_text((*HEADER, *Begin.COLUMNS), ([*_row(o, symprec), *(o.begin or blank).row()] for o in rest))


def _peeked(outcomes: Iterable[Outcome]) -> tuple[Outcome | None, Iterable[Outcome]]:
    """The first that has a beginning of its own, and all of them."""
    every = list(outcomes)
    return next((o for o in every if o.begin is not None), None), every


def _row(o: Outcome, symprec: float) -> list[Any]:
    change = None if not o.volume_start or o.volume is None else 100.0 * (o.volume / o.volume_start - 1.0)
    numbers = (
        o.energy_start,
        o.energy,
        o.fmax,
        o.smax,
        o.displacement_max,
        o.displacement_mean,
        o.volume_start,
        o.volume,
        change,
    )
    atoms = None if o.geometry is None else len(o.geometry.numbers)
    words = [o.id, o.source, "true" if o.converged else "false", o.reason, o.message, o.steps, atoms]
    return [*words, *(None if x is None else repr(x) for x in numbers), o.spacegroup_start, o.spacegroup, repr(symprec)]


def extxyz(outcome: Outcome, geometry: Geometry, step: int | None = None) -> str:
    """One frame, the last or that after ``step`` moves, with full precision: numbers read back as the same bits.

    What a surface says has names of its own, so that nobody takes it for energies of the crystal.
    """
    g, last = geometry, step in (None, outcome.steps)
    whose = "surface_" if outcome.surface else ""
    columns, fields = [[chemical_symbols[z] for z in g.numbers], *_columns(g.positions)], "species:S:1:pos:R:3"
    if g.may_move:
        whole = all(len(set(row)) == 1 for row in g.may_move)
        fields += f":move_mask:L:{1 if whole else 3}"
        columns += [["FT"[m[k]] for m in g.may_move] for k in range(1 if whole else 3)]
    fields += f":{whose}forces:R:3"
    columns += _columns(g.forces)
    if g.energies is not None:
        fields += ":energies:R:1"
        columns.append([repr(e) for e in g.energies])
    head = [
        *([f'Lattice="{_numbers(g.cell)}"'] if any(map(any, g.cell)) else []),
        f"Properties={fields}",
        f"id={_quoted(outcome.id)}",
        f"source={_quoted(outcome.source)}",
        f"{whose}energy={g.energy!r}",
        *([f'{whose}stress="{_numbers(g.stress)}"'] if g.stress is not None else []),
        *([f"energy_sigma={g.sigma!r}"] if g.sigma is not None else []),
        f"converged={'FT'[outcome.converged and last]}",
        *([f"reason={_quoted(outcome.reason)}"] if last else []),
        f"steps={outcome.steps if step is None else step}",
        f'pbc="{" ".join("FT"[p] for p in g.pbc)}"',
    ]
    lines = [str(len(g.numbers)), " ".join(head), *(" ".join(row) for row in zip(*columns, strict=True))]
    return "\n".join(lines) + "\n"


def _columns(rows: list[list[float]]) -> list[list[str]]:
    return [[repr(row[k]) for row in rows] for k in range(3)]


def _numbers(matrix: list[list[float]]) -> str:
    return " ".join(repr(x) for row in matrix for x in row)


def _quoted(text: str) -> str:
    escaped = xyz_word(text).replace('"', '\\"')
    return f'"{escaped}"'


def write_cifs(folder: Path, outcomes: Iterable[Outcome]) -> None:
    """Write a CIF of every crystal to ``folder``, named by its id."""
    from pymatgen.io.ase import AseAtomsAdaptor
    from pymatgen.io.cif import CifWriter

    crystals = (o for o in outcomes if o.geometry is not None and all(o.geometry.pbc))
    for name, outcome in _named(crystals):
        assert outcome.geometry is not None
        structure = AseAtomsAdaptor.get_structure(outcome.geometry.atoms())
        files.write_text(folder / f"{name}.cif", str(CifWriter(structure, significant_figures=12)))


def write_trajectories(folder: Path, outcomes: Iterable[Outcome]) -> None:
    """Write the way of every structure to ``folder``, extended XYZ named by its id."""
    for name, outcome in _named(o for o in outcomes if o.path):
        files.write_text(folder / f"{name}.extxyz", "".join(extxyz(outcome, g, step) for step, g in outcome.path))


def _named(outcomes: Iterable[Outcome]) -> Iterator[tuple[str, Outcome]]:
    """Names for files: the ids as far as they may be, numbered where two would be the same."""
    named, every = tee(outcomes)
    safe = (re.sub(r"[^\w.+#-]", "_", o.id)[:150].lstrip(".") or "structure" for o in named)
    return zip(apart(safe), every, strict=True)
