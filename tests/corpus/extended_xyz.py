"""Extended XYZ."""

from corpus.case import XYZ, Case

CASES = (
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
)
