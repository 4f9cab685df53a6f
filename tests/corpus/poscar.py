"""POSCAR."""

from corpus.case import NACL, POSCAR, Case

CASES = (
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
    Case("POSCAR_empty", "", "refused", "empty file"),
    Case("POSCAR_comment_only", "NaCl\n", "refused", "too few"),
    Case("POSCAR_scale_zero", POSCAR.replace("1.0\n", "0\n", 1), "refused", "scale is 0"),
    Case("POSCAR_scale_nan", POSCAR.replace("1.0\n", "nan\n", 1), "refused", "not finite"),
    Case("POSCAR_scale_word", POSCAR.replace("1.0\n", "one\n", 1), "refused", "'one'"),
    Case("POSCAR_scale_three", POSCAR.replace("1.0\n", "1 1 1\n", 1), "good"),
    Case("POSCAR_lattice_two", POSCAR.replace("5.64 0 0", "5.64 0"), "refused", "needs 3 numbers"),
    Case("POSCAR_lattice_word", POSCAR.replace("5.64 0 0", "a 0 0"), "refused", "needs 3 numbers"),
    Case("POSCAR_lattice_inf", POSCAR.replace("5.64 0 0", "inf 0 0"), "refused", "not finite"),
    Case("POSCAR_counts_negative", POSCAR.replace("1 1\n", "-1 1\n"), "refused", "counts"),
    Case("POSCAR_counts_zero", POSCAR.replace("1 1\n", "0 0\n"), "refused", "no atoms"),
    Case("POSCAR_counts_half", POSCAR.replace("1 1\n", "1.5 1\n"), "refused", "counts"),
    Case("POSCAR_counts_huge", POSCAR.replace("1 1\n", "999999999999 1\n"), "refused", "1000000000000 atoms"),
    Case("POSCAR_no_mode", POSCAR.replace("Direct\n", ""), "refused", "needs 'Direct'"),
    Case("POSCAR_row_of_two", POSCAR.replace("0.5 0.5 0.5", "0.5 0.5"), "refused", "1 have coordinates"),
    Case("POSCAR_duplicate", POSCAR.replace("0.5 0.5 0.5", "1 1 1"), "refused", "duplicate atoms"),
    Case("POSCAR_cartesian", POSCAR.replace("Direct", "Cartesian").replace("0.5 0.5 0.5", "2.82 2.82 2.82"), "good"),
    Case(
        "POSCAR_selective",
        POSCAR.replace("Direct", "Selective dynamics\nDirect")
        .replace("0 0 0\n0.5", "0 0 0 T T F\n0.5")
        .replace("5 0.5\n", "5 0.5 T T T\n"),
        "good",
    ),
    Case(
        "POSCAR_selective_bad",
        POSCAR.replace("Direct", "Selective dynamics\nDirect").replace("0.5 0.5 0.5", "0.5 0.5 0.5 T maybe T"),
        "refused",
        "three flags",
    ),
    Case("CONTCAR", POSCAR + "\n" + "0 0 0\n" * 2, "good"),
    Case("POSCAR_potcar_names", POSCAR.replace("Na Cl", "Na_pv Cl/abc123"), "good"),
    Case("POSCAR_is_cif", NACL, "refused", "needs"),
)
