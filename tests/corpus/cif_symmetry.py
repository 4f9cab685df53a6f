"""CIF: symmetry operations and space groups."""

from corpus.case import CELL, FIRST, Case, cif, instead, ops
from corpus.cif_settings import BADDELEYITE, SILICON, SPINEL, said, text_of

_GAMMA = CELL.replace("gamma 90", "gamma 101")
_RHOMBIC = CELL.replace(" 90", " 57.2")
_ONE = FIRST.replace("0 0 0", ".11 .22 .33") + "\n"

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
    Case(
        "magnetic_bilbao.mcif",
        cif(symmetry="loop_\n_space_group_symop.magn_id\n_space_group_symop.magn_operation_xyz\n1 x,y,z,+1\n"),
        "refused",
        "magnetic",
    ),
    Case(
        "superspace_only.cif",
        cif(symmetry="loop_\n_space_group_symop_ssg_operation_algebraic\nx1,x2,x3,x4\n-x1,-x2,-x3,-x4\n"),
        "refused",
        "superspace",
    ),
    Case(
        "cell_gamma_list.cif", cif(cell=_GAMMA, symmetry=said(ops="P 1 21/c 1"), rows=_ONE), "refused", "does not fit"
    ),
    Case(
        "cell_gamma_name.cif", cif(cell=_GAMMA, symmetry=said("P 21/c"), rows=_ONE), "refused", "does not fit the cell"
    ),
    Case("cell_gamma_number.cif", cif(cell=_GAMMA, symmetry=said(number=14), rows=_ONE), "refused", "name one"),
    Case("cell_of_three.cif", cif(cell=_RHOMBIC, symmetry=said(ops="R -3 m:H"), rows=_ONE), "refused", "does not fit"),
    Case("cell_of_three_name.cif", cif(cell=_RHOMBIC, symmetry=said("R -3 m H"), rows=_ONE), "refused", "does not fit"),
    Case("cell_not_cubic.cif", cif(cell=_GAMMA, symmetry=said(number=225), rows=FIRST), "refused", "does not fit"),
    Case("group_typing_error.cif", cif(symmetry=said("P 21/q", number=14)), "refused", "'P 21/q' not understood"),
    Case("group_not_tabulated.cif", cif(symmetry=said("B 21/n", number=14)), "refused", "'B 21/n' not understood"),
    Case("group_against_number.cif", cif(symmetry=said("P 21/n", number=15)), "refused", "contradict each other"),
    Case("group_number_behind_wrong.cif", cif(symmetry=said("Pnma (63)")), "refused", "unknown space group"),
    Case("group_against_code.cif", cif(symmetry=said("P 1 21/c 1", code="b2")), "refused", "no setting of the code"),
    Case("group_code_unknown.cif", text_of(SPINEL, said("F d -3 m:2", code="7")), "warned", "code of the setting '7'"),
    Case("origin_unsaid.cif", text_of(SILICON, said("F d -3 m")), "warned", "does not say which"),
    Case("origin_wrong.cif", text_of(SPINEL, said("F d -3 m:1"), formula=True), "refused", "formula says 'Al2 Mg O4'"),
    Case("list_of_other_group.cif", text_of(BADDELEYITE, said("P 2/c", ops="P 1 21/c 1")), "warned", "not of 'P 2/c'"),
    Case("list_lacks_centring.cif", text_of(SPINEL, ops("x,y,z"), z=True, formula=True), "refused", "formula says"),
    Case("hall_against_name.cif", text_of(BADDELEYITE, said("P 21/n", hall="-P 2ybc")), "warned", "not of 'P 21/n'"),
    Case("hall_and_number.cif", cif(symmetry=said(hall="Q 9", number=225)), "refused", "unknown space group 'Q 9'"),
)
