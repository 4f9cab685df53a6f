"""Lists that may be one number per atom or one thing per structure: the format, or the other structures, decide."""

import json
from pathlib import Path
from typing import Any

import ase
import ase.db
import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from crystalcli.engine.labels import labels
from crystalcli.engine.labels.labelled import Labelled
from crystalcli.engine.labels.labels import LabelRequest
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.formats import read
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity

SIZES = (1, 2, 3, 4, 6, 9)


def of_atoms(n: int) -> Structure:
    places = [[k / n + 0.01, 0.5, 0.5] for k in range(n)]
    return Structure(Lattice.orthorhombic(3.0 * n, 4.0, 4.0), ["Cu"] * n, places)


def column(path: Path, key: str) -> labels.Column:
    found = [Labelled.of(e) for e in read(path) if isinstance(e, Entry)]
    return labels.columns(found, [LabelRequest.parse(key)])[0][0]


def flat(sizes: tuple[int, ...]) -> list[float]:
    return [k + 0.5 for n in sizes for k in range(n)]


def write_json(path: Path, sizes: tuple[int, ...], **extra: Any) -> Path:
    records = [
        {"structure": of_atoms(n).as_dict(), "q": flat((n,)), **{k: v(n) for k, v in extra.items()}} for n in sizes
    ]
    path.write_text(json.dumps({f"f{k}": r for k, r in enumerate(records)}))
    return path


@pytest.mark.parametrize("sizes", [SIZES, (3, 1), (9, 2), (6, 3, 1)])
def test_lists_as_long_as_all_have_atoms_are_per_atom(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    found = column(write_json(tmp_path / "a.json", sizes), "q")
    assert found.quantity.level == "site"
    np.testing.assert_allclose(found.values, flat(sizes))
    with ase.db.connect(str(tmp_path / "a.db")) as database:
        for n in sizes:
            database.write(of_atoms(n).to_ase_atoms(msonable=False), data={"q": flat((n,))})
    found = column(tmp_path / "a.db", "q")
    assert found.quantity.level == "site"
    np.testing.assert_allclose(found.values, flat(sizes))


def test_three_numbers_of_three_atoms_beside_rows_of_three(tmp_path: Path) -> None:
    sizes = (1, 2, 3, 4)
    found = column(write_json(tmp_path / "a.json", sizes, d=lambda n: [[0.1, 0.2, 0.3]] * n), "d")
    assert (found.quantity.level, found.values.shape) == ("site", (10, 3))


def test_a_row_of_numbers_per_structure_stays_one(tmp_path: Path) -> None:
    """Of twelve atoms, too, where others have twelve numbers as well."""
    found = column(write_json(tmp_path / "a.json", (12, 2, 1), s=lambda _: list(range(12))), "s")
    assert (found.quantity.level, found.values.shape) == ("structure", (3, 12))
    found = column(write_json(tmp_path / "b.json", (3, 2, 1), s=lambda _: [1.0, 2.0, 3.0]), "s")
    assert (found.quantity.level, found.values.shape) == ("structure", (3, 3))


def test_what_a_layout_declares_counts(tmp_path: Path) -> None:
    """MPtrj has moments per atom."""
    more: dict[str, Any] = {
        "energy_per_atom": lambda _: -1.0,
        "force": lambda n: np.zeros((n, 3)).tolist(),
        "stress": lambda _: np.zeros((3, 3)).tolist(),
        "magmom": lambda n: flat((n,)),
    }
    found = column(write_json(tmp_path / "a.json", SIZES, **more), "magmom")
    assert (found.quantity.level, found.quantity.unit) == ("site", "µB")
    np.testing.assert_allclose(found.values, flat(SIZES))


def test_what_formats_say_is_not_overruled() -> None:
    total, per_atom = Quantity("m", "µB", extensive=True), Quantity("m", "µB", "site")
    some = [
        Labelled("a", "a.json:0", 1, {"m": 1.0}, quantities={"m": total}),
        Labelled("b", "b.json:0", 2, {"m": np.ones(2)}, quantities={"m": per_atom}),
    ]
    with pytest.raises(UsageError, match=r"one per structure in µB in a\.json:0 and one per site in µB in b\.json:0"):
        labels.columns(some, [LabelRequest.parse("m")])
