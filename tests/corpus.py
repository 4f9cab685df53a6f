"""Malformed and odd structure files, made by code, each with the verdict a careful person would give.

``make(folder)`` writes them all; ``CASES`` says what must happen: ``good`` (the same atoms as NaCl.cif where ``like``
says so), ``warned`` or ``refused``, and a word that the message must hold.
"""

from __future__ import annotations

import gzip
import json
import os
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
    """One file: its name, what is in it (or how it is made), and the verdict with a word of the message."""

    name: str
    content: str | bytes | Callable[[Path], None]
    verdict: Literal["good", "warned", "refused"]
    says: str = ""
    structures: int = 1
    like_nacl: bool = False


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


def _packed(text: bytes, *, keep: int | None = None, spoil: int | None = None) -> bytes:
    data = bytearray(gzip.compress(text, mtime=0))
    if spoil is not None:
        data[spoil] ^= 0xFF
    return bytes(data[:keep])


def _bomb(path: Path) -> None:
    with gzip.open(path, "wb") as file:
        file.write(b"2\n")
        for _ in range(300):
            file.write(b" \n" * 2**19)


def _dangling(path: Path) -> None:
    path.symlink_to("nowhere.cif")


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


MONTY = '{"@module": "os", "@class": "system", "command": "touch hacked"}'
_HALF = "Na1 Na 0 0 0 0.5"
_FIRST = "Na1 Na 0 0 0 1"

CASES: tuple[Case, ...] = (
    # text
    Case("empty.cif", b"", "refused", "empty file"),
    Case("whitespace.cif", " \n\t\n", "refused", "empty file"),
    Case("nul_filled.cif", b"\0" * 512, "refused", "zero-filled"),
    Case("nul_bytes.cif", NACL.encode().replace(b"Na3", b"N\0\0"), "refused", "NUL bytes at offset"),
    Case("html_error_page.cif", "<!DOCTYPE html><html><body>404</body></html>", "refused", "HTML"),
    Case("git_lfs_pointer.cif", "version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "refused", "Git LFS"),
    Case("zip.cif", b"PK\x03\x04" + b"x" * 99, "refused", "zip archive"),
    Case("prose.cif", "Dear colleague, please find attached the structure.\n", "refused", "no data block"),
    Case("comment_only.cif", "# a comment\n", "refused", "no data block"),
    Case("utf16.cif", NACL.encode("utf-16"), "good", like_nacl=True),
    Case("good_bom.cif", b"\xef\xbb\xbf" + NACL.encode(), "good", like_nacl=True),
    Case("good_latin1.cif", ("# caf\xe9\n" + NACL).encode("latin-1"), "good", like_nacl=True),
    Case("good_crlf.cif", NACL.replace("\n", "\r\n").encode(), "good", like_nacl=True),
    Case("cr_only.cif", NACL.replace("\n", "\r").encode(), "good", like_nacl=True),
    Case("no_final_newline.cif", NACL.rstrip(), "good", like_nacl=True),
    Case("packed.cif.gz", _packed(NACL.encode()), "good", like_nacl=True),
    Case("packed_but_not_named_so.cif", _packed(NACL.encode()), "good", like_nacl=True),
    # CIF syntax
    Case("truncated.cif", NACL[:-22], "refused", "loop incomplete"),
    Case(
        "truncated_between_rows.cif",
        instead(P1, "_chemical_formula_sum 'Na4 Cl4'\n" + P1).removesuffix("Cl4 Cl 0 0 0.5 1\n"),
        "warned",
        "formula",
    ),
    Case("zero_rows.cif", cif(rows=""), "refused", "no rows"),
    Case("no_atom_loop.cif", cif(loop="", rows=""), "refused", "no atom loop"),
    Case("no_cell.cif", cif(cell=""), "refused", "_cell_length_a is missing"),
    Case("unterminated_text.cif", NACL + "_note\n;never closed\n", "refused", "unterminated"),
    Case(
        "duplicate_tag.cif", instead("_cell_length_b", "_cell_length_a 3\n_cell_length_b"), "refused", "duplicate tag"
    ),
    Case("mmcif.cif", "data_1ABC\n_cell.length_a 10\nloop_\n_atom_site.Cartn_x\n1.0\n", "refused", "mmCIF"),
    Case("two_blocks.cif", NACL + NACL.replace("data_NaCl", "data_other"), "good", structures=2),
    Case("same_block_twice.cif", NACL + NACL, "good", structures=2),
    Case(
        "long_token.cif", instead("data_NaCl\n", "data_NaCl\n_note " + "x" * 3_000_000 + "\n"), "good", like_nacl=True
    ),
    Case("quote_storm.cif", instead("data_NaCl\n", 'data_NaCl\n_note "' + "' " * 100_000 + '"\n'), "good"),
    # symmetry
    Case("no_symmetry.cif", cif(symmetry=""), "warned", "no symmetry"),
    Case("symmetry_conflict.cif", instead("'P 1'", "'F m -3 m'"), "warned", "the list counts"),
    Case("unknown_group.cif", cif(symmetry="_symmetry_space_group_name_H-M 'Q 9'\n"), "refused", "unknown space group"),
    Case(
        "group_name_only.cif",
        cif(symmetry="_symmetry_space_group_name_H-M 'F m -3 m'\n", rows=_FIRST + "\nCl1 Cl .5 .5 .5 1\n"),
        "good",
    ),
    Case("symop_two_parts.cif", cif(symmetry=ops("x, y")), "refused", "bad symmetry operation"),
    Case("symop_no_identity.cif", cif(symmetry=ops("-x,-y,-z")), "refused", "no identity"),
    Case("symop_singular.cif", cif(symmetry=ops("x,y,z", "x,x,z")), "refused", "bad symmetry operation"),
    Case("symop_injection.cif", cif(symmetry=ops("x,y,z", "__import__(os).mkdir(0),y,z")), "refused", "bad symmetry"),
    Case(
        "magn_transform_injection.cif",
        cif(
            symmetry="loop_\n_space_group_symop_magn_operation.xyz\n'x,y,z,+1'\n"
            '_parent_space_group.child_transform_Pp_abc "a,b,().__class__"\n'
        ),
        "refused",
        "",
    ),
    Case("symop_bomb.cif", cif(symmetry=ops(*(f"x+{k}/24,y,z" for k in range(20_000)))), "refused", "> 192"),
    # sites
    Case("partial_occupancy.cif", instead(_FIRST, _HALF), "refused", "partial occupancy 0.5 at Na1"),
    Case("half_and_half.cif", instead(_FIRST, _HALF + "\nK1 K 0 0 0 0.5"), "refused", "partial occupancy"),
    Case("occupancy_above_one.cif", instead(_FIRST, "Na1 Na 0 0 0 1.5"), "refused", "impossible occupancy 1.5"),
    Case("occupancy_negative.cif", instead(_FIRST, "Na1 Na 0 0 0 -1"), "refused", "impossible occupancy -1"),
    Case("occupancy_unknown.cif", instead(_FIRST, "Na1 Na 0 0 0 ?"), "warned", "occupancy of Na1"),
    Case("capitals.cif", NACL.replace("_atom_site_fract_x", "_ATOM_SITE_FRACT_X"), "good", like_nacl=True),
    Case(
        "occupancy_elsewhere.cif",
        NACL.replace("_atom_site_occupancy\n", "").replace(" 1\n", "\n") + "_atom_site_occupancy 0.5\n",
        "refused",
        "outside the atom loop",
    ),
    Case("duplicate_atoms.cif", NACL + "Na5 Na 0 0 0 1\n", "refused", "duplicate atoms"),
    Case("duplicate_across_boundary.cif", NACL + "Na5 Na 1 0 0 1\n", "refused", "duplicate atoms"),
    Case("overlap_0p05.cif", NACL + "Na5 Na 0.008865 0 0 1\n", "refused", "0.05 Å apart"),
    Case("question_mark_coordinate.cif", instead(_FIRST, "Na1 Na ? 0 0 1"), "refused", "x of Na1 is"),
    Case("decimal_comma.cif", instead("Na2 Na 0 0.5 0.5", "Na2 Na 0 0,5 0.5"), "refused", "y of Na2 is '0,5'"),
    Case("nan_coordinate.cif", instead(_FIRST, "Na1 Na nan 0 0 1"), "refused", "x of Na1 is 'nan'"),
    Case("uncertainty.cif", instead("Na2 Na 0 0.5 0.5", "Na2 Na 0 0.5000(3) 0.5"), "good", like_nacl=True),
    Case("deuterium.cif", instead("Na1 Na", "D1 D"), "warned", "taken as H"),
    Case("dummy.cif", instead("Na1 Na", "X1 X"), "refused", "dummy"),
    Case("vacancy.cif", instead("Na1 Na", "Vac1 Vac"), "refused", "vacancy"),
    Case("unknown_element.cif", instead("Na1 Na", "Zz1 Zz"), "refused", "no element"),
    Case("charged.cif", instead("Na1 Na", "Na1 Na1+"), "good", like_nacl=True),
    Case(
        "water_label.cif",
        cif(loop=LOOP.replace("_atom_site_type_symbol\n", ""), rows="Wat1 0 0 0 1\n"),
        "refused",
        "no element",
    ),
    Case(
        "label_only.cif",
        cif(loop=LOOP.replace("_atom_site_type_symbol\n", ""), rows="Na1 0 0 0 1\nCl12A .5 .5 .5 1\n"),
        "good",
    ),
    Case("cartesian_in_fract.cif", instead("Na4 Na 0.5 0.5 0", "Na4 Na 2.82 2.82 0"), "warned", "Cartesian"),
    Case("cartesian_only.cif", cif(loop=LOOP.replace("fract", "Cartn")), "refused", "Cartesian"),
    Case("isolated_H.cif", cif(cell=CELL.replace("5.64", "30"), rows="H1 H 0.5 0.5 0.5 1\n"), "good"),
    # cells
    Case(
        "tiny_cell.cif",
        cif(cell=CELL.replace("5.64", "0.15"), rows=_FIRST),
        "refused",
        "shortest image distance is 0.15",
    ),
    Case(
        "needle_cell.cif",
        cif(cell=CELL.replace("5.64", "0.4", 2).replace("0.4", "900", 1), rows=_FIRST),
        "refused",
        "shortest image distance",
    ),
    Case("flat_cell.cif", cif(cell=CELL.replace("gamma 90", "gamma 0.001")), "refused", "cell"),
    Case("impossible_angles.cif", cif(cell=CELL.replace(" 90", " 150")), "refused", "make no cell"),
    Case("negative_length.cif", cif(cell=CELL.replace("_a 5.64", "_a -5.64")), "refused", "_cell_length_a is -5.64"),
    Case("zero_length.cif", cif(cell=CELL.replace("_a 5.64", "_a 0")), "refused", "_cell_length_a is 0"),
    Case("infinite_cell.cif", cif(cell=CELL.replace("_a 5.64", "_a inf")), "refused", "_cell_length_a is inf"),
    Case("question_cell.cif", cif(cell=CELL.replace("_a 5.64", "_a ?")), "refused", "_cell_length_a is"),
    Case("huge_cell.cif", cif(cell=CELL.replace("_a 5.64", "_a 1e9")), "refused", "long"),
    # POSCAR
    Case("POSCAR_good", POSCAR, "good"),
    Case("good.vasp", POSCAR, "good"),
    Case("POSCAR_left_handed", POSCAR.replace("5.64 0 0", "-5.64 0 0"), "good"),
    Case("POSCAR_negative_scale", POSCAR.replace("1.0\n", "-179.4\n", 1), "good"),
    Case("POSCAR_zero_volume", POSCAR.replace("0 5.64 0", "5.64 0 0"), "refused", "zero volume"),
    Case("POSCAR_nan", POSCAR.replace("0.5 0.5 0.5", "nan 0.5 0.5"), "refused", "not finite"),
    Case("POSCAR_stars", POSCAR.replace("0.5 0.5 0.5", "******** 0.5 0.5"), "refused", "not coordinates"),
    Case("POSCAR_count_mismatch", POSCAR.replace("1 1\n", "1 2\n"), "refused", "3 atoms are counted"),
    Case("POSCAR_counts_missing", POSCAR.replace("1 1\n", "2\n"), "refused", "2 elements, 1 counts"),
    Case("POSCAR_vasp4", POSCAR.replace("Na Cl\n", ""), "refused", "VASP 4"),
    Case("POSCAR_unknown", POSCAR.replace("Na Cl", "Na Qq"), "refused", "'Qq' is no element"),
    Case("POSCAR_deuterium", POSCAR.replace("Na Cl", "D Cl"), "warned", "taken as H"),
    Case("POSCAR_more_rows", POSCAR + "0.25 0.25 0.25\n", "refused", "more coordinates"),
    # extended XYZ
    Case("good.xyz", XYZ, "good"),
    Case("three.extxyz", XYZ * 3, "good", structures=3),
    Case("truncated.xyz", XYZ[:-16], "refused", "truncated"),
    Case("second_frame_broken.xyz", XYZ + XYZ.replace("Cl 1.5", "Cl x"), "refused", "frame 1"),
    Case("unknown_species.xyz", XYZ.replace("Na", "Qq"), "refused", "Qq"),
    Case("dummy.xyz", XYZ.replace("Na", "X"), "refused", "no element"),
    Case("no_count.xyz", "hello\n" + XYZ, "refused", "no number of atoms"),
    Case("nan.xyz", XYZ.replace("1.5 1.5 1.5", "nan 1.5 1.5"), "refused", "position of atom 1"),
    Case("periodic_without_cell.xyz", '1\nProperties=species:S:1:pos:R:3 pbc="T T T"\nNa 0 0 0\n', "refused", "cell"),
    Case("molecule.xyz", "2\nwater\nO 0 0 0\nH 0 0 0.96\n", "warned", "molecule"),
    # archives, databases, JSON
    Case("truncated.cif.gz", _packed(NACL.encode(), keep=60), "refused", "damaged gzip"),
    Case("bad_crc.cif.gz", _packed(NACL.encode(), spoil=-6), "refused", "damaged gzip"),
    Case("not_gzip.cif.gz", NACL, "refused", "not gzip"),
    Case("bomb.cif.gz", _bomb, "refused", "bomb"),
    Case("bomb.extxyz.gz", _bomb, "refused", "bomb"),
    Case("not_sqlite.db", "hello", "refused", "no SQLite"),
    Case("broken.db", b"SQLite format 3\0" + b"\x10\0" * 500, "refused", "not an ASE database"),
    Case("good.json", structure_json(), "good"),
    Case("deep.json", "[" * 200_000 + "]" * 200_000, "refused", ""),
    Case("nan.json", structure_json().replace("0.5", "NaN", 1), "refused", "NaN"),
    Case("big_integer.json", structure_json().replace("0.5", "9" * 5000, 1), "refused", ""),
    Case("monty_injection.json", structure_json(properties=json.loads(MONTY)), "refused", "names a class to import"),
    Case("module_import.json", MONTY, "refused", "names a class to import"),
    Case(
        "disordered.json",
        structure_json(sites=[{"species": [{"element": "Na", "occu": 0.5}], "abc": [0, 0, 0]}]),
        "refused",
        "partial occupancy",
    ),
    Case("no_structure.json", '{"a": 1}', "refused", "no pymatgen structure"),
    Case("broken.json", structure_json()[:-9], "refused", "not JSON"),
    # tables
    Case("good.csv", f'id,e,cif\n007,1.5,"{NACL}"\n', "good"),
    Case("one_bad_row.csv", f'id,e,cif\na,1,"{NACL}"\nb,2,junk\n', "refused", "no data block"),
    Case("ragged.csv", f'id,e,cif\na,1,"{NACL}"\nb,2\n', "refused", "columns"),
    Case("no_header.csv", f'a,1,"{NACL}"\n', "refused", "no header"),
    Case("semicolon.csv", f'id;e;cif\na;1;"{NACL}"\n', "refused", "commas"),
    Case("unclosed.csv", f'id,e,cif\na,1,"{NACL}', "refused", "CSV"),
    Case("header_only.csv", "id,e,cif\n", "refused", "no rows"),
    # not files to read
    Case("dangling.cif", _dangling, "refused", "not a regular file"),
    Case("loop.cif", _loop, "refused", "cannot be looked at"),
    Case("folder.cif", lambda p: p.mkdir(), "refused", "not a regular file"),
    Case("fifo.cif", os.mkfifo, "refused", "not a regular file"),
    Case("structure.docx", "hello", "refused", "unknown format"),
    # names
    Case("-dash.cif", NACL, "good", like_nacl=True),
    Case("new\nline.cif", NACL, "good", like_nacl=True),
    Case("[red]markup[bold].cif", NACL, "good", like_nacl=True),
    Case("<b>bold</b>.cif".replace("/", "\u2215"), NACL, "good", like_nacl=True),
    Case("$(touch hacked);`id`.cif", NACL, "good", like_nacl=True),
    Case("x" * 200 + ".cif", NACL, "good", like_nacl=True),
    Case("traversal_block.cif", instead("data_NaCl", "data_../../hacked"), "good", like_nacl=True),
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
