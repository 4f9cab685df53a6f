"""CIF: elements from type symbols in many spellings, and from labels where nothing else is said."""

from corpus.case import P1, Case, cif

LOOP = "loop_\n_atom_site_label\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n"
TYPED = LOOP.replace("label\n", "label\n_atom_site_type_symbol\n")


def labels(*names: str, formula: str = "") -> str:
    """Sites that have labels and no more, 0.9 Å and farther apart."""
    stated = f"_chemical_formula_sum '{formula}'\n" if formula else ""
    return cif(symmetry=stated + P1, loop=LOOP, rows="".join(f"{n} 0 0 {k / 6:.4f}\n" for k, n in enumerate(names)))


def types(*names: str, formula: str = "") -> str:
    stated = f"_chemical_formula_sum '{formula}'\n" if formula else ""
    rows = (f"A{k} {n} 0 0 {k / 6:.4f}\n" for k, n in enumerate(names))
    return cif(symmetry=stated + P1, loop=TYPED, rows="".join(rows))


NO = "no element"
CASES = (
    Case("label_tetrahedra.cif", labels("T1", "T2", "O1"), "refused", "T may be a tetrahedral site"),
    Case("label_tetrahedra_hydrous.cif", labels("T1", "O1", "H1", formula="Si O H"), "refused", "tetrahedral"),
    Case("label_tungsten_or_water.cif", labels("W1", "O1"), "refused", "W may be water"),
    Case("label_water.cif", labels("Na1", "W1", formula="Na H2 O"), "refused", "W may be water"),
    Case("label_tungsten.cif", labels("W1", "O1", "O2", formula="W O2"), "good", formula="O2W", oracle="ase"),
    Case("label_peak.cif", labels("Na1", "D1"), "refused", "D may be a dummy"),
    Case("label_deuterium.cif", labels("D1", "O1", "D2", formula="D2 O"), "warned", "taken as H", formula="H2O"),
    Case("label_deuterium_as_h.cif", labels("D1", "O1", "D2", formula="H2 O"), "warned", "taken as H", formula="H2O"),
    Case("label_q_peak.cif", labels("Na1", "Q1"), "refused", "dummy"),
    Case("label_metal.cif", labels("M1", "O1", formula="Fe O"), "refused", "'M1'"),
    Case("label_a_site.cif", labels("A1", "O1", formula="K O"), "refused", "'A1' is no element"),
    Case("label_x.cif", labels("X1", "O1"), "refused", "dummy"),
    Case("label_ow.cif", labels("Na1", "Ow", formula="Na O"), "warned", "Ow is taken as O", formula="NaO"),
    Case("label_ow_unsaid.cif", labels("Na1", "OW1"), "refused", NO),
    Case("label_o_w.cif", labels("Na1", "O(w)", "O(2)'"), "good", formula="NaO2", oracle="pymatgen"),
    Case("label_bridging.cif", labels("Si1", "Ob1", "Ob2", formula="Si O2"), "warned", "Ob1 is", formula="O2Si"),
    Case("label_cx.cif", labels("Cx", "Si1"), "refused", NO),
    Case("label_calcium.cif", labels("CA1", "F1", "F2", formula="Ca F2"), "warned", "as Ca", formula="CaF2"),
    Case("label_alpha_carbon.cif", labels("CA1", "F1", "F2", formula="C F2"), "warned", "as C:", formula="CF2"),
    Case("label_calcium_or_carbon.cif", labels("CA1", "C2", "Ca3", formula="Ca C2"), "refused", "C or Ca"),
    Case("label_calcium_unsaid.cif", labels("CA1", "F1"), "refused", NO),
    Case("label_cobalt.cif", labels("CO1", "S1", formula="Co S"), "warned", "as Co", formula="CoS"),
    Case("label_carbonyl.cif", labels("CO1", "O1", formula="C O"), "refused", "C or O"),
    Case("label_holmium.cif", labels("HO1", "N1", formula="Ho N"), "warned", "as Ho", formula="HoN"),
    Case("label_hydroxyl.cif", labels("HO1", "O1", formula="H O"), "refused", "H or O"),
    Case("label_sodium.cif", labels("NA1", "CL1", formula="Na Cl"), "warned", "as Na", formula="ClNa"),
    Case("label_not_in_formula.cif", labels("Ca1", "O1", formula="C O"), "refused", "which the formula 'C O' lacks"),
    Case("label_two_elements.cif", labels("Si/Al1", "O1", formula="Si O"), "refused", "two elements"),
    Case("label_two_joined.cif", labels("AlSi1", "O1", formula="Al Si O2"), "refused", NO),
    Case("label_water_of_tungstate.cif", labels("Wat1", "W1", formula="W O"), "refused", "'Wat1'"),
    Case("label_vacancy.cif", labels("Va1", "V1", formula="V2"), "refused", "vacancy"),
    Case("label_centroid.cif", labels("C1", "Cg1", formula="C2"), "refused", "dummy"),
    Case("label_plain.cif", labels("Fe1", "Fe2A", "S3_b", "S#4"), "good", formula="Fe2S2", oracle="pymatgen"),
    Case("label_empty.cif", labels("Fe1", "?"), "refused", "row 2 of the atom loop has no element"),
    Case(
        "formula_no_chemist_wrote.cif",
        labels("Fe1", "O1", formula="M O"),
        "warned",
        "not understood",
        formula="FeO",
        oracle="pymatgen",
    ),
    Case("type_ions.cif", types("Fe3+", "Fe+3", "O2-", "O1-", "O-"), "good", formula="Fe2O3", oracle="ase"),
    Case("type_mean_valence.cif", types("Fe2.5+", "O2-"), "good", formula="FeO"),
    Case("type_form_factors.cif", types("Cval", "Siva", "H(SDS)"), "good", formula="CHSi"),
    Case("type_capitals.cif", types("FE", "CO", "o"), "good", formula="CoFeO", oracle="gemmi"),
    Case("type_group.cif", types("NH4", "CL1"), "refused", "is Nh, or a group of N and H"),
    Case("type_group_stated.cif", types("CO3", "O", formula="Co O"), "good", formula="CoO"),
    Case("type_capitals_not_stated.cif", types("CO", "O", formula="C O2"), "refused", "Co, which the formula"),
    Case("type_hydroxyl.cif", types("OH", "Na"), "refused", NO),
    Case("type_water.cif", types("Wat", "Na"), "refused", NO),
    Case("type_alloy.cif", types("FeNi"), "refused", NO),
    Case("type_wildcard.cif", types("*"), "refused", NO),
    Case("type_tetrahedron.cif", types("T", "O", formula="Si O2"), "refused", "tritium, which the formula"),
    Case("type_dot.cif", types("Na", "."), "refused", "A1 has no element"),
)
