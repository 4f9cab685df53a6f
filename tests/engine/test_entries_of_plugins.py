"""What a reader or source of a plugin gives is looked at as it comes in: one bad entry is named and costs no other."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import ase.build
import numpy as np
import pytest
import torch

from crystalcli.contracts.options import NoOptions
from crystalcli.contracts.records import Part, Reader, Source
from crystalcli.engine.read.reading import Failure, read_file
from crystalcli.engine.read.sources import request
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.nouns.structures.entry import Entry
from crystalcli.vocabulary.errors import one_line

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"labels": {"e": "x"}}, "gives 'x' for label 'e', no number (texts are tags), of structure ':1'"),
    ({"labels": {"e": "1.5"}}, "gives '1.5' for label 'e', no number"),
    ({"labels": {"f": [1.0, "x", 2.0]}}, "gives [1.0, 'x', 2.0] for label 'f', no number"),
    ({"labels": {"f": [[1.0], [2.0, 3.0]]}}, "for label 'f', no number"),
    ({"labels": {"e": {"value": 1.0}}}, "for label 'e', no number"),
    ({"labels": {"e": 1j}}, "for label 'e', no number"),
    ({"labels": {3: 1.0}}, "gives a name in labels that is a int, not a text: 3, of structure ':1'"),
    ({"labels": None}, "gives a NoneType, not a dict, for labels"),
    ({"id": 1}, "gives a int, not a text, for id, of structure 1"),
    ({"id": None}, "gives a NoneType, not a text, for id"),
    ({"tags": {"group": 3}}, "gives a int, not a text, for 'group' in tags"),
    ({"quantities": {"e": "eV"}}, "gives a str, not a Quantity, for 'e' in quantities"),
    ({"warnings": "odd"}, "gives no texts for warnings"),
    ({"notes": (1,)}, "gives no texts for notes"),
]


def three(middle: dict[str, Any], place: str) -> Iterator[Entry]:
    for k in range(3):
        made = Entry(f":{k}", ase.build.bulk("Cu", a=3.6), f"{place}:{k}", {"e": float(k)})
        yield replace(made, **middle) if k == 1 else made


@pytest.fixture(params=["source", "reader"])
def asked(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Entries and failures of a source or reader whose second entry has other fields."""
    family = request.param
    known = registry()
    origin = known.origin("source", "bulk")
    path = tmp_path / "a.odd"
    path.write_text("odd")

    def found(middle: dict[str, Any]) -> list[Entry | Failure]:
        part: Part
        if family == "source":
            part = Source(name="odd", summary="s", options=NoOptions, generate=lambda _o, _s: three(middle, ""))
        else:
            part = Reader(
                name="odd", summary="s", suffixes=(".odd",), sniff=lambda _: True, read=lambda p: three(middle, str(p))
            )
        offered = replace(known.parts["source", "bulk"], part=part)
        monkeypatch.setitem(known.parts, (family, "odd"), offered)
        return list(read_file(_source() if family == "source" else path))

    return family, origin, found


def _source() -> Path:
    return request("source:odd").path


@pytest.mark.parametrize(("middle", "said"), WRONG, ids=lambda v: str(v)[:40])
def test_it_is_named_and_the_others_go_on(asked: Any, middle: dict[str, Any], said: str) -> None:
    family, origin, found = asked
    first, failure, last = found(middle)
    assert isinstance(first, Entry)
    assert isinstance(last, Entry)
    assert isinstance(failure, Failure)
    assert failure.reason.startswith(f"{family} 'odd' of plugin {origin} gives ")
    assert said in failure.reason
    assert failure.reason == one_line(failure.reason)
    assert failure.path.endswith(":1")
    assert failure.code == f"{family}-error"


def test_numbers_of_every_kind_are_labels(asked: Any) -> None:
    labels = {
        "float": 1.5, "int": np.int64(3), "truth": True, "list": [1, 2, 3], "sites": np.ones((1, 3)), "none": None,
        "tensor": torch.ones(3), "fraction": Fraction(1, 2), "holes": [1.0, None, 2.0],
    }  # fmt: skip
    _, entry, _ = asked[2]({"labels": labels})
    assert isinstance(entry, Entry)
    assert entry.labels.keys() == labels.keys()
    assert np.isnan(entry.labels["none"])
    assert entry.labels["fraction"] == 0.5
    np.testing.assert_array_equal(entry.labels["holes"], [1.0, np.nan, 2.0])
    for value in entry.labels.values():
        assert np.asarray(value).dtype.kind in "fib"
