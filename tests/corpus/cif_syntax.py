"""CIF: what is wrong with the syntax."""

from corpus.case import LOOP, NACL, P1, ROWS, Case, cif, instead

CASES = (
    Case("truncated.cif", NACL[:-22], "refused", "loop incomplete"),
    Case(
        "truncated_between_rows.cif",
        instead(P1, "_chemical_formula_sum 'Na4 Cl4'\n" + P1).removesuffix("Cl4 Cl 0 0 0.5 1\n"),
        "refused",
        "formula",
    ),
    Case("zero_rows.cif", cif(rows=""), "refused", "no rows"),
    Case("no_atom_loop.cif", cif(loop="", rows=""), "refused", "no atom loop"),
    Case("no_cell.cif", cif(cell=""), "refused", "_cell_length_a is missing"),
    Case("unterminated_text.cif", NACL + "_note\n;never closed\n", "refused", "unterminated"),
    Case(
        "duplicate_tag.cif", instead("_cell_length_b", "_cell_length_a 3\n_cell_length_b"), "refused", "duplicate tag"
    ),
    Case("mmcif.cif", "data_1ABC\n_cell.length_a 10\nloop_\n_atom_site.Cartn_x\n1.0\n", "refused", "mmCIF"),
    Case("two_blocks.cif", NACL + NACL.replace("data_NaCl", "data_other"), "good", structures=2),
    Case("same_block_twice.cif", NACL + NACL, "good", structures=2),
    Case(
        "long_token.cif", instead("data_NaCl\n", "data_NaCl\n_note " + "x" * 3_000_000 + "\n"), "good", like_nacl=True
    ),
    Case("quote_storm.cif", instead("data_NaCl\n", 'data_NaCl\n_note "' + "' " * 100_000 + '"\n'), "good"),
    Case("no_name.cif", instead("data_NaCl", "data_"), "good", like_nacl=True),
    Case("row_too_short.cif", instead("Na3 Na 0.5 0 0.5 1\n", "Na3 Na 0.5 0 0.5\n"), "refused", "loop incomplete"),
    Case("row_too_long.cif", instead("Na3 Na 0.5 0 0.5 1\n", "Na3 Na 0.5 0 0.5 1 1\n"), "refused", "loop incomplete"),
    Case("stray_word.cif", instead("data_NaCl\n", "data_NaCl\nstray\n"), "refused", "not a CIF"),
    Case("tag_without_value.cif", instead("_cell_length_a 5.64", "_cell_length_a"), "refused", "_cell_length_a"),
    Case(
        "loop_without_tags.cif", instead("loop_\n_symmetry", "loop_\n1 2 3\nloop_\n_symmetry"), "refused", "not a CIF"
    ),
    Case("two_atom_loops.cif", NACL + LOOP + ROWS, "refused", "duplicate tag"),
    Case("open_quote.cif", instead("data_NaCl\n", "data_NaCl\n_note 'never closed\n"), "refused", "unterminated"),
    Case("values_before_data.cif", "_cell_length_a 5.64\n" + NACL, "refused", "no data block"),
    Case("dictionary.cif", "data_d\nsave_cell\n_item.name '_cell.length_a'\nsave_\n", "refused", "no atom loop"),
    Case(
        "second_block_bad.cif",
        NACL + instead("data_NaCl", "data_b").replace("Na1 Na 0", "Na1 Na x"),
        "refused",
        "x of Na1",
    ),
    Case("many_tags.cif", instead("data_NaCl\n", "data_NaCl\n" + "".join(f"_t{k} 1\n" for k in range(50_000))), "good"),
)
