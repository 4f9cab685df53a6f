"""CIF: cells."""

from corpus.case import CELL, FIRST, Case, cif

CASES = (
    Case(
        "tiny_cell.cif",
        cif(cell=CELL.replace("5.64", "0.15"), rows=FIRST),
        "refused",
        "shortest image distance is 0.15",
    ),
    Case(
        "needle_cell.cif",
        cif(cell=CELL.replace("5.64", "0.4", 2).replace("0.4", "900", 1), rows=FIRST),
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
    Case("angle_zero.cif", cif(cell=CELL.replace("gamma 90", "gamma 0")), "refused", "_cell_angle_gamma is 0"),
    Case("angle_180.cif", cif(cell=CELL.replace("gamma 90", "gamma 180")), "refused", "_cell_angle_gamma is 180"),
    Case("angle_negative.cif", cif(cell=CELL.replace("gamma 90", "gamma -90")), "refused", "_cell_angle_gamma is -90"),
    Case("angle_radian.cif", cif(cell=CELL.replace(" 90", " 1.5708")), "refused", "cell volume"),
    Case("length_word.cif", cif(cell=CELL.replace("_a 5.64", "_a five")), "refused", "_cell_length_a is five"),
    Case("length_comma.cif", cif(cell=CELL.replace("_a 5.64", "_a 5,64")), "refused", "_cell_length_a is 5,64"),
    Case("length_nan.cif", cif(cell=CELL.replace("_a 5.64", "_a nan")), "refused", "_cell_length_a is"),
    Case("length_in_nm.cif", cif(cell=CELL.replace("5.64", "0.564")), "refused", "shortest image distance"),
    Case("volume_other.cif", cif(cell=CELL + "_cell_volume 300\n"), "warned", "volume"),
)
