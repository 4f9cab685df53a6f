"""Malformed and odd structure files, made by code, each with the verdict a careful person would give.

``make(folder)`` writes them all; ``CASES`` says what must happen: ``good`` (the same atoms as NaCl.cif where ``like``
says so), ``warned`` or ``refused``, and a word that the message must hold.
"""

from pathlib import Path

from corpus import (
    cif_alternatives,
    cif_blocks,
    cif_cells,
    cif_columns,
    cif_names,
    cif_sites,
    cif_symmetry,
    cif_syntax,
    csv_tables,
    databases,
    extended_xyz,
    paths,
    poscar,
    texts,
)
from corpus.case import NACL, POSCAR, XYZ, Case, structure_json

__all__ = ["CASES", "NACL", "POSCAR", "XYZ", "Case", "make", "structure_json"]

CASES: tuple[Case, ...] = tuple(
    case
    for part in (
        texts,
        cif_syntax,
        cif_symmetry,
        cif_sites,
        cif_cells,
        cif_alternatives,
        cif_names,
        cif_blocks,
        cif_columns,
        poscar,
        extended_xyz,
        databases,
        csv_tables,
        paths,
    )
    for case in part.CASES
)


def make(folder: Path) -> dict[Path, Case]:
    """Write every file into ``folder``."""
    made: dict[Path, Case] = {}
    for case in CASES:
        path = folder / case.name
        if callable(case.content):
            case.content(path)
        else:
            path.write_bytes(case.content.encode() if isinstance(case.content, str) else case.content)
        made[path] = case
    return made
