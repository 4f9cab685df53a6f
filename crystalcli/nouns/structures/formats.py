"""Which format a file is in, by its name, and the reader for it. Importing this loads no parser."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from os.path import splitext
from pathlib import Path

from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.pieces import SIZE, WHOLE, Piece, cut, is_packed
from crystalcli.nouns.structures.read_options import DEFAULTS, ReadOptions
from crystalcli.nouns.structures.text import open_bytes, regular
from crystalcli.vocabulary.errors import CrystalError, InputError, UsageError, did_you_mean

__all__ = ["check_choices", "looks_readable", "read", "regular", "without_gz"]

_BY_ENDING = {
    ".cif": "cif",
    ".mcif": "cif",
    ".vasp": "poscar",
    ".poscar": "poscar",
    ".xyz": "extxyz",
    ".extxyz": "extxyz",
    ".db": "asedb",
    ".json": "pymatgen_json",
    ".csv": "table",
    ".traj": "ase_traj",
    ".lammpstrj": "lammps_dump",
    ".dump": "lammps_dump",
}
KINDS = {
    "cif": "CIF",
    "poscar": "POSCAR",
    "extxyz": "extended XYZ",
    "asedb": "ASE database",
    "pymatgen_json": "JSON",
    "table": "table",
    "vasprun": "vasprun.xml",
    "outcar": "OUTCAR",
    "xdatcar": "XDATCAR",
    "ase_traj": "ASE trajectory",
    "lammps_dump": "LAMMPS dump",
}
"""The formats in words."""
_CUT = ("extxyz", "table")
"""Formats whose structures can be told apart without reading them."""
_SHRINKS = 4
"""How much smaller packed text is, about."""
_BY_NAME = {"poscar": "poscar", "contcar": "poscar", "outcar": "outcar", "xdatcar": "xdatcar", "dump.": "lammps_dump"}
_OF_A_RUN = ("vasprun", "outcar", "xdatcar")
"""They lie beside each other, and beside POSCAR and CONTCAR, with the same structures; read where they are named."""


def without_gz(name: str) -> str:
    """File name without a ``.gz`` ending."""
    return name[:-3] if name.lower().endswith(".gz") else name


def format_of(path: Path) -> str | None:
    """Name of the module that reads ``path``, or none."""
    name = without_gz(path.name).lower()
    ending = splitext(name)[1]  # noqa: PTH122 - a Path for each of 100,000 names takes seconds
    if ending in _BY_ENDING:
        return _BY_ENDING[ending]
    if ending == ".xml" and name.startswith("vasprun"):
        return "vasprun"
    return next((f for start, f in _BY_NAME.items() if name.startswith(start)), None)


def pieces(path: Path) -> tuple[Piece, ...]:
    """Pieces of a large file that several processes may read at once; the whole file where that is no gain."""
    name = format_of(path)
    if name not in _CUT:
        return (WHOLE,)
    try:
        if path.stat().st_size < 2 * SIZE // (_SHRINKS if (packed := is_packed(path)) else 1):
            return (WHOLE,)
        return cut(import_module(f"crystalcli.nouns.structures.{name}").starts(path), packed=packed)
    except (CrystalError, OSError):  # reading will say so
        return (WHOLE,)


def read(path: Path, options: ReadOptions = DEFAULTS, piece: Piece = WHOLE) -> Iterator[Entry | InputError]:
    """Yield the structures of ``path``, or a piece of it; a bad one among good ones is yielded as its error.

    An id that is empty, or begins with ``:``, is to be put behind the name of the file.

    Raises:
        InputError: the file as a whole cannot be used. UnsafeInput: it tries to do more than hold data.
    """
    name = format_of(path)
    if name is None:
        regular(path)
        ending = Path(without_gz(path.name)).suffix
        raise InputError(
            f"unknown format '{ending or path.name}'; {did_you_mean(ending, sorted(_BY_ENDING))}",
            path=path,
            code="unknown-format",
        )
    module = import_module(f"crystalcli.nouns.structures.{name}")
    cut_out = () if piece == WHOLE else (piece,)
    items: Iterator[Entry | InputError] = module.read(path, options, *cut_out)
    return items


def check_choices(path: Path, options: ReadOptions) -> None:
    """Ask the format of ``path`` whether ``options`` say enough.

    Raises:
        UsageError: a choice is missing or wrong.
    """
    if format_of(path) == "table" and path.is_file():
        from crystalcli.nouns.structures.table import choose_columns, header

        try:
            choose_columns(header(path), path, options)
        except UsageError:
            raise
        except (CrystalError, OSError):  # reading will say so
            return


def looks_readable(path: Path) -> bool:
    """Whether a file found in a folder is meant as a structure: right name, and a table or JSON that holds one.

    The record of a run of VASP is not: it holds the structures of the POSCAR and CONTCAR beside it.
    """
    name = format_of(path)
    if name is None or name in _OF_A_RUN or path.is_dir():
        return False
    if name == "table":
        from crystalcli.nouns.structures.table import header

        try:
            return any(c.lower().startswith("cif") for c in header(path))
        except (CrystalError, OSError):
            return True
    if name == "pymatgen_json":
        try:
            with open_bytes(path) as file:
                start = file.read(2**16)
        except (CrystalError, OSError):
            return True
        return b'"lattice"' in start or b'"lattice_mat"' in start
    return True
