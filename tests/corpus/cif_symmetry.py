"""CIF: symmetry operations and space groups."""

from corpus.case import FIRST, Case, cif, instead, ops

CASES = (
    Case("no_symmetry.cif", cif(symmetry=""), "warned", "no symmetry"),
    Case("symmetry_conflict.cif", instead("'P 1'", "'F m -3 m'"), "warned", "the list counts"),
    Case("unknown_group.cif", cif(symmetry="_symmetry_space_group_name_H-M 'Q 9'\n"), "refused", "unknown space group"),
    Case(
        "group_name_only.cif",
        cif(symmetry="_symmetry_space_group_name_H-M 'F m -3 m'\n", rows=FIRST + "\nCl1 Cl .5 .5 .5 1\n"),
        "good",
    ),
    Case("symop_two_parts.cif", cif(symmetry=ops("x, y")), "refused", "bad symmetry operation"),
    Case("symop_no_identity.cif", cif(symmetry=ops("-x,-y,-z")), "refused", "no identity"),
    Case("symop_singular.cif", cif(symmetry=ops("x,y,z", "x,x,z")), "refused", "bad symmetry operation"),
    Case("symop_injection.cif", cif(symmetry=ops("x,y,z", "__import__(os).mkdir(0),y,z")), "refused", "bad symmetry"),
    Case(
        "magn_transform_injection.cif",
        cif(
            symmetry="loop_\n_space_group_symop_magn_operation.xyz\n'x,y,z,+1'\n"
            '_parent_space_group.child_transform_Pp_abc "a,b,().__class__"\n'
        ),
        "refused",
        "",
    ),
    Case("symop_bomb.cif", cif(symmetry=ops(*(f"x+{k}/24,y,z" for k in range(20_000)))), "refused", "> 192"),
)
