"""CIF: a good block among broken, empty and strange ones, in strange encodings."""

from corpus.case import NACL, Case

LOOP = "loop_\n_atom_site_label\n_atom_site_type_symbol\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n"
OTHER = NACL.replace("data_NaCl", "data_other")


def after(text: str) -> str:
    """The good block and something more in it."""
    return NACL + text


CASES = (
    Case(
        "pattern_broken.cif",
        NACL + "data_p\nloop_\n_a\n_b\n1 2\n3\n",
        "warned",
        "1 values in this line",
        like_nacl=True,
    ),
    Case(
        "words_before.cif",
        "data_a\n_how by some program\n" + NACL,
        "warned",
        "line 2: the value of _how",
        like_nacl=True,
    ),
    Case("quote_before.cif", "data_a\n_note 'never\n" + NACL, "warned", "unterminated quotes", like_nacl=True),
    Case("text_before.cif", "data_a\n_note\n;never\n" + NACL, "warned", "no partner", like_nacl=True),
    Case("text_after.cif", NACL + "data_a\n_note\n;never\n", "warned", "line 29", like_nacl=True),
    Case("frame_before.cif", "data_a\nsave_f\n_b 1\n" + NACL, "warned", "frame is not closed", like_nacl=True),
    Case("letter_before.cif", "Dear Sir\n" + NACL, "warned", "begins with 'Dear Sir'", like_nacl=True),
    Case("block_with_blank.cif", "data_a b\n_c 1\n" + NACL, "warned", "the name of a block", like_nacl=True),
    Case("list_before.cif", "data_a\n_c [1 2]\n" + NACL, "warned", "CIF 2", like_nacl=True),
    Case("triple_quotes_before.cif", "data_a\n_c '''1\n2'''\n" + NACL, "warned", "CIF 2", like_nacl=True),
    Case("broken_and_twice.cif", NACL + "data_a\n_b 1 2\n" + NACL, "warned", "line 28", structures=2),
    Case(
        "atoms_broken.cif", NACL + OTHER.replace("Na2 Na", "Na 2 Na"), "refused", "7 values in this line for 6 columns"
    ),
    Case("header_in_text.cif", "data_a\n_b\n;\ndata_no\n;\n_c 1 2\n" + NACL, "warned", "line 6", like_nacl=True),
    Case("global.cif", "global_\n_b 1\n" + NACL, "good", like_nacl=True),
    Case("frames.cif", after("save_f\n_b 1\nsave_\n"), "good", like_nacl=True, oracle="gemmi"),
    Case("placeholder.cif", NACL + "data_t\n" + LOOP + "? ? ? ? ?\n", "warned", "data_t has no atoms", like_nacl=True),
    Case("placeholders.cif", "data_t\n" + LOOP + ". . . . .\n? ? ? ? ?\n" + NACL, "warned", "no atoms", like_nacl=True),
    Case("placeholder_alone.cif", "data_t\n" + LOOP + "? ? ? ? ?\n", "refused", "has no atoms"),
    Case("placeholder_row.cif", after("").replace("Na2 Na 0 0.5 0.5 1", "? ? ? ? ? ?"), "refused", "x of row 2"),
    Case("dos_end.cif", (after("\x1a")).replace("\n", "\r\n"), "good", like_nacl=True),
    Case("dos_end_padded.cif", after("\x1a\0\0\0\r\n\x1a").encode(), "good", like_nacl=True),
    Case("dos_end_inside.cif", NACL.replace("Na3", "\x1aNa3"), "refused", r"a control character (b'\x1a')"),
    Case("old_macintosh.cif", NACL.replace("\n", "\r"), "good", like_nacl=True, oracle="gemmi"),
    Case("two_marks.cif", "\ufeff" + NACL + "\ufeff" + OTHER, "good", structures=2),
    Case("hard_blanks.cif", NACL.replace("Na2 Na", "Na2\u00a0Na"), "good", like_nacl=True),
    Case("minus_sign.cif", NACL.replace("Na2 Na 0 0.5", "Na2 Na 0 \u22120.5"), "good", formula="Cl4Na4"),
    Case("latin_1.cif", NACL.replace("data_NaCl", "data_NaCl\n_a Li\xe8ge").encode("latin-1"), "good", like_nacl=True),
    Case("utf_16.cif", NACL.encode("utf-16"), "good", like_nacl=True),
    Case("operations_without_quotes.cif", NACL.replace("'x, y, z'", "x, y, z"), "refused", "quotes are missing"),
    Case("value_with_dollar.cif", after("_a $b\n"), "refused", "may not begin with '$'"),
    Case("value_underscored.cif", after("_a _b\n"), "refused", "_a has no value, or one that begins with '_'"),
    Case("value_reserved.cif", after("_a data_b\n"), "refused", "begins with 'data_'; quote it"),
    Case("value_nowhere.cif", after("_a\n_b 1\n"), "refused", "_a has no value"),
    Case("columns_without_values.cif", after("loop_\n_a\n_b\n_c 1\n"), "refused", "names of columns and no values"),
    Case("header_capitals.cif", NACL.replace("data_", "DATA_").replace("loop_", "Loop_"), "good", like_nacl=True),
    Case(
        "all_in_few_lines.cif",
        NACL.replace("_cell_length_b", " _cell_length_b").replace("5.64\n", "5.64 "),
        "good",
        like_nacl=True,
    ),
)
