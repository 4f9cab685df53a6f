"""Sources of structures: crystals of common lattices, by ASE; loads no ASE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.options import option
from crystalcli.contracts.records import Part, Source

if TYPE_CHECKING:
    from crystalcli.nouns.structures.entry import Entry


@dataclass(frozen=True)
class BulkOptions:
    """Which crystals, how many, and how far from perfect."""

    formula: str = option("Cu", "elements or compounds of two elements, comma-separated")
    lattice: Literal[
        "auto", "sc", "fcc", "bcc", "hcp", "diamond", "zincblende", "rocksalt", "cesiumchloride", "fluorite", "wurtzite"
    ] = option("auto", "of all of them; auto: that of the element, rocksalt for compounds")
    a: float = option(0.0, "lattice constant; 0: measured for elements, covalent radii that touch for others", unit="Å")
    cubic: bool = option(False, "conventional cubic cells where there are such")
    repeat: int = option(1, "cells along every axis", min=1, max=100)
    count: int = option(1, "crystals of every formula", min=1)
    strain: float = option(0.0, "components of a random symmetric strain, at most", min=0.0, max=0.5)
    rattle: float = option(0.0, "standard deviation of random displacements", unit="Å", min=0.0, max=2.0)


def _bulk(options: BulkOptions, seed: int) -> Iterator[Entry]:
    from crystal_sources.bulk import generate

    return generate(options, seed)


BULK = Source(
    name="bulk",
    summary="crystals of common lattices, strained and rattled",
    options=BulkOptions,
    generate=_bulk,
)


@hookimpl
def crystal_parts() -> Sequence[Part]:
    """The sources that come with crystal."""
    return [BULK]
