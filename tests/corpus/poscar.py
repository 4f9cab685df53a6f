"""POSCAR."""

from corpus.case import POSCAR, Case

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
)
