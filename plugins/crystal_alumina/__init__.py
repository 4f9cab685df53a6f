"""Alumina: a reader of its molecular-dynamics files (a format nobody else has) and a rigid-ion potential.

Loads no ASE and no h5py: they come with the first file or energy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.options import option
from crystalcli.contracts.records import Calculator, Part, Reader

if TYPE_CHECKING:
    import ase
    from ase.calculators.calculator import BaseCalculator


@dataclass(frozen=True)
class MatsuiOptions:
    """Calculator ``matsui``."""

    cutoff: float = option(10.0, "distance at which the pair terms end; Coulomb goes on", unit="Å", min=4.0, max=30.0)
    switch: float = option(0.5, "width over which they fade; 0: cut off sharply", unit="Å", min=0.0, max=4.0)
    splitting: float = option(
        0.0, "Ewald's α; results do not depend on it; 0: what suits the cutoff", unit="1/Å", min=0.0, max=3.0
    )


def _sniff(path: Path) -> bool:
    from crystal_alumina.reader import sniff

    return sniff(path)


def _read(path: Path) -> Iterator[Any]:
    from crystal_alumina.reader import read

    return read(path)


def _example(path: Path) -> None:
    from crystal_alumina.reader import write_example

    write_example(path)


def _corundum() -> ase.Atoms:
    from ase.spacegroup import crystal

    sites, cell = [(0, 0, 0.352), (0.306, 0, 0.25)], [4.76, 4.76, 12.99, 90, 90, 120]
    return crystal(["Al", "O"], sites, spacegroup=167, cellpar=cell, primitive_cell=True)


def _matsui(options: MatsuiOptions) -> BaseCalculator:
    from crystal_alumina.matsui import Matsui

    return Matsui(options)


@hookimpl
def crystal_parts() -> Sequence[Part]:
    """Offer the reader and the potential."""
    return [
        Reader(
            name="alumina",
            summary="HDF5 of alumina molecular dynamics: displacements from lattice sites, energies, some forces",
            suffixes=(".h5", ".hdf5"),
            sniff=_sniff,
            read=_read,
            example=_example,
            references=("LAMMPS, SMTB-Q potential of Salles et al., Comput. Mater. Sci. 111 (2016) 181",),
        ),
        Calculator(
            name="matsui",
            summary="rigid ions of alumina: Coulomb, dispersion and repulsion; for Al₂O₃ in periodic cells",
            options=MatsuiOptions,
            build=_matsui,
            elements=frozenset({8, 13}),
            example=_corundum,
            references=("M. Matsui, Geophys. Res. Lett. 23, 395 (1996), doi:10.1029/96GL00260",),
        ),
    ]
