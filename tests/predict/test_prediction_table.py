"""The table that people see on a terminal: digits by σ, columns in step, nothing lost, nothing that steers."""

import ase
import numpy as np
import pytest

from crystalcli.prediction import table
from crystalcli.prediction.output import Writer, format_of, that_fits
from crystalcli.prediction.rows import Row
from crystalcli.prediction.table import Table
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity

ENERGY = Quantity("energy", "eV")
PHASE = Quantity("phase", classes=2, class_names=("a", "b"))


def row(id: str, value: float, sigma: float | None = None, why: str = "") -> Row:
    spread = {} if sigma is None else {"energy": {"sigma": sigma, "low_90": value - 1.0}}
    return Row(id, id, ase.Atoms("H"), {"energy": value}, spread, extrapolating=why)


def written(made: Table, rows: list[Row]) -> list[str]:
    return ("".join(made.text(r) for r in rows) + made.end()).splitlines()


def test_a_value_has_the_digits_of_its_sigma() -> None:
    rows = [
        row("x", -3.45591, 0.1464),
        row("longer", 12.0, 0.00234),
        row("z", 1234.5, 56.0, "unlike"),
        row("w", 1.0, 0.0),
    ]
    assert written(Table([ENERGY], {"energy": "conformal"}), rows) == [
        "id      energy [eV]       σ",
        "x             -3.46    0.15",
        "longer      12.0000  0.0023",
        "z              1234      56  ! unlike",
        "w            1.0000  0.0000",
    ]


def test_without_sigma_and_uncalibrated() -> None:
    assert written(Table([ENERGY], {}), [row("x", 1.23456)]) == ["id  energy [eV]", "x        1.2346"]
    head, _ = written(Table([ENERGY], {"energy": "uncalibrated"}), [row("x", 1.0, 0.1)])
    assert head.endswith("σ (uncalibrated)")


def test_many_rows_come_in_time_and_none_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "FIRST", 3)
    made = Table([ENERGY], {"energy": "scale"})
    rows = [row(f"{10**k}", float(k), 0.1) for k in range(6)]
    texts = [made.text(r) for r in rows]
    assert [t.count("\n") for t in texts] == [0, 0, 4, 1, 1, 1]
    assert made.end() == ""
    assert [line.split()[0] for line in "".join(texts).splitlines()] == ["id", *(r.id for r in rows)]
    assert Table([ENERGY], {}).end() == ""


def test_classes_and_names_that_would_steer() -> None:
    one = Row("a\x1b[2J", "s", ase.Atoms("H"), {"phase": np.array([0.25, 0.75])}, extrapolating="b\x07")
    (_, line) = written(Table([PHASE], {}), [one])
    assert line.split() == ["a\\x1b[2J", "b", "0.75", "!", "b\\x07"]


def test_when_it_is_a_table() -> None:
    sites = Quantity("charge", "e", level="site")
    assert format_of(None, None, people=True) == "table"
    assert format_of(None, None, people=False) == "csv"
    assert format_of(None, "csv", people=True) == "csv"
    assert that_fits("table", None, [sites]) == "csv"
    assert that_fits("table", "table", [ENERGY, PHASE]) == "table"
    with pytest.raises(UsageError, match="--format csv"):
        that_fits("table", "table", [sites])
    writer = Writer("table", [ENERGY], {"energy": "scale"})
    assert writer.text(row("x", 1.0, 0.1)) == ""
    assert writer.end().startswith("id  energy [eV]     σ\n")
