"""One odd file and the verdict on it, and the good files that the others are damaged from."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

CELL = """_cell_length_a 5.64
_cell_length_b 5.64
_cell_length_c 5.64
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
"""
P1 = "_symmetry_space_group_name_H-M 'P 1'\nloop_\n_symmetry_equiv_pos_as_xyz\n'x, y, z'\n"
LOOP = (
    "loop_\n_atom_site_label\n_atom_site_type_symbol\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n"
    "_atom_site_occupancy\n"
)
ROWS = """Na1 Na 0 0 0 1
Na2 Na 0 0.5 0.5 1
Na3 Na 0.5 0 0.5 1
Na4 Na 0.5 0.5 0 1
Cl1 Cl 0.5 0.5 0.5 1
Cl2 Cl 0.5 0 0 1
Cl3 Cl 0 0.5 0 1
Cl4 Cl 0 0 0.5 1
"""
NACL = "data_NaCl\n" + CELL + P1 + LOOP + ROWS
POSCAR = """NaCl
1.0
5.64 0 0
0 5.64 0
0 0 5.64
Na Cl
1 1
Direct
0 0 0
0.5 0.5 0.5
"""
XYZ = '2\nLattice="3 0 0 0 3 0 0 0 3" Properties=species:S:1:pos:R:3 pbc="T T T"\nNa 0 0 0\nCl 1.5 1.5 1.5\n'


@dataclass(frozen=True)
class Case:
    """One file: its name, what is in it (or how it is made), and the verdict with a word of the message.

    ``formula`` is that of the first structure; ``oracle`` names another reader that reads the file as it should be.
    """

    name: str
    content: str | bytes | Callable[[Path], None]
    verdict: Literal["good", "warned", "refused"]
    says: str = ""
    structures: int = 1
    like_nacl: bool = False
    formula: str = ""
    oracle: Literal["", "pymatgen", "ase", "gemmi"] = ""


def cif(*, cell: str = CELL, symmetry: str = P1, loop: str = LOOP, rows: str = ROWS, head: str = "data_x\n") -> str:
    """A CIF with some parts replaced."""
    return head + cell + symmetry + loop + rows


def instead(old: str, new: str) -> str:
    """NaCl with ``old`` replaced by ``new`` once."""
    assert old in NACL
    return NACL.replace(old, new, 1)


def ops(*texts: str) -> str:
    """A loop of symmetry operations."""
    return "loop_\n_symmetry_equiv_pos_as_xyz\n" + "".join(f"'{t}'\n" for t in texts)


def structure_json(**changes: object) -> str:
    """A pymatgen structure as JSON, with some parts replaced."""
    site = {"species": [{"element": "Na", "occu": 1}], "abc": [0, 0, 0], "label": "Na"}
    other = {"species": [{"element": "Cl", "occu": 1}], "abc": [0.5, 0.5, 0.5], "label": "Cl"}
    data: dict[str, object] = {
        "@module": "pymatgen.core.structure",
        "@class": "Structure",
        "lattice": {"matrix": [[3, 0, 0], [0, 3, 0], [0, 0, 3]]},
        "sites": [site, other],
    }
    return json.dumps({**data, **changes})


def packed(text: bytes, *, keep: int | None = None, spoil: int | None = None) -> bytes:
    data = bytearray(gzip.compress(text, mtime=0))
    if spoil is not None:
        data[spoil] ^= 0xFF
    return bytes(data[:keep])


MONTY = '{"@module": "os", "@class": "system", "command": "touch hacked"}'
HALF = "Na1 Na 0 0 0 0.5"
FIRST = "Na1 Na 0 0 0 1"
