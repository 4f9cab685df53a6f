"""Which fold tests which structure: columns of words or numbers, structures in none, what is refused and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from common import small_cache

from crystalcli.benchmark.folds import folds
from crystalcli.benchmark.options import BenchmarkOptions
from crystalcli.engine.cache.cache import Column
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.data.leaks import numbered
from crystalcli.train.material import Material
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity

N = 42


def material(
    folder: Path, words: list[str] | None = None, numbers: list[float] | None = None, **tags: list[str]
) -> Material:
    """Rocksalts with an energy, with words in the text column ``part`` or numbers in the label ``number``."""
    atoms = small_cache.crystals(N)
    energy = small_cache.energies(atoms)
    known = np.ones(N, dtype=bool)
    known[[7, 30]] = False  # without a label
    columns = [Column(small_cache.ENERGY, np.where(known, energy, np.nan), known)]
    if numbers is not None:
        values = np.array(numbers, dtype=float)
        columns.append(Column(Quantity("number", ""), values, np.isfinite(values)))
    named = dict(tags) | ({} if words is None else {"part": words})
    rows = [{k: v[i] for k, v in named.items() if v[i]} for i in range(N)]
    path = small_cache.write(folder / "graphs.h5", N, columns=columns, structures=atoms, tags=rows)
    data = GraphDataset.open([path])
    return Material(data, np.flatnonzero(known), energy, data.ids)


def asked(**options: object) -> BenchmarkOptions:
    return BenchmarkOptions(files=("graphs.h5",), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("as_numbers", [False, True])
def test_a_column_says_which_fold_tests_a_structure(tmp_path: Path, *, as_numbers: bool) -> None:
    wanted = [k * 5 % 12 for k in range(N)]  # folds 0 … 11: 10 comes after 9
    if as_numbers:
        made = material(tmp_path, numbers=[float(w) for w in wanted])
    else:
        made = material(tmp_path, words=[f" {w} " for w in wanted])
    found = folds(made, asked(fold_column="number" if as_numbers else "part"))
    assert [f.name for f in found.all] == [str(k) for k in range(12)]
    tested = np.concatenate([f.split.test for f in found.all])
    assert sorted(tested) == made.usable.tolist()
    for k, one in enumerate(found.all):
        assert [wanted[i] for i in one.split.test] == [k] * len(one.split.test)
        every = np.concatenate([one.split.train, one.split.val, one.split.test])
        assert sorted(every) == made.usable.tolist()
        assert f"fold {k}" in one.split.how


def test_structures_in_no_fold_train_in_all(tmp_path: Path) -> None:
    words = ["" if k % 6 == 0 else f"f{k % 2}" for k in range(N)]
    made = material(tmp_path, words=words)
    found = folds(made, asked(fold_column="part"))
    nowhere = {k for k in made.usable.tolist() if not words[k]}
    assert found.in_none == len(nowhere) > 0
    for one in found.all:
        assert nowhere <= {*one.split.train.tolist(), *one.split.val.tolist()}


def test_validation_is_nested_and_keeps_formulas_together(tmp_path: Path) -> None:
    made = material(tmp_path, words=[f"f{k % 3}" for k in range(N)])
    formula = numbered(made.data.formulas())
    chosen = set()
    for one in folds(made, asked(fold_column="part", validation=0.3)).all:
        assert not set(formula[one.split.val]) & set(formula[one.split.train])
        share = len(one.split.val) / (len(one.split.val) + len(one.split.train))
        assert share == pytest.approx(0.3, abs=0.15)  # of seven formulas
        chosen.add(tuple(sorted(set(formula[one.split.val].tolist()))))
    assert len(chosen) > 1  # each fold draws its own
    for one in folds(made, asked(fold_column="part", validation=0.0)).all:
        assert len(one.split.val) == 0
    labs = [f"lab {k % 4}" for k in range(N)]
    (tmp_path / "more").mkdir()
    grouped = material(tmp_path / "more", words=[f"f{k % 3}" for k in range(N)], lab=labs)
    for one in folds(grouped, asked(fold_column="part", group="lab", validation=0.25)).all:
        assert not {labs[k] for k in one.split.val} & {labs[k] for k in one.split.train}


def test_the_seed_deals_validation(tmp_path: Path) -> None:
    made = material(tmp_path, words=[f"f{k % 3}" for k in range(N)])
    one, same, other = ([f.split for f in folds(made, asked(fold_column="part", seed=s)).all] for s in (1, 1, 2))
    assert all((a.val == b.val).all() for a, b in zip(one, same, strict=True))
    assert any(list(a.val) != list(b.val) for a, b in zip(one, other, strict=True))
    assert all((a.test == b.test).all() for a, b in zip(one, other, strict=True))


def test_dealt_folds_test_every_structure_once(tmp_path: Path) -> None:
    made = material(tmp_path)
    found = folds(made, asked(folds=4))
    tested = np.concatenate([f.split.test for f in found.all])
    assert sorted(tested) == made.usable.tolist()
    formula = numbered(made.data.formulas())
    for one in found.all:
        assert not set(formula[one.split.test]) & set(formula[one.split.train])
    assert "grouped by formula" in found.how


@pytest.mark.parametrize("wish", [{"fold_column": "part"}, {"folds": 3}])
def test_further_starts_teach_with_their_structure_and_are_tested_in_no_fold(tmp_path: Path, wish: Any) -> None:
    """Whatever fold the column says of them: it is copied to them with all else that their structure says."""
    atoms = small_cache.crystals(N)
    ids = [f'salt "{k:02d}", {a.get_chemical_formula()}' for k, a in enumerate(atoms)]
    starts = [ids[k - 28] if k >= 28 else "" for k in range(N)]  # of as many salts, of the same formulas
    made = material(tmp_path, words=[f"f{k % 28 % 3}" for k in range(N)], start_of=starts)
    found = folds(made, asked(validation=0.2, **wish))
    assert found.in_none == 0
    tested = np.concatenate([f.split.test for f in found.all])
    assert sorted(tested) == [k for k in made.usable.tolist() if k < 28]
    for one in found.all:
        assert len(one.split.val)
        assert (np.concatenate([one.split.val, one.split.test]) < 28).all()
        further = {k for k in one.split.train.tolist() if k >= 28}
        assert further == {k for k in made.usable.tolist() if k - 28 in one.split.train}
        assert f"{len(further)} further starts of training structures" in one.split.how


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["a"] * N, "column 'part' says one fold, 'a', for 40 structures"),
        (["x"] * 7 + ["y"] + [""] * 34, "column 'part': fold 'y' has no structure"),
        (["a"] * (N - 1) + ["b"], r"fold 'b' has one structure with a label \(salt \"41\", .*\); an error over a fold"),
        ([str(k) for k in range(N)], "fold '0' has one structure"),
    ],
)
def test_folds_of_which_an_error_says_nothing(words: list[str], reason: str, tmp_path: Path) -> None:
    if words[7] == "y":  # the only structure of its fold has no label: no fold at all
        reason = "says one fold, 'x'"
    with pytest.raises(UsageError, match=reason):
        folds(material(tmp_path, words=words), asked(fold_column="part"))


def test_a_column_of_something_else(tmp_path: Path) -> None:
    made = material(tmp_path, words=["a", "b"] * 21)
    with pytest.raises(UsageError, match="no label or text column 'prat'; did you mean 'part'"):
        folds(made, asked(fold_column="prat"))
    many = [k + 0.5 for k in range(N)]
    (tmp_path / "more").mkdir()
    with pytest.raises(UsageError, match="has one structure with a label"):
        folds(material(tmp_path / "more", numbers=many), asked(fold_column="number"))
