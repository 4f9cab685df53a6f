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
    Case("symop_bad_letter.cif", cif(symmetry=ops("x,y,z", "x,y,w")), "refused", "bad symmetry operation"),
    Case("symop_half_x.cif", cif(symmetry=ops("x,y,z", "x/2,y,z")), "refused", "bad symmetry operation"),
    Case("symop_huge_shift.cif", cif(symmetry=ops("x,y,z", "x+1e300,y,z")), "refused", "bad symmetry operation"),
    Case("symop_zero_division.cif", cif(symmetry=ops("x,y,z", "x+1/0,y,z")), "refused", "bad symmetry operation"),
    Case("symop_empty.cif", cif(symmetry=ops("")), "refused", "bad symmetry operation"),
    Case(
        "symop_no_group.cif",
        cif(symmetry=ops("x,y,z", "-y,x,z"), rows="Na1 Na .1 .2 .3 1\n"),
        "refused",
        "make no group",
    ),
    Case("symop_twice.cif", cif(symmetry=ops("x,y,z", "x,y,z")), "good"),
    Case(
        "group_number_only.cif",
        cif(symmetry="_space_group_IT_number 225\n", rows=f"{FIRST}\nCl1 Cl .5 .5 .5 1\n"),
        "warned",
        "standard setting of group 225",
    ),
    Case("group_number_999.cif", cif(symmetry="_space_group_IT_number 999\n"), "refused", "unknown space group"),
    Case("hall_unknown.cif", cif(symmetry="_space_group_name_Hall 'Q 9 9'\n"), "refused", "unknown space group"),
    Case(
        "magnetic.mcif", cif(symmetry="loop_\n_space_group_symop_magn_operation.xyz\nx,y,z,+1\n"), "refused", "magnetic"
    ),
)
