"""Frames of a run as extended XYZ, and the sealed chunk files in which they are kept while it goes on.

A chunk is complete or not there (:mod:`crystalcli.engine.run.files`); chunks of one run have a fixed number of
steps, so that a run that was killed and resumed writes the same files. At the end they are joined into one file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import ase
import numpy as np
from ase.data import atomic_masses, chemical_symbols
from numpy.typing import NDArray

from crystalcli.engine.run import files
from crystalcli.nouns.distributions import Frames
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.units import ACCELERATION

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Cast:
    """What does not change along a trajectory of one structure: atomic numbers, masses, pbc (3,), fixed (N,)."""

    numbers: NDArray[np.int64]
    masses: Array
    pbc: NDArray[np.bool_]
    fixed: NDArray[np.bool_]

    def columns(self) -> tuple[str, str]:
        """Properties of the XYZ header and the format of all lines, with six to nine numbers an atom left open."""
        names = "species:S:1:pos:R:3:momenta:R:3:forces:R:3"
        default = np.allclose(self.masses, atomic_masses[self.numbers], rtol=1e-6)
        names += "" if default else ":masses:R:1"
        names += ":move_mask:L:1" if self.fixed.any() else ""
        lines = []
        for z, m, f in zip(self.numbers, self.masses, self.fixed, strict=True):
            tail = ("" if default else f" {m:.8g}") + ((" F" if f else " T") if self.fixed.any() else "")
            lines.append(f"{chemical_symbols[z]:<2}" + " %.10f" * 9 + tail + "\n")
        return names, "".join(lines)


@dataclass(frozen=True)
class Frame:
    """One structure at one time: Å, Å/fs, eV, eV/Å, eV/Å³; sigma is that of an ensemble, eV."""

    step: int
    time: float
    positions: Array
    velocities: Array
    forces: Array
    cell: Array
    energy: float
    temperature: float
    stress: Array | None = None
    sigma: float | None = None


class FrameWriter:
    """Turns frames of one structure into text."""

    def __init__(self, actors: Cast) -> None:
        self.actors = actors
        self.names, self.lines = actors.columns()
        # ASE's momenta are amu·Å over Å·sqrt(amu/eV)
        self.factor = (actors.masses / ACCELERATION**0.5)[:, None]

    def text(self, frame: Frame) -> str:
        """One frame of extended XYZ, as ASE reads it: momenta, energy, forces and stress included."""
        facts = [f"Properties={self.names}", f"energy={frame.energy!r}", f"step={frame.step}"]
        facts += [f"time_fs={frame.time!r}", f"temperature={frame.temperature!r}"]
        if frame.stress is not None:
            facts.append(f'stress="{_numbers(frame.stress)}"')
        if frame.sigma is not None:
            facts.append(f"energy_sigma={frame.sigma!r}")
        return self._text(frame, facts, [frame.positions, frame.velocities * self.factor, frame.forces], self.lines)

    def geometry(self, frame: Frame) -> str:
        """One frame without energy and forces."""
        facts = [f"Properties={self.names.replace(':forces:R:3', '')}", f"step={frame.step}", f"time_fs={frame.time!r}"]
        lines = self.lines.replace(" %.10f" * 9, " %.10f" * 6)
        return self._text(frame, facts, [frame.positions, frame.velocities * self.factor], lines)

    def _text(self, frame: Frame, facts: list[str], columns: list[Array], lines: str) -> str:
        if frame.cell.any():
            facts = [f'Lattice="{_numbers(frame.cell)}"', *facts]
        facts.append('pbc="' + " ".join("T" if p else "F" for p in self.actors.pbc) + '"')
        rows = np.concatenate(columns, 1)
        return f"{len(rows)}\n{' '.join(facts)}\n" + lines % tuple(rows.ravel().tolist())


@dataclass(frozen=True)
class Chunks:
    """The sealed pieces of one growing file.

    Args:
        folder: where they lie.
        ending: of the pieces and of the joined file.
    """

    folder: Path
    ending: str

    def path(self, k: int) -> Path:
        """Name of piece ``k``."""
        return self.folder / f"{k:06d}{self.ending}"

    def seal(self, k: int, text: str) -> str:
        """Write piece ``k`` whole; returns the sha256 of its bytes."""
        data = text.encode()
        files.write_bytes(self.path(k), data)
        return hashlib.sha256(data).hexdigest()

    def check(self, count: int, chain: str) -> None:
        """Make sure that the first ``count`` pieces are those that were written.

        Raises:
            UsageError: one is missing or damaged.
        """
        found = ""
        for k in range(count):
            try:
                digest = hashlib.sha256(self.path(k).read_bytes()).hexdigest()
            except OSError as problem:
                raise UsageError("is missing: the run cannot go on without a gap", path=self.path(k)) from problem
            found = chained(found, digest)
        if found != chain:
            raise UsageError(
                "a piece of it is damaged or truncated: the run cannot go on without a gap", path=self.folder
            )

    def adopt(self, whole: Path, known: str, head: str = "") -> str:
        """Make ``whole``, less its first line ``head``, piece 0; returns the sha256 of its bytes, which is ``known``.

        Raises:
            UsageError: it is missing, or not what :meth:`join` wrote.
        """
        digest = hashlib.sha256()
        try:
            with whole.open("rb") as source, files.writing(self.path(0)) as out:
                begins = source.read(len(head.encode()))
                _copied(source, out, digest)
                if begins != head.encode() or digest.hexdigest() != known:
                    raise UsageError("is not as this run left it: it cannot go on without a gap", path=whole)
        except FileNotFoundError as problem:
            raise UsageError("is missing: the run cannot go on without a gap", path=whole) from problem
        return known

    def join(self, count: int, target: Path, head: str = "") -> str:
        """Write the first ``count`` pieces, in order, as ``target``; returns the sha256 of all but the head."""
        digest = hashlib.sha256()
        with files.writing(target) as out:
            out.write(head.encode())
            for k in range(count):
                with self.path(k).open("rb") as piece:
                    _copied(piece, out, digest)
        return digest.hexdigest()


def _copied(source: BinaryIO, target: BinaryIO, digest: hashlib._Hash) -> None:
    while block := source.read(1 << 20):
        digest.update(block)
        target.write(block)


def chained(chain: str, digest: str) -> str:
    """One hash for a sequence of pieces, extended by the next."""
    return hashlib.sha256((chain + digest).encode()).hexdigest()


def read(path: Path) -> Frames:
    """All frames of an extended XYZ file of one structure.

    Raises:
        UsageError: no frames, or frames of different structures.
    """
    images = list(images_of(path))
    if not images:
        raise UsageError("holds no frames", path=path)
    if any(len(a) != len(images[0]) or (a.numbers != images[0].numbers).any() for a in images):
        raise UsageError("holds frames of different structures", path=path)
    return Frames.of(images)


def images_of(path: Path) -> Iterator[ase.Atoms]:
    """Frames of an extended XYZ file, one after the other."""
    import ase.io

    if path.stat().st_size:
        yield from ase.io.iread(path, index=":", format="extxyz")


def _numbers(matrix: Array) -> str:
    return " ".join(repr(x) for x in matrix.ravel().tolist())
