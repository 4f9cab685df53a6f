"""CIF: columns and items beside the structure."""

from corpus.case import CELL, NACL, P1, Case, cif

SITE = "loop_\n_atom_site_label\n_atom_site_type_symbol\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n"
FCC = "_symmetry_space_group_name_H-M 'F m -3 m'\n"
HEX = CELL.replace("5.64", "3.19", 2).replace("5.64", "5.19").replace("gamma 90", "gamma 120")
MOMENT = "loop_\n_atom_site_moment{0}label\n" + "".join(f"_atom_site_moment{{0}}crystalaxis_{a}\n" for a in "xyz")


def rows(columns: str, *marks: str, symmetry: str = P1, cell: str = CELL, more: str = "") -> str:
    """Na and Cl with ``marks`` in further columns."""
    sites = ("Na1 Na 0 0 0 ", "Cl1 Cl 0.5 0.5 0.5 ")
    tags = "".join(f"_{c}\n" for c in columns.split())
    text = "".join(f"{s}{m}\n" for s, m in zip(sites, marks or ("", ""), strict=True))
    return cif(cell=cell, symmetry=symmetry, loop=SITE + tags, rows=text) + more


CASES = (
    Case("charges.cif", rows("atom_site_charge", "0.91", "-0.91"), "good", formula="ClNa", oracle="pymatgen"),
    Case("charges_fcc.cif", rows("atom_site_charge", "0.91", "-0.91", symmetry=FCC), "good", formula="Cl4Na4"),
    Case("charges_with_comma.cif", rows("atom_site_charge", "0,91", "-0,91"), "warned", "charge of Na1 is '0,91'"),
    Case("charges_with_word.cif", rows("atom_site_charge", "0.91", "minus"), "warned", "charge of Cl1 is 'minus'"),
    Case("environments.cif", rows("atom_site_environment", "T4", "M1"), "good", formula="ClNa"),
    Case("moments.mcif", rows("", more=MOMENT.format(".") + "Na1 0 0 2.5\n"), "good", formula="ClNa"),
    Case(
        "moments_fcc.cif", rows("", symmetry=FCC, more=MOMENT.format("_") + "Na1 0 0 2\n"), "warned", "symmetry turns"
    ),
    Case("types.cif", rows("", more="loop_\n_atom_type_symbol\n_atom_type_partial_charge\nNa 1\nCl -1\n"), "good"),
    Case("gap.cif", NACL + "_my_band_gap 5.0(1)\n_my_group halides\n", "good", like_nacl=True, oracle="pymatgen"),
)
