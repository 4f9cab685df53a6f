"""CIF: odd but legal ways to say in which setting a crystal is described, each with the atoms that it means.

Every crystal is given once, in one setting of the tables; ``described`` turns it into any other setting of its group,
and ``whole`` makes all atoms by the operations of the tables, without the reader.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import ase
import ase.cell
import gemmi
import numpy as np
from numpy.typing import NDArray

Oracle = Literal["gemmi", "ase", "pymatgen", "formula"]


@dataclass(frozen=True)
class Crystal:
    """Setting, cell (Å, °), sites, formula and formula units of one crystal."""

    setting: str
    cell: tuple[float, ...]
    sites: tuple[tuple[str, float, float, float], ...]
    formula: str
    z: int


SPINEL = Crystal(
    "F d -3 m:2",
    (8.083, 8.083, 8.083, 90, 90, 90),
    (("Mg", 0.125, 0.125, 0.125), ("Al", 0.5, 0.5, 0.5), ("O", 0.2624, 0.2624, 0.2624)),
    "Al2 Mg O4",
    8,
)
SILICON = Crystal("F d -3 m:2", (5.431, 5.431, 5.431, 90, 90, 90), (("Si", 0.125, 0.125, 0.125),), "Si", 8)
ANATASE = Crystal("I 41/a m d:1", (3.785, 3.785, 9.514, 90, 90, 90), (("Ti", 0, 0, 0), ("O", 0, 0, 0.2081)), "O2 Ti", 4)
SCHEELITE = Crystal(
    "I 41/a:1",
    (5.243, 5.243, 11.376, 90, 90, 90),
    (("Ca", 0, 0, 0.5), ("W", 0, 0, 0), ("O", 0.2413, 0.1511, 0.0861)),
    "Ca O4 W",
    4,
)
LITHARGE = Crystal(
    "P 4/n m m:1", (3.975, 3.975, 5.023, 90, 90, 90), (("O", 0, 0, 0), ("Pb", 0, 0.5, 0.2368)), "O Pb", 2
)
ZIRCONIA = Crystal(
    "P 42/n m c:1", (3.605, 3.605, 5.18, 90, 90, 90), (("Zr", 0, 0, 0), ("O", 0, 0.5, 0.2044)), "O2 Zr", 2
)
CUPRITE = Crystal("P n -3 m:1", (4.27, 4.27, 4.27, 90, 90, 90), (("O", 0, 0, 0), ("Cu", 0.25, 0.25, 0.25)), "Cu2 O", 2)
SHCHERBINAITE = Crystal(
    "P m m n:2",
    (11.512, 3.564, 4.368, 90, 90, 90),
    (("V", 0.10118, 0.25, -0.1083), ("O", 0.1043, 0.25, -0.469), ("O", -0.0689, 0.25, 0.003), ("O", 0.25, 0.25, 0.001)),
    "O5 V2",
    2,
)
BISMUTH = Crystal("R -3 m:H", (4.546, 4.546, 11.862, 90, 90, 120), (("Bi", 0, 0, 0.2339),), "Bi", 6)
CALCITE = Crystal(
    "R -3 c:H",
    (4.99, 4.99, 17.061, 90, 90, 120),
    (("Ca", 0, 0, 0), ("C", 0, 0, 0.25), ("O", 0.2568, 0, 0.25)),
    "C Ca O3",
    6,
)
TENORITE = Crystal(
    "C 1 2/c 1", (4.684, 3.423, 5.129, 90, 99.54, 90), (("Cu", 0.25, 0.25, 0), ("O", 0, 0.4184, 0.25)), "Cu O", 4
)
BADDELEYITE = Crystal(
    "P 1 21/c 1",
    (5.15, 5.212, 5.317, 90, 99.23, 90),
    (("Zr", 0.2754, 0.0395, 0.2083), ("O", 0.07, 0.3317, 0.3447), ("O", 0.4496, 0.7569, 0.4792)),
    "O2 Zr",
    4,
)
PEROVSKITE = Crystal(
    "P b n m",
    (5.379, 5.442, 7.641, 90, 90, 90),
    (("Ca", -0.0068, 0.0359, 0.25), ("Ti", 0, 0.5, 0), ("O", 0.0714, 0.4838, 0.25), ("O", 0.7108, 0.2888, 0.0371)),
    "Ca O3 Ti",
    4,
)
SKUTTERUDITE = Crystal(
    "I m -3", (8.205, 8.205, 8.205, 90, 90, 90), (("Co", 0.25, 0.25, 0.25), ("As", 0, 0.3442, 0.1514)), "As3 Co", 8
)
PYRITE = Crystal(
    "P a -3", (5.418, 5.418, 5.418, 90, 90, 90), (("Fe", 0, 0, 0), ("S", 0.3848, 0.3848, 0.3848)), "Fe S2", 4
)
PHOSPHORUS = Crystal("C m c a", (3.3133, 10.473, 4.374, 90, 90, 90), (("P", 0, 0.10168, 0.08056),), "P", 8)
ZINCITE = Crystal(
    "P 63 m c", (3.25, 3.25, 5.207, 90, 90, 120), (("Zn", 1 / 3, 2 / 3, 0), ("O", 1 / 3, 2 / 3, 0.382)), "O Zn", 2
)
HALITE = Crystal("F m -3 m", (5.64, 5.64, 5.64, 90, 90, 90), (("Na", 0, 0, 0), ("Cl", 0.5, 0.5, 0.5)), "Cl Na", 4)
ZRCL3 = Crystal(
    "P 1 1 21/m", (6.1, 4.9, 7.2, 90, 90, 97.5), (("Zr", 0.2, 0.1, 0.25), ("Cl", 0.7, 0.6, 0.04)), "Cl2 Zr", 2
)


def row(label: str) -> gemmi.SpaceGroup:
    """Setting of the tables by its name with choice."""
    (found,) = (group for group in gemmi.spacegroup_table() if group.xhm() == label)
    return found


@lru_cache(maxsize=256)
def described(crystal: Crystal, label: str) -> Crystal:
    """The same crystal in another setting of its group: x_reference = M x + t, a = Mᵀ a_reference."""
    cell = np.array(ase.cell.Cell.fromcellpar(crystal.cell))
    (m, t), (m2, t2) = (_to_reference(row(name)) for name in (crystal.setting, label))
    back = np.linalg.inv(m2)
    other = m2.T @ np.linalg.inv(m).T @ cell
    sites = tuple((s, *(back @ (m @ np.array(xyz) + t - t2)).tolist()) for s, *xyz in crystal.sites)
    lattice = ase.cell.Cell(other).cellpar().tolist()
    units = crystal.z * abs(np.linalg.det(other) / np.linalg.det(cell))
    return Crystal(label, tuple(lattice), sites, crystal.formula, round(units))


def _to_reference(group: gemmi.SpaceGroup) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    op = group.basisop.inverse()
    return np.array(op.rot) / op.DEN, np.array(op.tran) / op.DEN


def whole(crystal: Crystal) -> ase.Atoms:
    """All atoms of the cell, by the operations of the tables, site by site and image by image."""
    symbols, places = [], []
    for symbol, *xyz in crystal.sites:
        seen: list[NDArray[np.float64]] = []
        for op in row(crystal.setting).operations():
            image = (np.array(op.rot) @ np.array(xyz) + np.array(op.tran)) / op.DEN
            if all(np.abs((image - s) - np.rint(image - s)).max() > 1e-3 for s in seen):
                seen.append(image)
        symbols += [symbol] * len(seen)
        places += seen
    return ase.Atoms(symbols, scaled_positions=places, cell=crystal.cell, pbc=True)


def text_of(crystal: Crystal, symmetry: str, *, formula: bool = False, z: bool = False, more: str = "") -> str:
    """CIF of the asymmetric unit with whatever is said of the symmetry."""
    lengths = "".join(f"_cell_length_{a} {x:.9f}\n" for a, x in zip("abc", crystal.cell[:3], strict=True))
    names = ("alpha", "beta", "gamma")
    angles = "".join(f"_cell_angle_{a} {x:.9f}\n" for a, x in zip(names, crystal.cell[3:], strict=True))
    stated = f"_chemical_formula_sum '{crystal.formula}'\n" if formula else ""
    stated += f"_cell_formula_units_Z {crystal.z}\n" if z else ""
    loop = "loop_\n_atom_site_label\n_atom_site_type_symbol\n" + "".join(f"_atom_site_fract_{x}\n" for x in "xyz")
    rows = "".join(f"{s}{k} {s} {x:.9f} {y:.9f} {z:.9f}\n" for k, (s, x, y, z) in enumerate(crystal.sites, 1))
    return f"data_x\n{lengths}{angles}{stated}{more}{symmetry}{loop}{rows}"


def said(
    name: str = "", *, alt: str = "", full: str = "", number: int = 0, code: str = "", hall: str = "", ops: str = ""
) -> str:
    """Lines that state a symmetry; ``ops`` names the setting whose operations are listed."""
    lines = [f"_symmetry_space_group_name_H-M '{name}'"] if name else []
    lines += [f"_space_group_name_H-M_alt '{alt}'"] if alt else []
    lines += [f"_space_group_name_H-M_full '{full}'"] if full else []
    lines += [f"_space_group_IT_number {number}"] if number else []
    lines += [f"_space_group_IT_coordinate_system_code {code}"] if code else []
    lines += [f"_space_group_name_Hall '{hall}'"] if hall else []
    if ops:
        lines += ["loop_", "_space_group_symop_operation_xyz"]
        lines += [f"'{op.triplet()}'" for op in row(ops).operations()]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Odd:
    """One file: the crystal as it is described in it, its text, who else reads it right, and a word of the warning."""

    name: str
    crystal: Crystal
    text: str
    oracle: Oracle = "formula"
    says: str = ""


def _odd(
    name: str,
    crystal: Crystal,
    setting: str,
    symmetry: str,
    oracle: Oracle,
    says: str = "",
    *,
    formula: bool = False,
    z: bool = False,
    more: str = "",
) -> Odd:
    there = described(crystal, setting)
    return Odd(name, there, text_of(there, symmetry, formula=formula, z=z, more=more), oracle, says)


SITE_COUNTS = "_atom_site_symmetry_multiplicity"


def counted(text: str, counts: list[int]) -> str:
    """The file with the number of images of every site."""
    head, rows = text.split("_atom_site_fract_z\n")
    lines = [f"{line} {n}" for line, n in zip(rows.splitlines(), counts, strict=True)]
    return f"{head}_atom_site_fract_z\n{SITE_COUNTS}\n" + "\n".join(lines) + "\n"


_F1, _F2 = "F d -3 m:1", "F d -3 m:2"
_UNSAID = "does not say which"
ORIGINS = (
    _odd("code_2", SPINEL, _F2, said(alt="F d -3 m", number=227, code="2"), "gemmi"),
    _odd("code_1", SPINEL, _F1, said(alt="F d -3 m", number=227, code="1"), "ase"),
    _odd("code_number_2", SPINEL, _F2, said(number=227, code="'2'"), "formula"),
    _odd("colon_2", SPINEL, _F2, said("F d -3 m:2"), "gemmi"),
    _odd("colon_1", SPINEL, _F1, said("F d -3 m :1"), "gemmi"),
    _odd("icsd_z", SPINEL, _F2, said("F d -3 m Z", number=227), "formula"),
    _odd("icsd_s", SPINEL, _F1, said("F d -3 m S", number=227), "ase"),
    _odd("icsd_z_tight", ANATASE, "I 41/a m d:2", said("I41/amdZ"), "formula"),
    _odd("icsd_s_litharge", LITHARGE, "P 4/n m m:1", said("P 4/n m m S"), "formula"),
    _odd("icsd_z_litharge", LITHARGE, "P 4/n m m:2", said("P 4/n m m Z"), "formula"),
    _odd("words_2", SCHEELITE, "I 41/a:2", said("I 41/a (origin choice 2)"), "formula"),
    _odd("words_1", SCHEELITE, "I 41/a:1", said("I 41/a, origin 1"), "formula"),
    _odd("hall_1", ANATASE, "I 41/a m d:1", said(hall="I 4bw 2bw -1bw"), "gemmi"),
    _odd("hall_2_underscores", ANATASE, "I 41/a m d:2", said(hall="-I_4bd_2"), "gemmi"),
    _odd("hall_and_name", CUPRITE, "P n -3 m:2", said("P n -3 m", hall="-P 4bc 2bc 3"), "gemmi"),
    _odd("code_orthorhombic", SHCHERBINAITE, "P m n m:2", said(alt="P m n m", number=59, code="2bca"), "gemmi"),
    _odd("code_only_axes", SHCHERBINAITE, "P n m m:1", said(number=59, code="1cab"), "formula"),
    _odd("formula_z_2", SPINEL, _F2, said("F d -3 m"), "gemmi", formula=True, z=True),
    _odd("formula_z_1", SPINEL, _F1, said("F d -3 m"), "ase", formula=True, z=True),
    _odd("formula_alone", SPINEL, _F1, said("F d -3 m"), "ase", formula=True),
    _odd("z_alone", SILICON, _F2, said("F d -3 m"), "gemmi", z=True),
    _odd("z_alone_1", SILICON, _F1, said(number=227), "ase", "standard setting", z=True),
    _odd("density", SILICON, _F1, said("Fd-3m"), "ase", more="_exptl_crystal_density_diffrn 2.329\n"),
    _odd("moiety", SPINEL, _F1, said("Fd-3m"), "ase", more="_chemical_formula_moiety 'Mg Al2 O4'\n"),
    _odd("contacts_2", SILICON, _F2, said("F d -3 m"), "gemmi", _UNSAID),
    _odd("contacts_1", ZIRCONIA, "P 42/n m c:1", said("P42/nmc"), "ase", _UNSAID),
    _odd("contacts_2_zirconia", ZIRCONIA, "P 42/n m c:2", said("P42/nmc"), "gemmi", _UNSAID),
    _odd("contacts_cuprite", CUPRITE, "P n -3 m:1", said("Pn3m"), "formula", _UNSAID),
)
_MONOCLINIC = (
    _odd("p21n_underscore", BADDELEYITE, "P 1 21/n 1", said("P2_1/n", number=14), "formula"),
    _odd("p21n_brackets", BADDELEYITE, "P 1 21/n 1", said("P2(1)/n", number=14), "formula"),
    _odd("p21a_brackets", BADDELEYITE, "P 1 21/a 1", said("P 2(1)/a"), "formula"),
    _odd("p21c_capitals", BADDELEYITE, "P 1 21/c 1", said("P 21/C"), "gemmi"),
    _odd("p21c_full", BADDELEYITE, "P 1 21/c 1", said(full="P 1 21/c 1", number=14), "ase"),
    _odd("p21c_tilde", BADDELEYITE, "P 1 21/c 1", said("P2~1~/c"), "formula"),
    _odd("p21c_html", BADDELEYITE, "P 1 21/c 1", said("P2<sub>1</sub>/c"), "ase"),
    _odd("p21c_latex", BADDELEYITE, "P 1 21/c 1", said("P2_{1}/c"), "formula"),
    _odd("p21b_gamma", BADDELEYITE, "P 1 1 21/b", said("P 21/b", number=14), "formula"),
    _odd("p21a_gamma", BADDELEYITE, "P 1 1 21/a", said("P 21/a"), "formula", "its only setting"),
    _odd("p21n_alpha", BADDELEYITE, "P 21/n 1 1", said("P 21/n"), "formula", "its only setting"),
    _odd("code_b3", BADDELEYITE, "P 1 21/a 1", said(number=14, code="b3"), "formula"),
    _odd("code_c2", BADDELEYITE, "P 1 1 21/n", said(number=14, code="c2"), "formula"),
    _odd("name_with_code", BADDELEYITE, "P 1 21/n 1", said("P 1 21/n 1:b2"), "formula"),
    _odd("number_behind", BADDELEYITE, "P 1 21/n 1", said("P 21/n (14)"), "formula"),
    _odd("i2c_full_a", TENORITE, "I 2/c 1 1", said("I 2/c 1 1"), "gemmi"),
    _odd("i2a", TENORITE, "I 1 2/a 1", said("I2/a", number=15), "gemmi"),
    _odd("a2n_code", TENORITE, "A 1 2/n 1", said(number=15, code="b2"), "formula"),
    _odd("code_minus_b1", TENORITE, "A 1 2/a 1", said(number=15, code="-b1"), "formula"),
    _odd("b2b_first_setting", TENORITE, "B 1 1 2/b", said("B 2/b"), "gemmi"),
    _odd("number_gamma", ZRCL3, "P 1 1 21/m", said(number=11), "formula", "its only setting"),
    _odd("number_alpha", ZRCL3, "P 21/m 1 1", said(number=11), "formula", "its only setting"),
    _odd("hall_monoclinic", BADDELEYITE, "P 1 21/n 1", said(hall="-p 2yn"), "gemmi"),
)
_OTHERS = (
    _odd("r_cell_of_three", BISMUTH, "R -3 m:R", said("R -3 m"), "gemmi"),
    _odd("r_cell_number", BISMUTH, "R -3 m:R", said(number=166), "formula", "standard setting"),
    _odd("r_hexagonal", BISMUTH, "R -3 m:H", said("R-3m"), "gemmi"),
    _odd("r_code_r", CALCITE, "R -3 c:R", said(alt="R -3 c", code="r"), "gemmi"),
    _odd("r_icsd_h", CALCITE, "R -3 c:H", said("R -3 c H", number=167), "gemmi"),
    _odd("r_icsd_hr", CALCITE, "R -3 c:H", said("R -3 C HR"), "formula"),
    _odd("r_icsd_r", CALCITE, "R -3 c:R", said("R-3cR"), "gemmi"),
    _odd("r_full_symbol", CALCITE, "R -3 c:H", said("R -3 2/c"), "formula"),
    _odd("r_pdb", CALCITE, "R -3 c:H", said("H -3 c"), "gemmi"),
    _odd("pbnm", PEROVSKITE, "P b n m", said("Pbnm", number=62), "gemmi"),
    _odd("pnma_number_behind", PEROVSKITE, "P n m a", said("Pnma (62)", number=62), "ase"),
    _odd("pnma_no", PEROVSKITE, "P n m a", said("P n m a (No. 62)"), "formula"),
    _odd("pnma_full_symbol", PEROVSKITE, "P n m a", said("P 21/n 21/m 21/a"), "formula"),
    _odd("pmcn_code", PEROVSKITE, "P m c n", said(number=62, code="bca"), "formula"),
    _odd("schoenflies", PEROVSKITE, "P n m a", said("D2h^16"), "formula", "standard setting"),
    _odd(
        "schoenflies_tag",
        PEROVSKITE,
        "P n m a",
        "_space_group_name_Schoenflies D_2h^16\n",
        "formula",
        "standard setting",
    ),
    _odd("without_bar_im3", SKUTTERUDITE, "I m -3", said("Im3"), "gemmi"),
    _odd("without_bar_pa3", PYRITE, "P a -3", said("P A 3", number=205), "gemmi"),
    _odd("without_bar_fm3m", HALITE, "F m -3 m", said("FM3M"), "gemmi"),
    _odd("full_symbol_fm3m", HALITE, "F m -3 m", said("F 4/m -3 2/m"), "formula"),
    _odd("e_plane", PHOSPHORUS, "C m c a", said("C m c e", number=64), "gemmi"),
    _odd("e_plane_b", PHOSPHORUS, "B b c m", said("B b e m"), "gemmi"),
    _odd("screw_brackets", ZINCITE, "P 63 m c", said("P6(3)mc"), "formula"),
    _odd("latex_bar", PYRITE, "P a -3", said(r"$P a \bar{3}$"), "formula"),
    _odd("name_is_number", HALITE, "F m -3 m", said("225"), "gemmi", "standard setting"),
    _odd("dotted_tags", HALITE, "F m -3 m", "_space_group.name_H-M_alt 'F m -3 m'\n", "formula"),
    _odd("list_wins_name", BADDELEYITE, "P 1 21/n 1", said("P 21/c", ops="P 1 21/n 1"), "gemmi", "the list counts"),
    _odd("list_unknown_name", SPINEL, _F1, said("Spinel type", ops=_F1), "gemmi", "not understood"),
    _odd("list_origin_1", SPINEL, _F1, said("F d -3 m", number=227, ops=_F1), "gemmi"),
    _odd("list_wins_code", SPINEL, _F1, said("F d -3 m", code="2", ops=_F1), "gemmi", "the list counts"),
)
_COUNTED = Odd(
    "multiplicities",
    described(SILICON, _F1),
    counted(text_of(described(SILICON, _F1), said("F d -3 m")), [8]),
    "ase",
)
ODD: tuple[Odd, ...] = (*ORIGINS, *_MONOCLINIC, *_OTHERS, _COUNTED)
