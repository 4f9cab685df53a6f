"""Which encoding a text that is read line by line has."""

import pytest

from crystalcli.nouns.structures.text import text_lines


@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize("behind", range(9))
def test_a_letter_of_several_bytes_near_the_end_of_a_short_text_is_utf_8(tmp_path, before, behind):
    text = f"{'x' * before}−{'y' * behind}"
    path = tmp_path / "a"
    path.write_text(text, encoding="utf-8")
    assert list(text_lines(path)) == [text]


@pytest.mark.parametrize("before", range(4090, 4098))
def test_a_letter_that_the_sniffed_part_cuts_in_two_is_no_fault(tmp_path, before):
    text = f"{'x' * before}−and more"
    path = tmp_path / "a"
    path.write_text(text, encoding="utf-8")
    assert list(text_lines(path)) == [text]


def test_latin_1_is_told_by_the_first_lines(tmp_path):
    path = tmp_path / "a"
    path.write_bytes("caf\xe9".encode("latin-1"))
    assert list(text_lines(path)) == ["caf\xe9"]
