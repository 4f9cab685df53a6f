"""One rule for words of strangers: nothing steers a terminal, a spreadsheet, or the way to a file."""

import json
import sys
import unicodedata

import pytest

from crystalcli.vocabulary.display import shorter
from crystalcli.vocabulary.errors import one_line
from crystalcli.vocabulary.tables import csv_text, json_line
from crystalcli.vocabulary.texts import apart, cell, file_word, inert, json_inert, some, xyz_word

STEERING = [
    *map(chr, range(0x20)),
    *map(chr, range(0x7F, 0xA0)),
    *map(chr, range(0x202A, 0x202F)),
    *map(chr, range(0x2066, 0x206A)),
    *"\u200b\u200e\u2028\u2029\ufeff\u061c\U000e0041",
    "\udc9b",
]


@pytest.mark.parametrize("character", STEERING, ids=lambda c: f"{ord(c):04x}")
def test_what_steers_is_escaped_everywhere(character: str) -> None:
    text = f"a{character}b"
    for shown in (inert(text), cell(text), one_line(text), file_word(text)):
        assert shown.isprintable()
        assert character not in shown
    assert inert(text).encode().decode("unicode_escape") == text
    line = json_line({text: [text]})
    assert line[:-1].isprintable()
    assert json.loads(line) == {text: [text]}
    assert csv_text([text], [[text], ["c"]]).splitlines() == [inert(text), inert(text), "c"]


def test_whatever_a_person_can_see_stays_as_it_is() -> None:
    seen = "".join(
        c for c in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(c)[0] in "LMNPS" or c in " \xa0\u3000"
    )
    assert inert(seen) == seen
    assert json_inert(seen) == seen


@pytest.mark.parametrize("start", "=+-@＝＋－＠")
def test_formulas_are_words(start: str) -> None:
    for rest in ("cmd|' /C calc'!A0", "SUM(1)", "1+1", "a", "", "1,2"):
        assert cell(start + rest) == f"'{start}{rest}"
    assert cell(f"a{start}1") == f"a{start}1"


@pytest.mark.parametrize("number", ["-1", "+1", "-1.5e-7", "+.5", "-inf", "-nan", "1", ""])
def test_numbers_keep_their_sign(number: str) -> None:
    assert cell(number) == number
    assert csv_text(["n", "m"], [[number, -1.5]]) == f"n,m\n{number},-1.5\n"


def test_a_row_is_as_long_as_its_head() -> None:
    with pytest.raises(ValueError, match="1 cells below 2 columns"):
        csv_text(["n", "m"], [[1.0, 2.0], [3.0]])


def test_names_of_files_lead_nowhere() -> None:
    for name in ("../../etc/x", "a/b", "c:\\d", "nul\0", "e\nf", "x" * 999, "鉄" * 99):
        made = file_word(name)
        assert len(made.encode()) <= 100
        assert not set(made) & set("/\\:\0\n")
    assert file_word("energy_per_atom") == "energy_per_atom"
    assert file_word("Δ E (eV)") == "Δ E (eV)"


def test_backslashes_survive_extended_xyz() -> None:
    assert xyz_word("a\\b\n") == "a\\\\b\\\\n"


def test_the_first_of_many_and_how_many_more() -> None:
    assert some(["a", "b", "c"], 2) == "a, b and 1 more"
    assert some(["a", "b", "c"], 3) == some(("a", "b", "c"), 9) == "a, b, c"
    assert some([], 2) == ""


def test_names_of_files_stay_apart_where_a_disk_knows_no_case() -> None:
    assert list(apart(["Cu", "cu", "Ag", "CU"])) == ["Cu", "cu-2", "Ag", "CU-3"]


def test_numbers_with_a_point_are_shortened() -> None:
    assert [shorter(x, 4) for x in ("1.23456", "123456", "-0.000123456", "a.b", "")] == [
        "1.235",
        "123456",
        "-0.0001235",
        "a.b",
        "",
    ]
