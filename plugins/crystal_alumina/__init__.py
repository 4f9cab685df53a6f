"""Reader of the alumina molecular-dynamics files: an example of the ``reader`` hook, with a format nobody else has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.records import Part, Reader


def _sniff(path: Path) -> bool:
    from crystal_alumina.reader import sniff

    return sniff(path)


def _read(path: Path) -> Iterator[Any]:
    from crystal_alumina.reader import read

    return read(path)


@hookimpl
def crystal_parts() -> Sequence[Part]:
    """Offer the reader."""
    return [
        Reader(
            name="alumina",
            summary="HDF5 of alumina molecular dynamics: displacements from lattice sites, energies, some forces",
            suffixes=(".h5", ".hdf5"),
            sniff=_sniff,
            read=_read,
            references=("LAMMPS, SMTB-Q potential of Salles et al., Comput. Mater. Sci. 111 (2016) 181",),
        )
    ]
