"""Names of space groups as people write them."""

import warnings

import gemmi
import pytest
import spglib
from hypothesis import given
from hypothesis import strategies as st

from crystalcli.nouns.structures.cif_groups import (
    label,
    number_of_schoenflies,
    rows_of_code,
    rows_of_name,
    rows_of_number,
    table,
)

with warnings.catch_warnings():  # of spglib, about its own future
    warnings.simplefilter("ignore")
    TYPES = [spglib.get_spacegroup_type(hall) for hall in range(1, 531)]


def labels(name: str) -> list[str]:
    return [label(k) for k in rows_of_name(name)]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("P2_1/n", "P 1 21/n 1"),
        ("P2(1)/n", "P 1 21/n 1"),
        ("P 2~1~/n", "P 1 21/n 1"),
        ("p 21/N", "P 1 21/n 1"),
        ("P 21/n (14)", "P 1 21/n 1"),
        ("P 21/n [#14]", "P 1 21/n 1"),
        ("P 1 21/n 1 (No. 14)", "P 1 21/n 1"),
        ("P 2(1)", "P 1 21 1"),
        ("P 2 (3)", "P 1 2 1"),
        ("P4(3)", "P 43"),
        ("P 6(3)/m", "P 63/m"),
        ("P2(1)2(1)2(1)", "P 21 21 21"),
        ("P 31 2 1", "P 31 2 1"),
        ("P3121", "P 31 2 1"),
        ("P 3 21", "P 3 2 1"),
        ("I4(1)/amdZ", "I 41/a m d:2"),
        ("I 41/a m d :S", "I 41/a m d:1"),
        ("Fd3mS", "F d -3 m:1"),
        ("F d -3 m:O2", "F d -3 m:2"),
        ("F 41/d -3 2/m (origin at 2)", "F d -3 m:2"),
        ("R -3 m HR", "R -3 m:H"),
        ("R -3 m (rhombohedral axes)", "R -3 m:R"),
        ("R3(hex)", "R 3:H"),
        ("H 3 2", "R 3 2:H"),
        ("P n c b:2cab", "P n c b:2"),
        ("P -3 1 2/m", "P -3 1 m"),
        ("P 4/n 21/m m S", "P 4/n m m:1"),
        ("P 63/m 2/m 2/c", "P 63/m m c"),
        ("C 2/m 2/c 21/m", "C m c m"),
        ("A e a 2", "A b a 2"),
        ("Ia3d", "I a -3 d"),
    ],
)
def test_names_are_understood(name: str, meant: str) -> None:
    assert labels(name)[0] == meant


@pytest.mark.parametrize(
    "name", ["P 21/q", "B 21/n", "Pnma (61)", "P 21/c:b2", "F d -3 m:3", "R", "S", "P", "", "(14)", ":2"]
)
def test_others_are_not(name: str) -> None:
    assert rows_of_name(name) == ()


def test_two_origins_are_left_open() -> None:
    assert labels("F d -3 m") == ["F d -3 m:1", "F d -3 m:2"]
    assert labels("P 4/n") == ["P 4/n:1", "P 4/n:2"]
    assert labels("R 3 c") == ["R 3 c:H", "R 3 c:R"]


def test_no_two_groups_share_a_name() -> None:
    for group in gemmi.spacegroup_table():
        if "a)" not in group.hm:
            assert {table()[k].number for k in rows_of_name(group.hm)} == {group.number}, group.hm


def test_all_names_of_spglib() -> None:
    """Short, full and extended symbols of all 530 settings, and its names for the choices, mean the same group."""
    for kind in TYPES:
        for name in (kind.international_short, kind.international_full, kind.international):
            assert kind.number in {table()[k].number for k in rows_of_name(name)}, name
        if kind.choice:
            assert rows_of_code(rows_of_number(kind.number), kind.choice), (kind.number, kind.choice)


def test_schoenflies_symbols_of_spglib() -> None:
    for kind in TYPES:
        for text in (
            kind.schoenflies,
            kind.schoenflies.replace("^", "-"),
            f"${kind.schoenflies.replace('^', '^{')}}}$",
        ):
            assert number_of_schoenflies(text) == kind.number, text
    assert [number_of_schoenflies(t) for t in ("D_2h^16", "S6^2", "Oh^11", "P 21/c", "C2", "D2h^0")] == [
        62, 148, None, None, None, None,
    ]  # fmt: skip


@given(st.text(alphabet="PCFRABIH 123456/-abcdemn:()_#SZhr=.", max_size=20))
def test_any_text_has_an_answer(name: str) -> None:
    assert all(0 <= k < len(table()) for k in rows_of_name(name))
