"""CIF: sites that exclude each other, and occupancies that are one but for rounding."""

from corpus.case import CELL, P1, Case, cif

SITE = "loop_\n_atom_site_label\n_atom_site_type_symbol\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n"
FCC = "_symmetry_space_group_name_H-M 'F m -3 m'\n"
HEX = CELL.replace("5.64", "3.19", 2).replace("5.64", "5.19").replace("gamma 90", "gamma 120")
P63MC = "_symmetry_space_group_name_H-M 'P 63/m m c'\n"


def water(columns: str, *marks: str, symmetry: str = P1) -> str:
    """Copper and two oxygen atoms 0.45 Å apart, with ``marks`` in further columns."""
    rows = ("Cu1 Cu 0 0 0 ", "O1A O 0.30 0 0 ", "O1B O 0.30 0.08 0 ")
    tags = "".join(f"_atom_site_{c}\n" for c in columns.split())
    return cif(
        symmetry=symmetry, loop=SITE + tags, rows="".join(f"{r}{m}\n" for r, m in zip(rows, marks, strict=False))
    )


def nearly(
    *occupancies: str, cell: str = CELL, symmetry: str = P1, places: tuple[str, str] = ("0 0 0", ".5 .5 .5")
) -> str:
    rows = (f"Ga1 Ga {places[0]} {occupancies[0]}\n", f"N1 N {places[1]} {occupancies[1]}\n")
    return cif(cell=cell, symmetry=symmetry, loop=SITE + "_atom_site_occupancy\n", rows="".join(rows))


BOTH = "disorder_assembly disorder_group"
PAIR = "O1A and O1B are groups 1 and 2"
THIRDS = ("0.333 0.667 0.25", "0.333 0.667 0.75")

CASES = (
    Case("groups.cif", water(BOTH, ". .", "A 1", "A 2"), "refused", f"{PAIR} of assembly A, 0.45 Å apart"),
    Case("groups_alone.cif", water("disorder_group", ".", "1", "2"), "refused", PAIR),
    Case("groups_full.cif", water(f"occupancy {BOTH}", "1 . .", "1 A 1", "1.0 A 2"), "refused", PAIR),
    Case("groups_unknown.cif", water(f"occupancy {BOTH}", "? . .", "? A 1", ". A 2"), "refused", PAIR),
    Case("groups_in_quotes.cif", water(BOTH, ". .", "'A' '1'", '"A" 2'), "refused", PAIR),
    Case("groups_of_images.cif", water("disorder_group", ".", "-1"), "refused", "O1A is of group -1"),
    Case("groups_of_fcc.cif", water("disorder_group", ".", "-2", symmetry=FCC), "refused", "O1A is of group -2"),
    Case("groups_and_none.cif", water(BOTH, ". .", "A 1", "A ."), "refused", "groups 1 and none of assembly A"),
    Case("assembly_alone.cif", water("disorder_assembly", ".", "A", "A"), "refused", "of assembly A, of no group"),
    Case("groups_far_apart.cif", water(BOTH, "A 1", "A 2"), "refused", "Cu1 and O1A are groups 1 and 2"),
    Case(
        "groups_shared.cif", water(f"occupancy {BOTH}", "1 . .", ".6 A 1", ".4 A 2"), "refused", "partial occupancy 0.6"
    ),
    Case(
        "one_group_left.cif",
        water(BOTH, ". .", "A 1"),
        "warned",
        "O1A is one of several",
        formula="CuO",
        oracle="gemmi",
    ),
    Case("assemblies.cif", water(BOTH, ". .", "A 1", "B 1"), "warned", "alternatives", formula="CuO2", oracle="gemmi"),
    Case("groups_unused.cif", water(BOTH, ". .", "? ?", ". 0"), "warned", "0.45 Å", formula="CuO2", oracle="pymatgen"),
    Case("occupancy_0p9995.cif", nearly("1", "0.9995"), "good", formula="GaN", oracle="gemmi"),
    Case("occupancy_0p999.cif", nearly("0.999", "1.001"), "good", formula="GaN", oracle="gemmi"),
    Case("occupancy_with_error.cif", nearly("1.000(3)", "0.9992(8)"), "good", formula="GaN", oracle="gemmi"),
    Case("occupancy_1p.cif", nearly("1.", "1.00000"), "good", formula="GaN", oracle="pymatgen"),
    Case("occupancy_0p998.cif", nearly("1", "0.998"), "refused", "partial occupancy 0.998 at N1"),
    Case("occupancy_1p002.cif", nearly("1", "1.002"), "refused", "impossible occupancy 1.002 at N1"),
    Case(
        "occupancy_in_doubt.cif",
        nearly("1.0", "0.9998", cell=HEX, symmetry=P63MC, places=THIRDS),
        "warned",
        "merged within",
        formula="Ga2N2",
    ),
    Case(
        "occupancy_in_little_doubt.cif",
        nearly("0.9991", "1.0009", cell=HEX, symmetry=P63MC, places=("0.3333 0.6667 0.25", "0.3333 0.6667 0.75")),
        "good",
        formula="Ga2N2",
    ),
    Case("occupancy_in_fcc.cif", nearly("0.9995", "1", symmetry=FCC), "good", formula="Ga4N4", oracle="gemmi"),
    Case(
        "shared_nearly.cif",
        nearly("0.5", "0.4995", places=("0 0 0", "0 0 0")),
        "refused",
        "partial occupancy 0.5 at Ga1",
    ),
)
