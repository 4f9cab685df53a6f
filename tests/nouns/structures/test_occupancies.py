"""An occupancy within 0.001 of one is one, whoever reads it, whatever binary makes of the last digit."""

import json
from pathlib import Path

import pytest
from corpus import structure_json
from corpus.cif_alternatives import nearly

from crystalcli.nouns.structures.check import is_full
from crystalcli.nouns.structures.cif import from_text
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.formats import read
from crystalcli.vocabulary.errors import InputError

FULL = ("0.999", "0.9991", "0.99999", "1.0005", "1.001")
NOT_FULL = ("0.9989", "0.5", "0", "-1", "1.0011", "2")


@pytest.mark.parametrize("text", FULL)
def test_full(text: str, tmp_path: Path) -> None:
    assert is_full(float(text))
    atoms, said = from_text(nearly(text, "1"))
    assert (len(atoms), said) == (2, ())
    (entry,) = _of_json(text, tmp_path)
    assert isinstance(entry, Entry)
    assert len(entry.atoms) == 2


@pytest.mark.parametrize("text", NOT_FULL)
def test_not_full(text: str, tmp_path: Path) -> None:
    assert not is_full(float(text))
    with pytest.raises(InputError, match="occupancy"):
        from_text(nearly(text, "1"))
    (error,) = _of_json(text, tmp_path)
    assert isinstance(error, InputError)
    assert "occupancy" in error.reason


def _of_json(occupancy: str, folder: Path) -> list[Entry | InputError]:
    sites = json.loads(structure_json())["sites"]
    sites[0]["species"][0]["occu"] = float(occupancy)
    (folder / "x.json").write_text(structure_json(sites=sites))
    return list(read(folder / "x.json"))
