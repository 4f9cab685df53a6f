"""Odd but legal files, made by code, each with the right values; ``make(folder)`` writes them all.

All hold the same crystal, CsCl-like CuZn in a cell of 4 × 5 × 6 Å, unless they say otherwise. ``agrees`` names the
program of others that reads the file in the same way; what they get wrong, or refuse, has none.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

CELL = np.diag([4.0, 5.0, 6.0])
POSITIONS = np.array([[0.0, 0.0, 0.0], [2.0, 2.5, 3.0]])
SIX = [1.0, 2.0, 3.0, 0.4, 0.5, 0.6]
NINE = [[1.0, 0.6, 0.5], [0.6, 2.0, 0.4], [0.5, 0.4, 3.0]]
VOLUME = 120.0


@dataclass(frozen=True)
class Legal:
    """One file and what is in its (first) structure."""

    name: str
    content: str | bytes
    symbols: str = "CuZn"
    cell: Any = field(default_factory=lambda: CELL)
    positions: Any = field(default_factory=lambda: POSITIONS)
    pbc: tuple[bool, bool, bool] = (True, True, True)
    labels: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    notes: str = ""
    warns: str = ""
    velocities: Any = None
    fixed: tuple[int, ...] = ()
    id: str = ""
    n: int = 1
    agrees: Literal["", "ase", "pymatgen"] = ""


LATTICE = 'Lattice="4 0 0 0 5 0 0 0 6"'
PROPERTIES = "Properties=species:S:1:pos:R:3"
ROWS = ("Cu 0 0 0", "Zn 2 2.5 3")


def _frame(*said: str, rows: tuple[str, ...] = ROWS) -> str:
    return f"{len(rows)}\n{' '.join(said)}\n" + "".join(row + "\n" for row in rows)


def _xyz(name: str, *said: str, rows: tuple[str, ...] = ROWS, **found: Any) -> Legal:
    return Legal(f"{name}.extxyz", _frame(*said, rows=rows), **found)


def _said(name: str, text: str, **found: Any) -> Legal:
    """A pair of the comment line behind an ordinary frame."""
    return _xyz(name, LATTICE, PROPERTIES, text, **found)


_QUOTED = {
    f"lattice_{k}": f"Lattice={a}4 0 0 0 5 0 0 0 6{b}" for k, a, b in (("curly", "{", "}"), ("single", "'", "'"))
}
_ROWED = {
    "lattice_rows": "Lattice=[[4,0,0],[0,5,0],[0,0,6]]",
    "lattice_rows_spaced": "Lattice=[[4.0, 0, 0], [0, 5.0, 0], [0, 0, 6.0]]",
    "lattice_rows_quoted": 'Lattice="[[4, 0, 0], [0, 5, 0], [0, 0, 6]]"',
    "lattice_rows_curly": "Lattice={{4,0,0},{0,5,0},{0,0,6}}",
    "lattice_flat": "Lattice=[4,0,0,0,5,0,0,0,6]",
    "lattice_three": 'Lattice="4 5 6"',
    "lattice_fortran": 'Lattice="4.0D+00 0 0 0 5.0d0 0 0 0 6.D0"',
    "lattice_minus": 'Lattice="4 \N{MINUS SIGN}0 0 0 5 0 0 0 6"',
    "lattice_low": LATTICE.lower(),
    "lattice_high": 'LATTICE="4 0 0 0 5 0 0 0 6"',
    "cell": 'cell="4 0 0 0 5 0 0 0 6"',
    "cell_high": "Cell=[[4,0,0],[0,5,0],[0,0,6]]",
    "lattice_spaced": 'Lattice = "4 0 0 0 5 0 0 0 6"',
    "lattice_tabs": 'Lattice="4\t0 0\t0 5 0 0 0 6"',
    "lattice_commas": 'Lattice="4, 0, 0, 0, 5, 0, 0, 0, 6"',
}
_SCALARS = {
    "plain": ("energy=-7.1", -7.1),
    "fortran": ("energy=-7.1D+00", -7.1),
    "fortran_small": ("energy=-0.71d1", -7.1),
    "no_letter": ("energy=-7.1-100", -7.1e-100),
    "quoted": ('energy="-7.1"', -7.1),
    "single": ("energy='-7.1'", -7.1),
    "bracket": ("energy=[-7.1]", -7.1),
    "curly": ("energy={-7.1}", -7.1),
    "marked": ('energy="_JSON -7.1"', -7.1),
    "spaced": ("energy = -7.1", -7.1),
    "whole": ("energy=-7", -7.0),
    "typeset": ("energy=\N{MINUS SIGN}7.1", -7.1),
    "plus": ("energy=+7.1E+00", 7.1),
    "comma_behind": ("energy=-7.1, step=3", -7.1),
    "twice": ("energy=-7.1 energy=-7.10", -7.1),
}
_TENSORS = {
    "nine": '"1 0.6 0.5 0.6 2 0.4 0.5 0.4 3"',
    "rows": "[[1,0.6,0.5],[0.6,2,0.4],[0.5,0.4,3]]",
    "marked": '"_JSON [[1,0.6,0.5],[0.6,2,0.4],[0.5,0.4,3]]"',
    "six": '"1 2 3 0.4 0.5 0.6"',
    "six_bracket": "[1, 2, 3, 0.4, 0.5, 0.6]",
    "fortran": '"1.D0 0.6d0 0.5 0.6 2 0.4 0.5 0.4 3"',
}
_WORDS = {
    "three": 'pbc="T T F"',
    "bracket": "pbc=[T, T, F]",
    "numbers": 'pbc="1 1 0"',
    "words": 'pbc="true True FALSE"',
    "short": "pbc=TTF",
    "dots": 'pbc=".true. .TRUE. .false."',
    "case": 'PBC="T T F"',
    "curly": "pbc={T T F}",
}

XYZ: tuple[Legal, ...] = (
    *(_xyz(name, said, PROPERTIES, agrees="ase") for name, said in _QUOTED.items()),
    *(_xyz(name, said, PROPERTIES) for name, said in _ROWED.items()),
    *(_said(f"energy_{k}", said, labels={"energy": value}) for k, (said, value) in _SCALARS.items()),
    *(_said(f"stress_{k}", f"stress={v}", labels={"stress": SIX}) for k, v in _TENSORS.items()),
    *(_said(f"ref_stress_{k}", f"REF_stress={v}", labels={"REF_stress": SIX}) for k, v in _TENSORS.items()),
    *(
        _said(f"virial_{k}", f"dft_virial={v}", labels={"stress_from_dft_virial": [-x / VOLUME for x in SIX]})
        for k, v in _TENSORS.items()
    ),
    *(_said(f"pbc_{k}", said, pbc=(True, True, False)) for k, said in _WORDS.items()),
    _said("pbc_one", "pbc=T"),
    _said("virial_whole", 'virial="12 0 0 0 24 0 0 0 36"', labels={"stress_from_virial": [-0.1, -0.2, -0.3, 0, 0, 0]}),
    _said("stress_word", "note=stress", tags={"note": "stress"}),
    _said("stress_order", 'stress="1 2 3 0.4 0.5 0.6"', labels={"stress": SIX}, notes="xx yy zz yz xz xy"),
    _said("dipole", 'dipole="0.1 0.2 0.3"', labels={"dipole": [0.1, 0.2, 0.3]}),
    _said("dipole_commas", "dipole=0.1,0.2,0.3", labels={"dipole": [0.1, 0.2, 0.3]}),
    _said("polarizability", 'polarizability="1 0 0 0 2 0 0 0 3"', labels={"polarizability": np.diag([1.0, 2, 3])}),
    _said("elastic", "C=[[1,2],[3,4]]", left_out=("C",)),
    _said("words", 'config_type="slab 111" head=DFT', tags={"config_type": "slab 111", "head": "DFT"}),
    _said("escaped", r'note="a \"b\" = c"', tags={"note": 'a "b" = c'}),
    _said("equals", "url=a=b", tags={"url": "a=b"}),
    _said("bracket_word", "smiles=C[C@H](O)N", tags={"smiles": "C[C@H](O)N"}),
    _said("apostrophe", "who=O'Neill", tags={"who": "O'Neill"}),
    _said("long_text", f"note={'x' * 300}", left_out=("note",)),
    _said("id_zeros", "id=007", id="007"),
    _said("stars", "energy=****", tags={"energy": "****"}),
    _said("decimal_comma", "energy=-7,1", tags={"energy": "-7,1"}),
    _said("underscore", "energy=1_000", tags={"energy": "1_000"}),
    _said("two_values", 'energy="-7.1 -7.2"', tags={"energy": "-7.1 -7.2"}),
    _said("with_unit", 'energy="-7.1 eV"', tags={"energy": "-7.1 eV"}),
    _xyz("properties_low", LATTICE, PROPERTIES.lower(), notes="'properties=' is read as Properties="),
    _xyz("properties_names", LATTICE, "Properties=Species:s:1:Pos:r:3"),
    _xyz("properties_quoted", LATTICE, 'Properties="species:S:1:pos:R:3"', agrees="ase"),
    _xyz(
        "numbers",
        LATTICE,
        "Properties=Z:I:1:pos:R:3",
        rows=("29 0 0 0", "30 2 2.5 3"),
        agrees="ase",
    ),
    _xyz("numbers_as_species", LATTICE, PROPERTIES, rows=("29 0 0 0", "30 2 2.5 3")),
    _xyz("species_case", LATTICE, PROPERTIES, rows=("CU 0 0 0", "zn 2 2.5 3"), agrees="ase"),
    _xyz("deuterium", LATTICE, PROPERTIES, rows=("D 0 0 0", "Zn 2 2.5 3"), symbols="HZn", warns="deuterium"),
    _xyz("positions_first", LATTICE, "Properties=pos:R:3:species:S:1", rows=("0 0 0 Cu", "2 2.5 3 Zn"), agrees="ase"),
    _xyz("fortran_rows", LATTICE, PROPERTIES, rows=("Cu 0 0 0.0D+00", "Zn 0.2D+01 2.5 3")),
    _xyz(
        "forces",
        LATTICE,
        f"{PROPERTIES}:forces:R:3",
        rows=("Cu 0 0 0 1 0 0", "Zn 2 2.5 3 -1.0D0 0 0"),
        labels={"forces": [[1, 0, 0], [-1, 0, 0]]},
    ),
    _xyz(
        "words_of_atoms",
        LATTICE,
        f"{PROPERTIES}:site:S:1:seen:L:1",
        rows=("Cu 0 0 0 a T", "Zn 2 2.5 3 b F"),
        left_out=("site", "seen"),
        agrees="ase",
    ),
    _xyz(
        "charge",
        LATTICE,
        f"{PROPERTIES}:charge:R:1",
        rows=("Cu 0 0 0 1", "Zn 2 2.5 3 -1"),
        labels={"charges": [1, -1]},
    ),
    _xyz("held", LATTICE, f"{PROPERTIES}:move_mask:L:1", rows=("Cu 0 0 0 F", "Zn 2 2.5 3 T"), fixed=(0,), agrees="ase"),
    _xyz("held_as_0_and_1", LATTICE, f"{PROPERTIES}:move_mask:L:1", rows=("Cu 0 0 0 0", "Zn 2 2.5 3 1"), fixed=(0,)),
    _xyz(
        "momenta",
        LATTICE,
        f"{PROPERTIES}:momenta:R:3",
        rows=("Cu 0 0 0 63.546 0 0", "Zn 2 2.5 3 0 0 0"),
        velocities=[[1, 0, 0], [0, 0, 0]],
        agrees="ase",
    ),
    _xyz("skewed", 'Lattice="4 0 0 1 5 0 0 0 6"', PROPERTIES, cell=[[4, 0, 0], [1, 5, 0], [0, 0, 6]], agrees="ase"),
    _xyz("skewed_rows", "Lattice=[[4,0,0],[1,5,0],[0,0,6]]", PROPERTIES, cell=[[4, 0, 0], [1, 5, 0], [0, 0, 6]]),
    _xyz(
        "plain_with_more",
        "water, seen",
        rows=("Cu 0 0 0 0.5", "Zn 2 2.5 3 0.5"),
        cell=np.zeros((3, 3)),
        pbc=(False,) * 3,
        tags={"comment": "water, seen"},
        left_out=("columns that no Properties= names",),
        warns="molecule",
    ),
    _xyz(
        "of_cp2k",
        "i =        3, time =        1.500, E =      -17.1643447508",
        cell=np.zeros((3, 3)),
        pbc=(False,) * 3,
        labels={"i": 3.0, "time": 1.5, "E": -17.1643447508},
        warns="molecule",
        agrees="ase",
    ),
)

_HEAD = "title\n1.0\n4 0 0\n0 5 0\n0 0 6\n"
_TAIL = "Direct\n0 0 0\n0.5 0.5 0.5\n"
_V = "0.01 0 0\n0 0 -0.02\n"
SPEED = np.array([[0.01, 0, 0], [0, 0, -0.02]])
"""Å/fs."""
_MANY = [("Cu", 1), ("Zn", 1)] * 13


def _many() -> str:
    names, counts = [n for n, _ in _MANY], [str(c) for _, c in _MANY]
    wrapped = ["\n".join(" ".join(w[k : k + 20]) for k in range(0, 26, 20)) for w in (names, counts)]
    rows = "".join(f"{(k % 5) / 5} {(k // 5) / 6} 0.5\n" for k in range(26))
    return f"title\n1.0\n20 0 0\n0 24 0\n0 0 6\n{wrapped[0]}\n{wrapped[1]}\nDirect\n{rows}"


POSCARS: tuple[Legal, ...] = (
    Legal("POSCAR_plain", f"{_HEAD}Cu Zn\n1 1\n{_TAIL}", tags={"comment": "title"}, agrees="ase"),
    Legal("POSCAR_bang", f"{_HEAD}Cu Zn ! species\n1 1 ! counts\n{_TAIL}"),
    Legal("POSCAR_hash", f"{_HEAD}Cu Zn # species\n1 1 # counts\n{_TAIL}".replace("0 0 6", "0 0 6 # c")),
    Legal("POSCAR_all_commented", f"{_HEAD}Cu Zn\n1 1\n{_TAIL}".replace("\n", " ! x\n"), tags={"comment": "title ! x"}),
    Legal("POSCAR_over_lines", f"{_HEAD}Cu\nZn\n1\n1\n{_TAIL}"),
    Legal(
        "POSCAR_wrapped", _many(), symbols="CuZn" * 13, cell=np.diag([20.0, 24, 6]), positions=None, agrees="pymatgen"
    ),
    Legal("POSCAR_hashes", f"{_HEAD}Cu_pv/abcdef12 Zn/0123\n1 1\n{_TAIL}"),
    Legal("POSCAR_suffix", f"{_HEAD}Cu_pv Zn_sv_GW\n1 1\n{_TAIL}", agrees="pymatgen"),
    Legal("POSCAR_volume", f"{_HEAD}Cu Zn\n1 1\n{_TAIL}".replace("\n1.0\n", "\n-120\n"), agrees="ase"),
    Legal("POSCAR_three_scales", f"title\n4 5 6 ! three\n1 0 0\n0 1 0\n0 0 1\nCu Zn\n1 1\n{_TAIL}"),
    Legal(
        "POSCAR_three_scales_cartesian",
        "title\n4 5 6\n1 0 0\n0 1 0\n0 0 1\nCu Zn\n1 1\nCartesian\n0 0 0\n0.5 0.5 0.5\n",
        agrees="ase",
    ),
    Legal("POSCAR_cartesian", f"{_HEAD}Cu Zn\n1 1\nkartesisch\n0 0 0\n2 2.5 3\n"),
    Legal("POSCAR_scaled", "t\n2\n2 0 0\n0 2.5 0\n0 0 3\nCu Zn\n1 1\nC\n0 0 0\n1 1.25 1.5\n", agrees="ase"),
    Legal(
        "POSCAR_exponents", f"{_HEAD}Cu Zn\n1 1\n{_TAIL}".replace("0.5 0.5", "5.0D-01 .5E0").replace("4 0", "0.4D1 0")
    ),
    Legal("POSCAR_blanks", f"{_HEAD}  Cu   Zn  \n\t1 1\n{_TAIL}\n\n\n"),
    Legal("POSCAR_labels_behind", f"{_HEAD}Cu Zn\n1 1\nDirect\n0 0 0 Cu1\n0.5 0.5 0.5 Zn1\n", agrees="ase"),
    Legal(
        "POSCAR_selective",
        f"{_HEAD}Cu Zn\n1 1\nSelective\nDirect\n0 0 0 F F F\n0.5 0.5 0.5 T T T\n",
        fixed=(0,),
        agrees="ase",
    ),
    Legal(
        "POSCAR_selective_words",
        f"{_HEAD}Cu Zn\n1 1\nselective ! dynamics\nDirect\n0 0 0 .FALSE. .F. false ! a\n.5 .5 .5 .TRUE. .T. T\n",
        fixed=(0,),
    ),
    Legal("POSCAR_zero_of_one", f"{_HEAD}Cu Al Zn\n1 0 1\n{_TAIL}", agrees="ase"),
    Legal("POSCAR_twice_named", f"{_HEAD}Cu Zn Cu\n1 1 0\n{_TAIL}"),
    Legal(
        "POSCAR_left_handed",
        f"{_HEAD}Cu Zn\n1 1\n{_TAIL}".replace("4 0 0", "-4 0 0"),
        cell=np.diag([-4.0, 5, 6]),
        positions=[[0, 0, 0], [-2, 2.5, 3]],
        agrees="ase",
    ),
    Legal("CONTCAR_blank", f"{_HEAD}Cu Zn\n1 1\n{_TAIL}\n{_V}", velocities=SPEED),
    Legal("CONTCAR_cartesian", f"{_HEAD}Cu Zn\n1 1\n{_TAIL}Cartesian\n{_V}", velocities=SPEED),
    Legal("CONTCAR_exponents", f"{_HEAD}Cu Zn\n1 1\n{_TAIL}\n  0.1D-01 0 0\n 0 0 -0.20000000E-01\n", velocities=SPEED),
    Legal("CONTCAR_zeros", f"{_HEAD}Cu Zn\n1 1\n{_TAIL}\n  0.0E+00 0 0\n  0 0 0\n"),
    Legal("CONTCAR_direct", f"{_HEAD}Cu Zn\n1 1\n{_TAIL}Direct\n{_V}", warns="lattice vectors per time step"),
    Legal(
        "CONTCAR_lattice",
        f"{_HEAD}Cu Zn\n1 1\n{_TAIL}Lattice velocities and vectors\n1\n" + "0 0 0\n" * 6 + f"\n{_V}",
        velocities=SPEED,
        left_out=("lattice velocities",),
    ),
    Legal(
        "CONTCAR_predictor",
        f"{_HEAD}Cu Zn\n1 1\n{_TAIL}\n{_V}\n1\n 0.500000\n 0.0 0.0 0.0 0.0\n" + "0 0 0\n" * 6,
        velocities=SPEED,
        left_out=("predictor-corrector block",),
    ),
    Legal("CONTCAR_cut", f"{_HEAD}Cu Zn\n1 1\n{_TAIL}\n0.01 0 0\n", warns="velocities are left out"),
    Legal("CONTCAR_stars", f"{_HEAD}Cu Zn\n1 1\n{_TAIL}\n0.01 0 0\n*** 0 0\n", warns="velocities are left out"),
    Legal("CONTCAR_remark", f"{_HEAD}Cu Zn\n1 1\n{_TAIL}\nmade by hand\n", left_out=("text behind the positions",)),
    Legal("crlf.vasp", f"{_HEAD}Cu Zn\n1 1\n{_TAIL}".replace("\n", "\r\n"), agrees="ase"),
)

_SITES = [
    {"species": [{"element": e, "occu": 1}], "abc": abc, "properties": {}}
    for e, abc in (("Cu", [0, 0, 0]), ("Zn", [0.5, 0.5, 0.5]))
]
_S: dict[str, Any] = {"@module": "pymatgen.core.structure", "@class": "Structure", "lattice": {"matrix": CELL.tolist()}}
_S |= {"sites": _SITES}
_J: dict[str, Any] = {
    "lattice_mat": CELL.tolist(),
    "coords": [[0, 0, 0], [0.5, 0.5, 0.5]],
    "elements": ["Cu", "Zn"],
    "abc": [4, 5, 6],
    "angles": [90, 90, 90],
    "cartesian": False,
    "props": ["", ""],
}
_T: dict[str, Any] = {
    "structure": _S,
    "energy_per_atom": -3.4,
    "corrected_total_energy": -6.8,
    "force": [[0, 0, 0.1], [0, 0, -0.1]],
    "stress": NINE,
    "magmom": [0.5, None],
}


def _json(name: str, data: Any, **found: Any) -> Legal:
    text = json.dumps(data)
    if name.endswith(".gz"):
        return Legal(name, gzip.compress(text.encode(), mtime=0), **found)
    return Legal(f"{name}.json", text, **found)


def _record(**beside: Any) -> dict[str, Any]:
    return {"material_id": "mp-1", "structure": _S, **beside}


JSONS: tuple[Legal, ...] = (
    _json("structure", _S),
    _json("list_of_structures", [_S, _S], n=2),
    _json("by_id", {"a": _S, "b": _S}, n=2, id="a"),
    _json("record", _record(gap=1.5), labels={"gap": 1.5}, id="mp-1"),
    _json("record_quoted", _record(gap="1.5"), tags={"gap": "1.5"}),
    _json("record_data", _record(data={"gap": 1.5}), labels={"gap": 1.5}),
    _json("record_final", {"final_structure": _S, "gap": 1}, labels={"gap": 1}),
    _json("record_tensor", _record(dielectric=NINE), labels={"dielectric": NINE}),
    _json("record_stress", _record(REF_stress=NINE), labels={"REF_stress": SIX}),
    _json("record_vector", _record(dipole=[0.1, 0.2, 0.3]), labels={"dipole": [0.1, 0.2, 0.3]}),
    _json("record_forces", _record(forces=[[1, 0, 0], [-1, 0, 0]]), labels={"forces": [[1, 0, 0], [-1, 0, 0]]}),
    _json("record_charges", _record(bader=[0.2, -0.2]), labels={"bader": [0.2, -0.2]}),
    _json("record_more", _record(symmetry={"number": 1}, elastic=[[0.0] * 6] * 6), left_out=("symmetry", "elastic")),
    _json("deep", {"mp-1": {"0": _record(gap=1), "1": _record(gap=2)}}, n=2, labels={"gap": 1}, id="0"),
    _json("response", {"data": [_record(gap=1)], "meta": {"n": 1}}, labels={"gap": 1}, id="mp-1"),
    _json(
        "matbench",
        {"index": [0, 1], "columns": ["structure", "y"], "data": [[_S, -2.1], [_S, -2]]},
        n=2,
        labels={"y": -2.1},
        id=":0",
    ),
    _json("matbench_named", {"index": ["mb-1"], "columns": ["structure", "y"], "data": [[_S, -2.1]]}, id="mb-1"),
    _json("matbench_other_column", {"index": [0], "columns": ["y", "final"], "data": [[1, _S]]}, labels={"y": 1}),
    _json("by_columns", {"structure": {"0": _S, "1": _S}, "y": {"0": 1, "1": 2}}, n=2, labels={"y": 1}, id=":0"),
    _json("by_rows", {"0": {"structure": _S, "y": 1}, "1": {"structure": _S, "y": 2}}, n=2, labels={"y": 1}),
    _json("with_schema", {"schema": {"fields": []}, "data": [{"index": 0, "structure": _S, "y": 1}]}, labels={"y": 1}),
    _json("jarvis", [{"jid": "JVASP-1", "atoms": _J, "gap": 1.5, "hse": "na"}], labels={"gap": 1.5}, id="JVASP-1"),
    _json("jarvis_alone", _J),
    _json("jarvis_cartesian", [{"atoms": {**_J, "cartesian": True, "coords": POSITIONS.tolist()}}]),
    _json("jarvis_props", [{"atoms": {**_J, "props": ["a", "b"]}}], left_out=("props",)),
    _json("jarvis_by_id", {"JVASP-1": {"atoms": _J, "e": 1}}, labels={"e": 1}, id="JVASP-1"),
    _json(
        "mptrj",
        {"mp-1": {"mp-1-0-0": _T, "mp-1-0-1": _T}},
        n=2,
        id="mp-1-0-0",
        labels={"energy_per_atom": -3.4, "force": _T["force"], "stress": SIX, "magmom": [0.5, np.nan]},
        notes="stress is in kbar, compression positive",
    ),
    _json("packed.json.gz", {"mp-1": {"f": _T}}, id="f", labels={"energy_per_atom": -3.4}),
    _json("matbench.json.gz", {"index": [0], "columns": ["structure", "y"], "data": [[_S, 1]]}, labels={"y": 1}),
)

ALL: tuple[Legal, ...] = (*XYZ, *POSCARS, *JSONS)


def make(folder: Path) -> dict[str, Path]:
    """Write every file into ``folder``."""
    for legal in ALL:
        data = legal.content.encode() if isinstance(legal.content, str) else legal.content
        (folder / legal.name).write_bytes(data)
    return {legal.name: folder / legal.name for legal in ALL}
