"""A CIF text cut into blocks: what is read of it does not depend on what is broken beside it."""

import random

import numpy as np
import pytest
from corpus import NACL
from gemmi import cif

from crystalcli.nouns.structures.cif import from_text
from crystalcli.nouns.structures.cif_blocks import blocks, cut
from crystalcli.nouns.structures.cif_faults import explain
from crystalcli.vocabulary.errors import InputError

BROKEN = {
    "loop": "data_b\nloop_\n_a\n_b\n1 2\n3\n",
    "words": "data_b\n_a two words\n",
    "quote": "data_b\n_a 'never\n",
    "text": "data_b\n_a\n;never\n",
    "frame": "data_b\nsave_x\n_a 1\n",
    "value": "data_b\n_a\n_b 1\n",
    "twice": "data_b\n_a 1\n_a 2\n",
    "list": "data_b\n_a [1 2]\n",
    "control": "data_b\n_a \x01\n",
}
WHOLE = {
    "text": "data_t\n_a\n;\ndata_no _x\nloop_\n;\n",
    "frame": "data_f\nsave_x\n_a 1\nsave_\n",
    "comment": "data_c # data_no\n#data_no\n_a 1\n",
    "quotes": "data_q\n_a 'data_no'\n_b \"x data_no\"\n",
    "loop": "data_l\nloop_\n_a\n_b\n1 'x y'\n;\n;\n2\n",
}


@pytest.mark.parametrize("seed", range(12))
def test_good_blocks_are_read_whatever_is_broken_beside_them(seed: int) -> None:
    """Pieces in any order, six of them good: the atoms are those of the good ones alone."""
    rng = random.Random(seed)
    good = [NACL.replace("data_NaCl", f"data_g{k}").replace("5.64", f"5.{k}4") for k in range(3)]
    pieces = [*good, *rng.sample(sorted(BROKEN.values()), 3), *rng.sample(sorted(WHOLE.values()), 3)]
    rng.shuffle(pieces)
    found = blocks("".join(pieces))
    names = [b.name for b in found.found if isinstance(b, cif.Block)]
    assert names == [p.split()[0][5:] for p in pieces if p in good]
    assert len(found.warnings) == 3 or BROKEN["text"] in pieces  # which opens fields where others close
    assert all("line" in w for w in found.warnings)


def test_cutting_loses_nothing_and_counts_lines() -> None:
    text = "# head\n" + "".join([*WHOLE.values(), *BROKEN.values(), NACL])
    pieces = cut(text)
    assert "".join(piece for _, piece in pieces) == text
    for before, piece in pieces:
        assert text.splitlines()[before] == piece.splitlines()[0]
    assert [p.split()[0] for _, p in pieces[1:6]] == ["data_t", "data_f", "data_c", "data_q", "data_l"]
    assert pieces[-1][1] == NACL


@pytest.mark.parametrize("name", BROKEN)
def test_the_line_is_the_one_at_fault(name: str) -> None:
    at_fault = {"loop": 6, "text": 3, "frame": 4, "twice": 3}.get(name, 2)
    with pytest.raises(InputError) as alone:
        blocks(BROKEN[name])
    assert alone.value.line == at_fault
    (warning,) = blocks(NACL + BROKEN[name]).warnings
    assert f"line {at_fault + NACL.count(chr(10))}: " in warning
    words = alone.value.reason
    assert not any(gemmis in words for gemmis in ("parse error", "string:", "Wrong number", "expected"))


def test_a_block_with_atoms_that_is_broken_is_an_error_among_others() -> None:
    bad = NACL.replace("data_NaCl", "data_b").replace("Na3 Na", "Na 3 Na")
    first, second = blocks(bad + NACL).found
    assert isinstance(first, InputError)
    assert first.line == 1 + bad.splitlines().index("Na 3 Na 0.5 0 0.5 1")
    assert isinstance(second, cif.Block)
    with pytest.raises(InputError, match="2 structures"):
        from_text(bad + NACL)


def test_blocks_of_one_name_are_kept_apart() -> None:
    found = blocks(NACL * 3 + NACL.lower().replace("data_nacl", "data_NACL")).found
    assert [b.name for b in found if isinstance(b, cif.Block)] == ["NaCl", "NaCl_2", "NaCl_3", "NACL_4"]


def test_long_lines_and_many_rows_are_explained_at_once() -> None:
    quotes = "data_x\n_a " + "'x" * 200_000 + " \n"
    rows = "data_x\nloop_\n_a\n_b\n" + "1 2\n" * 200_000 + "3\n"
    for text in (quotes, rows):
        with pytest.raises(InputError) as caught:
            blocks(text)
        assert len(caught.value.reason) < 200


def test_unknown_words_of_the_parser_are_still_explained() -> None:
    error = explain("something new", ["data_x", "_a 1"])
    assert error.line == 1
    assert error.reason.startswith("not a CIF: ")


def test_characters_beyond_ascii() -> None:
    plain, _ = from_text(NACL)
    for text in (
        NACL.replace("Na2 Na", "Na2\u00a0Na\u2009"),
        NACL.replace("Na3 Na", "Na\u20303 Na"),
        NACL.replace("data_NaCl", "data_Na\u00dfl\n_a \u00e9\n_b '\u96ea'"),
        "\ufeff" + NACL,
    ):
        atoms, said = from_text(text)
        assert said == ()
        assert np.array_equal(atoms.positions, plain.positions)
        assert atoms.symbols.get_chemical_formula() == "Cl4Na4"
    atoms, _ = from_text(NACL.replace("Na2 Na 0 0.5", "Na2 Na 0 \u22120.5"))
    assert atoms.get_scaled_positions(wrap=False)[1].tolist() == [0, -0.5, 0.5]
