"""Labels: how they are asked for, chosen, scaled and audited; nothing lost silently, nothing taken as zero."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from crystalcli.engine.labels.labelled import Labelled
from crystalcli.engine.labels.labels import LabelRequest, candidates, choose, columns, parse
from crystalcli.vocabulary.errors import Exit, UsageError
from crystalcli.vocabulary.quantities import Quantity

EV = {"energy": Quantity("energy", "eV", extensive=True)}


def labelled(
    rows: list[Mapping[str, Any]], counts: list[int] | None = None, known: Mapping[str, Quantity] | None = None
) -> list[Labelled]:
    counts = counts or [2] * len(rows)
    return [
        Labelled(f"s{k}", f"f.csv:{k + 2}", n, row, {}, known or {})
        for k, (row, n) in enumerate(zip(rows, counts, strict=True))
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("energy", ("energy", "energy", "", "")),
        ("energy/atom", ("energy", "energy_per_atom", "/atom", "")),
        ("energy/atom:eV", ("energy", "energy_per_atom", "/atom", "eV")),
        ("e=energy:eV", ("energy", "e", "", "eV")),
        ("h*atoms", ("h", "h_total", "*atoms", "")),
        ("gap:eV/atom", ("gap", "gap", "", "eV/atom")),
        ("E (eV/atom)", ("E (eV/atom)", "E (eV_atom)", "", "")),
    ],
)
def test_syntax(text: str, expected: tuple[str, ...]) -> None:
    r = LabelRequest.parse(text)
    assert (r.key, r.name, r.scaling, r.unit) == expected


def test_parse_of_several() -> None:
    assert [r.name for r in parse(["a,b/atom", "c"]) or ()] == ["a", "b_per_atom", "c"]
    assert parse([]) == ()
    assert parse(["none"]) is None
    with pytest.raises(UsageError, match="twice"):
        parse(["a,a"])


def test_a_comma_in_a_name_is_written_with_a_backslash() -> None:
    (request,) = parse(["a\\,b"])
    assert (request.key, request.name) == ("a,b", "a,b")
    assert [r.key for r in parse(["x,a\\,b:eV,y"])] == ["x", "a,b", "y"]
    assert choose({"a,b": 3, "c": 3}, parse(["a\\,b"]))[0].key == "a,b"
    for asked in ("a,b", "a, b"):
        with pytest.raises(UsageError, match=r"the comma of 'a,b' parts two targets; write it 'a\\,b'"):
            choose({"a,b": 3, "c": 3}, parse([asked]))
    with pytest.raises(UsageError, match="no structure has a label 'a'"):
        choose({"a,b": 3, "c": 3}, parse(["a"]))


def test_choice() -> None:
    assert choose({}, ()) == ()
    assert choose({"a": 3}, None) == ()
    assert choose({"U_iso_or_equiv": 3, "oxidation_number": 2}, ()) == ()
    assert [r.key for r in choose({"a": 3, "U_iso_or_equiv": 3}, ())] == ["a"]
    assert [r.key for r in choose({"a": 3, "U_iso_or_equiv": 3}, parse(["U_iso_or_equiv"]))] == ["U_iso_or_equiv"]
    assert [r.key for r in choose({"a": 3}, ())] == ["a"]
    assert [r.key for r in choose({"a": 3, "target": 1}, ())] == ["target"]
    with pytest.raises(UsageError, match=r"several labels: a \(3\), b \(2\)") as several:
        choose({"b": 2, "a": 3}, ())
    assert several.value.exit_code == Exit.USAGE
    with pytest.raises(UsageError, match=r"no structure has a label 'engery' \(did you mean 'energy'\?\)"):
        choose({"energy": 3, "gap": 3}, (LabelRequest.parse("engery"),))
    with pytest.raises(UsageError, match="none at all"):
        choose({}, (LabelRequest.parse("gap"),))


def test_a_key_with_our_signs_in_it_is_found_as_it_stands() -> None:
    (column,), _ = columns(labelled([{"e/atom": 1.0}, {"e/atom": 2.0}], [2, 4]), parse(["e/atom"]))
    assert column.values.tolist() == [1, 2]
    assert "/" not in column.quantity.name


def test_scaling_and_units() -> None:
    entries = labelled([{"energy": -4.0}, {"energy": -8.4}], [2, 4], EV)
    (total,), _ = columns(entries, parse(["energy"]))
    assert total.quantity == Quantity("energy", "eV", "structure", extensive=True)
    (each,), _ = columns(entries, parse(["energy/atom"]))
    assert each.quantity == Quantity("energy_per_atom", "eV/atom", "structure", extensive=False)
    assert each.values.tolist() == [-2.0, -2.1]
    (back,), _ = columns(labelled([{"h": -2.0}, {"h": -1.0}], [2, 4]), parse(["h*atoms:eV/atom"]))
    assert back.values.tolist() == [-4.0, -4.0]
    assert (back.quantity.unit, back.quantity.extensive) == ("eV", True)
    (other,), audit = columns(entries, parse(["energy:meV"]))
    assert other.quantity.unit == "eV"  # said to be meV, and made ours
    assert other.values.tolist() == pytest.approx([-4e-3, -8.4e-3])
    assert "is in eV by its format; taken as meV, as asked" in audit.warnings[0]


def test_missing_is_masked_and_said() -> None:
    entries = labelled([{"a": 1.0}, {}, {"a": float("nan")}, {"a": 0.0}])
    (column,), audit = columns(entries, parse(["a"]))
    assert column.mask.tolist() == [True, False, False, True]
    assert np.isnan(column.values[[1, 2]]).all()
    assert "2 of 4 structures" in audit.lines[0]
    assert any("1 structures have none (f.csv:3)" in w for w in audit.warnings)
    assert any("not finite (f.csv:4)" in w for w in audit.warnings)


def test_text_among_numbers_is_refused_with_its_line() -> None:
    entries = labelled([{"a": 1.0}, {}])
    entries[1] = Labelled("s1", "f.csv:3", 2, {}, {"a": "n.d."})
    with pytest.raises(UsageError, match=r"f\.csv:3: label 'a' is 'n\.d\.', not a number"):
        columns(entries, parse(["a"]))


def test_no_finite_value_is_refused() -> None:
    with pytest.raises(UsageError, match="no finite value"):
        columns(labelled([{"a": float("nan")}]), parse(["a"]))


def test_site_labels() -> None:
    known = {"q": Quantity("q", "e", "site")}
    entries = labelled([{"q": np.array([1.0, -1.0])}, {}, {"q": np.array([np.nan, 2.0, 3.0])}], [2, 1, 3], known)
    (column,), audit = columns(entries, parse(["q"]))
    assert column.quantity.level == "site"
    assert column.mask.tolist() == [True, True, False, False, True, True]
    assert np.nansum(column.values) == 5
    assert "4 of 6 atoms" in audit.lines[0]
    assert len(audit.warnings) == 2
    entries = labelled([{"q": np.array([1.0, np.inf])}, {"q": np.array([2.0])}], [2, 1], known)
    (column,), audit = columns(entries, parse(["q"]))
    assert column.mask.tolist() == [True, False, True]
    assert "infinite on some atoms in 1 (" in audit.warnings[0]
    with pytest.raises(UsageError, match="no finite value on any atom"):
        columns(labelled([{"q": np.array([np.nan])}, {}], [1, 1], known), parse(["q"]))
    entries = labelled([{"q": np.array([1.0, -1.0])}, {}], [2, 1], known)
    with pytest.raises(UsageError, match="one per atom already"):
        columns(entries, parse(["q/atom"]))
    with pytest.raises(UsageError, match=r"2 values for 5 atoms"):
        columns(labelled([{"q": np.array([1.0, -1.0])}], [5], known), parse(["q"]))
    vectors = labelled([{"f": np.ones((2, 3))}, {"f": np.ones((1, 3))}], [2, 1])
    (forces,), _ = columns(vectors, parse(["f"]))
    assert forces.values.shape == (3, 3)
    assert forces.mask.shape == (3,)


def test_levels_and_units_must_agree() -> None:
    mixed = [
        Labelled("a", "a.xyz:0", 2, {"energy": -3.0}, {}, EV),
        Labelled("b", "b.csv:2", 2, {"energy": -3.0}),
    ]
    with pytest.raises(UsageError, match=r"in eV in a\.xyz:0 and one per structure, unit unknown in b\.csv:2"):
        columns(mixed, parse(["energy"]))


RNG = np.random.default_rng(5)
COUNTS = RNG.integers(2, 60, 200).tolist()
TOTALS = [{"e": -4.0 * n + float(x), "e_per_atom": -4.0 * n} for n, x in zip(COUNTS, RNG.normal(size=200), strict=True)]


def test_a_total_is_recognised() -> None:
    _, audit = columns(labelled(TOTALS, COUNTS), parse(["e"]))
    assert any("looks like a total; 'e/atom' would take it per atom" in w for w in audit.warnings)
    with pytest.raises(UsageError, match="looks like a total, not a value per atom"):
        columns(labelled(TOTALS, COUNTS), parse(["e_per_atom"]))
    (kept,), _ = columns(labelled(TOTALS, COUNTS), parse(["e_per_atom:eV"]))
    assert kept.quantity.unit == "eV"
    _, quiet = columns(labelled(TOTALS, COUNTS), parse(["e/atom"]))
    assert quiet.warnings == ()


def test_a_total_is_not_taken_under_the_name_of_a_value_per_atom() -> None:
    """By the numbers, or by the format alone; and the cure that is named works."""
    with pytest.raises(UsageError, match=r"looks like a total, .*; say --targets e_per_atom=e/atom, or e_per_atom=e:"):
        columns(labelled(TOTALS, COUNTS), parse(["e_per_atom=e"]))
    with pytest.raises(UsageError, match="e_per_atom/atom"):
        columns(labelled(TOTALS, COUNTS), parse(["e_per_atom"]))
    for cure in ("e_per_atom=e/atom", "e_per_atom/atom", "e_per_atom=e:eV"):
        columns(labelled(TOTALS, COUNTS), parse([cure]))
    few = [{"energy": -8.0}, {"energy": -8.1}]
    with pytest.raises(UsageError, match="'energy' is a total by its format, no value per atom; say --targets energy_"):
        columns(labelled(few, [2, 2], EV), parse(["energy_per_atom=energy"]))
    (each,), _ = columns(labelled(few, [2, 2], EV), parse(["energy_per_atom=energy/atom"]))
    assert each.values.tolist() == [-4.0, -4.05]


def test_a_value_per_atom_is_not_taken_under_the_name_of_a_total() -> None:
    """Nor is the wrong cure named: a value per atom becomes a total by ``*atoms``."""
    few = [{"energy_per_atom": -4.0}, {"energy_per_atom": -4.1}]
    with pytest.raises(UsageError, match=r"is a value per atom by its name; --targets energy=energy_per_atom\*atoms"):
        columns(labelled(few, [2, 3]), parse(["energy=energy_per_atom"]))
    (total,), _ = columns(labelled(few, [2, 3]), parse(["energy=energy_per_atom*atoms"]))
    assert total.values.tolist() == [-8.0, pytest.approx(-12.3)]
    (kept,), _ = columns(labelled(few, [2, 3]), parse(["energy=energy_per_atom:eV/atom"]))
    assert (kept.quantity.unit, kept.quantity.extensive) == ("eV/atom", False)
    _, audit = columns(labelled(few, [2, 3]), parse(["energy=energy_per_atom:eV"]))
    assert "taken as a total in eV, as asked" in audit.warnings[0]
    _, audit = columns(labelled(few, [2, 3]), parse(["energy_per_atom/atom"]))
    assert "is a value per atom by its name, and divided" in audit.warnings[0]


def test_how_a_label_comes_from_the_one_that_is_there_is_said() -> None:
    with pytest.raises(UsageError, match=r"no structure has a label 'e_per_atom' \('e/atom' is 'e' per atom\)"):
        choose({"e": 3}, parse(["e_per_atom"]))
    with pytest.raises(UsageError, match=r"label 'e' \('e=e_per_atom\*atoms' is the total of 'e_per_atom'\)"):
        choose({"e_per_atom": 3}, parse(["e"]))


def test_a_value_per_atom_is_not_divided_twice() -> None:
    rows = [{"energy": -4.0 + 0.05 * float(x)} for x in RNG.normal(size=200)]
    with pytest.raises(UsageError, match="looks like a value per atom already"):
        columns(labelled(rows, COUNTS, EV), parse(["energy/atom"]))
    with pytest.raises(UsageError, match=r"--targets energy:UNIT"):
        columns(labelled(rows, COUNTS, EV), parse(["energy"]))
    (column,), audit = columns(labelled(rows, COUNTS, EV), parse(["energy:eV/atom"]))
    assert column.quantity == Quantity("energy", "eV/atom", extensive=False)
    assert len(audit.warnings) == 1


def test_honest_values_raise_no_alarm() -> None:
    rows = [{"h": float(x)} for x in RNG.normal(-1.5, 1.0, size=200)]
    _, audit = columns(labelled(rows, COUNTS), parse(["h"]))
    assert audit.warnings == ()


def test_constant_outlier_and_common_values() -> None:
    _, audit = columns(labelled([{"a": 3.0}] * 20), parse(["a"]))
    assert "all 20 values are 3" in audit.warnings[0]
    rows = [{"a": float(x)} for x in RNG.normal(size=50)]
    rows[7] = {"a": 1e6}
    _, audit = columns(labelled(rows), parse(["a"]))
    assert "f.csv:9 = 1e+06" in audit.warnings[0]
    gaps = [{"a": 0.0}] * 40 + [{"a": float(x)} for x in range(1, 20)]
    _, audit = columns(labelled(gaps), parse(["a"]))
    assert any("occurs 40 times" in w for w in audit.warnings)


def test_the_same_crystal_twice() -> None:
    entries = [Labelled(f"s{k}", f"s{k}.cif", 2, {"a": float(k)}, crystal=bytes([k % 3])) for k in range(4)]
    _, audit = columns(entries, parse(["a"]))
    assert any("s3.cif is s0.cif" in w and "by up to 3" in w for w in audit.warnings)


def test_candidates_are_counted() -> None:
    assert candidates(labelled([{"a": 1.0, "b": 2.0}, {"a": 1.0}])) == {"a": 2, "b": 1}


def test_a_text_that_is_asked_for_is_kept_and_said() -> None:
    rows = [Labelled(f"s{k}", f"f.csv:{k}", 2, {"gap": 0.5 * k}, {"metal": "yes"} if k else {}) for k in range(3)]
    made, audit = columns(rows, parse(["metal,gap:eV"]))
    assert [c.quantity.name for c in made] == ["gap"]
    assert audit.lines[0] == "'metal' is text: 2 of 3 structures; crystal train --target metal learns classes"
    assert columns(rows, parse(["metal"]))[0] == []


def test_what_is_one_per_atom_is_no_energy_of_the_whole() -> None:
    entries = labelled([{"energy": np.array([1.0, 2.0])}], known={"energy": Quantity("energy", "eV", "site")})
    for text in ("energy", "stress=energy"):
        with pytest.raises(UsageError, match="is one per atom"):
            columns(entries, parse([text]))
    (column,), _ = columns(entries, parse(["site_energy=energy"]))
    assert (column.quantity.level, column.values.tolist()) == ("site", [1.0, 2.0])
