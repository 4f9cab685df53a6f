"""Frames of an extended XYZ file that crystal wrote: counted first, then only those that are shown are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from ase.data import atomic_numbers

from crystalcli.contracts.sections import Geometry
from crystalcli.nouns.structures.extxyz_comment import texts


def chosen(path: Path, most: int) -> Iterator[tuple[Mapping[str, str], Geometry]]:
    """At most ``most`` frames, the first and the last among them, each with what its comment line says.

    Raises:
        ValueError, KeyError, OSError: the file is not what crystal writes.
    """
    places = _places(path)
    if len(places) > most:
        places = [places[k] for k in np.unique(np.linspace(0, len(places) - 1, most).round().astype(int))]
    with path.open("rb") as file:
        for start, count in places:
            file.seek(start)
            file.readline()
            facts = texts(file.readline().decode(errors="replace"))
            lines = [file.readline() for _ in range(count)]
            yield facts, _geometry(facts, lines)


def _places(path: Path) -> list[tuple[int, int]]:
    """Where every whole frame begins, in bytes, and how many atoms it has."""
    found = list[tuple[int, int]]()
    with path.open("rb") as file:
        while True:
            start = file.tell()
            head = file.readline()
            if not head.strip():
                return found
            count = int(head)
            skipped = [file.readline() for _ in range(count + 1)]
            if not skipped[-1].endswith(b"\n"):
                return found
            found.append((start, count))


def _geometry(facts: Mapping[str, str], lines: list[bytes]) -> Geometry:
    fields = facts["Properties"].split(":")
    at, places = 0, {}
    for name, width in zip(fields[::3], fields[2::3], strict=True):
        places[name] = at
        at += int(width)
    words = [line.split() for line in lines]
    k = places["pos"]
    cell = facts.get("Lattice", "").split()
    pbc = facts.get("pbc", "T T T" if cell else "F F F").split()
    return Geometry(
        np.array([atomic_numbers[w[places["species"]].decode()] for w in words], dtype=np.uint8),
        np.array([w[k : k + 3] for w in words], dtype=np.float64).reshape(-1, 3),
        np.array(cell, dtype=np.float64).reshape(3, 3) if cell else np.zeros((3, 3)),
        tuple(p == "T" for p in pbc),
    )
