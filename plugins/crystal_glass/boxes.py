"""The boxes of a request: which there are, how large, and packed; each by its composition, replica and seed alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from crystal_glass import composition as formulas
from crystal_glass.box_options import BoxOptions
from crystal_glass.composition import Composition
from crystal_glass.packing import Packed, box, room
from crystal_glass.volumes import Phase, Volume, phases_of, volume_of
from crystalcli.contracts.host import Host
from crystalcli.vocabulary.errors import InputError, UsageError

UNEVEN = 0.015
"""Fractions that are written with two digits may sum to so much more or less than 1: Al0.33Ti0.66."""


@dataclass(frozen=True)
class Box:
    """One box before its atoms are placed.

    Args:
        name: of its folder; of the composition's counts, and the replica where there are several.
        composition: as asked for. counts: atoms by symbol, by the alphabet.
        also: other compositions that were asked for and have the same counts.
        replica: 0, 1, …
        volume: of the crystal. size: of the whole box, Å³.
        equation: what was found of it at several volumes (:mod:`.equilibrium`); none where nobody looked.
    """

    name: str
    composition: Composition
    counts: dict[str, int]
    replica: int
    volume: Volume
    size: float
    equation: Mapping[str, Any] | None = None
    also: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """What its random numbers hang on, beside the seed."""
        return f"{formulas.of_counts(self.counts)} {self.replica}"

    @property
    def atoms(self) -> int:
        """Their number."""
        return sum(self.counts.values())

    def packed(self, o: BoxOptions, attempt: int = 0) -> Packed:
        """The box with its atoms; another ``attempt`` has other ones.

        Raises:
            InputError: they do not fit.
        """
        again = f" {attempt}" if attempt else ""
        return box(self.counts, self.size, o.seed, self.key + again, o.spheres)

    def told(self) -> dict[str, Any]:
        """Plain facts."""
        return {
            "id": self.name,
            "formula": formulas.reduced(self.counts),
            "asked": self.composition.text,
            "atoms": self.atoms,
            "replica": self.replica,
            "crystal_volume": self.volume.per_atom,
            "volume_source": self.volume.source,
            "box_volume": self.size / self.atoms,
        }


def boxes_of(o: BoxOptions, phases: list[Phase]) -> list[Box]:
    """All boxes that are asked for, each composition once, in the order of the request.

    Raises:
        UsageError: nothing is asked for, or what makes no sense.
    """
    asked = [formulas.parse(text) for text in o.formulas]
    asked += formulas.grid(o.grid, o.step, o.ends) if o.grid else []
    asked += formulas.listed(Path(o.compositions)) if o.compositions else []
    if not asked:
        raise UsageError("which composition? name formulas such as Ti2O3, --grid Al,Ti,Zr, or --compositions FILE")
    made = []
    for one, also in formulas.once(asked, o.atoms):
        counts = one.counts(o.atoms)
        volume = volume_of(one.rounded(o.atoms), o.given_volume, phases, one)
        for replica in range(o.replicas):
            name = formulas.of_counts(counts) + (f"-{replica + 1}" if o.replicas > 1 else "")
            by_letter = dict(sorted(counts.items()))
            made.append(Box(name, one, by_letter, replica, volume, o.expand * o.atoms * volume.per_atom, also=also))
    return made


def refuse_hopeless(boxes: list[Box], o: BoxOptions, host: Host) -> None:
    """Say before anything begins which boxes no places of atoms can fill.

    Raises:
        UsageError: all of them.
    """
    hopeless: list[tuple[Box, str]] = []
    first = [b for b in boxes if not b.replica]
    for one in first:
        try:
            room(one.counts, one.size, o.spheres)
        except InputError as problem:
            hopeless.append((one, problem.reason))
    for one, why in hopeless:
        said = f"{one.composition.text}: {why}"
        if len(hopeless) == len(first):
            raise UsageError(said, path=one.composition.path, line=one.composition.line)
        host.warn(f"{said}; the others are made without it")


def phases(o: BoxOptions, host: Host) -> list[Phase]:
    """The crystals of ``--phases``.

    Raises:
        InputError: one that cannot be read.
    """
    return phases_of(host.structures(o.phases)) if o.phases else []


def rounded(boxes: list[Box]) -> Iterator[str]:
    """A line for every composition whose whole numbers of atoms are not what was asked for, or what others have.

    Or whose amounts look like fractions and sum to another number than 1.
    """
    for one in boxes:
        if one.also and not one.replica:
            counts, them = formulas.of_counts(one.counts), " and ".join(one.also)
            yield f"{them}: {one.atoms} atoms make {counts}, as of {one.composition.text}; that is one box"
        amounts = [n for _, n in one.composition.amounts]
        whole = sum(map(float, amounts))
        if len(amounts) > 1 and max(amounts) < 1 and abs(whole - 1) > UNEVEN and not one.replica:
            yield f"{one.composition.text}: the amounts sum to {whole:.6g}, not 1; taken as parts of that"
        exact = one.composition.fractions
        off = max(abs(float(exact[s]) - n / one.atoms) for s, n in one.counts.items())
        if off > 1e-9 and not one.replica:
            counts = formulas.of_counts(one.counts)
            yield f"{one.composition.text}: {one.atoms} atoms make {counts}, off by {100 * off:.2g} % of an element"


def frame(packed: Packed, told: dict[str, Any]) -> str:
    """The box as extended XYZ; the same box is the same bytes."""
    cell = " ".join(repr(float(x)) for x in np.asarray(packed.atoms.cell.array).ravel())
    words = {**told, "nearest": packed.nearest, "fire_steps": packed.steps}
    facts = " ".join(f'{k}="{v}"' if isinstance(v, str) else f"{k}={v!r}" for k, v in words.items())
    head = f'Lattice="{cell}" Properties=species:S:1:pos:R:3 {facts} pbc="T T T"'
    lines = (
        f"{s:<2} {x:.10f} {y:.10f} {z:.10f}\n"
        for s, (x, y, z) in zip(packed.atoms.symbols, packed.atoms.positions, strict=True)
    )
    return f"{len(packed.atoms)}\n{head}\n" + "".join(lines)
