"""CIF: sites, species, occupancies and coordinates."""

from corpus.case import CELL, FIRST, HALF, LOOP, NACL, Case, cif, instead

CASES = (
    Case("partial_occupancy.cif", instead(FIRST, HALF), "refused", "partial occupancy 0.5 at Na1"),
    Case("half_and_half.cif", instead(FIRST, HALF + "\nK1 K 0 0 0 0.5"), "refused", "partial occupancy"),
    Case("occupancy_above_one.cif", instead(FIRST, "Na1 Na 0 0 0 1.5"), "refused", "impossible occupancy 1.5"),
    Case("occupancy_negative.cif", instead(FIRST, "Na1 Na 0 0 0 -1"), "refused", "impossible occupancy -1"),
    Case("occupancy_unknown.cif", instead(FIRST, "Na1 Na 0 0 0 ?"), "warned", "occupancy of Na1"),
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
    Case("question_mark_coordinate.cif", instead(FIRST, "Na1 Na ? 0 0 1"), "refused", "x of Na1 is"),
    Case("decimal_comma.cif", instead("Na2 Na 0 0.5 0.5", "Na2 Na 0 0,5 0.5"), "refused", "y of Na2 is '0,5'"),
    Case("nan_coordinate.cif", instead(FIRST, "Na1 Na nan 0 0 1"), "refused", "x of Na1 is 'nan'"),
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
)
