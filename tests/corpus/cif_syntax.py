"""CIF: what is wrong with the syntax."""

from corpus.case import NACL, P1, Case, cif, instead

CASES = (
    Case("truncated.cif", NACL[:-22], "refused", "loop incomplete"),
    Case(
        "truncated_between_rows.cif",
        instead(P1, "_chemical_formula_sum 'Na4 Cl4'\n" + P1).removesuffix("Cl4 Cl 0 0 0.5 1\n"),
        "warned",
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
)
