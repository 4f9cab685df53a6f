"""JSON: what was to be a structure and is none is named, and no number beside one is lost."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from corpus import structure_json

from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.formats import read

S = json.loads(structure_json())


def found(tmp_path: Path, data: Any, name: str = "a.json") -> list[tuple[str, dict[str, Any]] | str]:
    """Id and labels of every structure, the reason of every failure."""
    (tmp_path / name).write_text(data if isinstance(data, str) else json.dumps(data))
    entries = read(tmp_path / name)
    return [(e.id, e.labels) if isinstance(e, Entry) else e.reason for e in entries]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([S, None, S], "structure 1: is null, no structure"),
        ([{"structure": S}, {"id": "x", "structure": None}], "structure x: 'structure' is null"),
        ([{"structure": S}, {"id": "x", "structure": "NaCl"}], "structure x: 'structure' is none that is known here"),
        ({"x": S, "y": None}, "structure y: is null, no structure"),
        ({"x": S, "y": {"sites": S["sites"]}}, "structure y: has no lattice"),
        ({"x": S, "a": {"b": {"c": {"d": S}}}}, "structure c: structures lie deeper than 3 levels of lists and tables"),
        ({"columns": ["structure", "y"], "data": [[S, 1.0], [S]]}, "structure 1: the row has 1 values for 2 columns"),
        ({"structure": {"0": S, "1": None}, "y": {"0": 1.0, "1": 2.0}}, "structure 1: 'structure' is null"),
    ],
)
def test_what_is_no_structure_is_named(tmp_path: Path, data: Any, said: str) -> None:
    said_of = found(tmp_path, data)
    assert [one[:80] for one in said_of if isinstance(one, str)] == [said]
    assert len(said_of) > 1


@pytest.mark.parametrize(
    "data",
    [
        [{"relaxed": S, "y": 1.0}],
        {"m": {"relaxed": S, "y": 1.0}},
        [[S, 1.0]],
        {"structures": [S], "y": [1.0]},
    ],
    ids=["row", "by id", "values", "lists"],
)
def test_a_number_beside_a_structure_is_offered(tmp_path: Path, data: Any) -> None:
    ((_, labels),) = found(tmp_path, data)
    assert list(labels.values()) == [1.0]


def test_names_that_repeat_stand_behind_the_key_above_them(tmp_path: Path) -> None:
    data = {"m1": {"relaxed": S, "start": S}, "m2": {"relaxed": S}}
    assert [one[0] for one in found(tmp_path, data)] == ["m1:relaxed", "start", "m2:relaxed"]
    data = {"mp-1": {"mp-1-0": {"structure": S}}, "mp-2": {"mp-2-0": {"structure": S}}}
    assert [one[0] for one in found(tmp_path, data)] == ["mp-1-0", "mp-2-0"]


TWO = [{"before": S, "after": S, "y": float(k)} for k in range(2)]


@pytest.mark.parametrize(
    "data",
    [
        TWO,
        {"columns": list(TWO[0]), "data": [list(row.values()) for row in TWO]},
        {key: {str(k): row[key] for k, row in enumerate(TWO)} for key in TWO[0]},
        dict(enumerate(TWO)),
        [list(row.values()) for row in TWO],
        "\n".join(map(json.dumps, TWO)),
    ],
    ids=["records", "split", "columns", "index", "values", "lines"],
)
def test_of_two_columns_of_structures_none_is_guessed(tmp_path: Path, data: Any) -> None:
    assert [isinstance(one, str) and "holds several structures" in one for one in found(tmp_path, data)] == [True, True]


def test_what_stands_beside_a_table_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"x": S, "y": S, "gap": 1.5}))
    first, second = (e for e in read(tmp_path / "a.json") if isinstance(e, Entry))
    assert (first.id, second.id) == ("x", "y")
    assert first.notes == ("beside structures, not read: gap",)
    assert not second.notes


def test_json_lines(tmp_path: Path) -> None:
    rows = [json.dumps({"id": f"m{k}", "structure": S, "gap": k}) for k in range(3)]
    whole: list[Any] = [(f"m{k}", {"gap": k}) for k in range(3)]
    for name in ("a.json", "a.jsonl"):
        assert found(tmp_path, "\n".join([*rows, ""]), name) == whole
    said = found(tmp_path, "\n".join([rows[0], rows[1][:-12], rows[2]]), "a.jsonl")
    assert said == [whole[0], "structure 1: line 2 is not JSON: Expecting ',' delimiter", whole[2]]


def test_moments_of_pymatgen(tmp_path: Path) -> None:
    from monty.json import MontyEncoder
    from pymatgen.core import Structure
    from pymatgen.electronic_structure.core import Magmom

    for moments, expected in (
        ([Magmom(5), Magmom(-5)], [5.0, -5.0]),
        ([Magmom(5, [1, 0, 0]), Magmom(-1, [1, 0, 0])], [5.0, -1.0]),
        ([Magmom([1, 0, 2]), Magmom(3)], [[1, 0, 2], [0, 0, 3]]),
        ([Magmom([1, 0, 2], [1, 0, 0]), Magmom(3)], None),
    ):
        structure = Structure(
            np.eye(3) * 4.2, ["Na", "Cl"], [[0, 0, 0], [0.5] * 3], site_properties={"magmom": moments}
        )
        ((_, labels),) = found(tmp_path, json.dumps(structure.as_dict(), cls=MontyEncoder))
        assert labels.get("magmom", np.array(None)).tolist() == expected
