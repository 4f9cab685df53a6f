"""The table alone, beside its naive twin: folds of unequal size, folds that are missing, others' predictions."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from common import small_cache
from reference import fold_table

from crystalcli.benchmark import table
from crystalcli.benchmark.folds import Fold
from crystalcli.engine.cache.cache import Column
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.data.splits import Split
from crystalcli.engine.evaluate import metrics
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity

SIZES = (3, 11, 6)


def test_it_is_its_naive_twin(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    lines, folds = [], []
    for k, n in enumerate(SIZES):
        true, predicted = rng.normal(2.0, 1.0, n), rng.normal(2.3, 1.5 + k, n)
        folds.append(metrics.regression(predicted, true).to_json())
        lines += [[str(k), repr(t), repr(p)] for t, p in zip(true.tolist(), predicted.tolist(), strict=True)]
    with (tmp_path / "rows.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["fold", "true", "predicted"], *lines])
    each, (mean, deviation), mae, rmse = fold_table.table(tmp_path / "rows.csv", "true", "predicted")
    found = table.Row("x", table.MODEL, folds).to_json()
    assert [f["mae"] for f in found["folds"]] == pytest.approx(list(each.values()), rel=1e-13)
    assert found["mean"]["mae"] == pytest.approx({"mean": mean, "std": deviation}, rel=1e-13)
    assert found["all"]["mae"] == pytest.approx(mae, rel=1e-13)
    assert found["all"]["rmse"] == pytest.approx(rmse, rel=1e-13)
    assert found["all"]["n"] == sum(SIZES)
    errors = fold_table.errors(fold_table.read(tmp_path / "rows.csv"), "true", "predicted")
    assert found["all"]["bias"] == pytest.approx(sum(errors) / len(errors), rel=1e-12)
    assert found["all"]["max_error"] == max(map(abs, errors))
    assert abs(mean - mae) > 0.01  # the two are not one number where folds differ in size


def test_classes_are_counted_together() -> None:
    rng = np.random.default_rng(3)
    parts = [(rng.dirichlet([1, 1, 1], n), rng.integers(0, 3, n).astype(float)) for n in SIZES]
    found = table.together([metrics.classification(p, t).to_json() for p, t in parts])
    whole = metrics.classification(*(np.concatenate(x) for x in zip(*parts, strict=True)))
    assert found == pytest.approx({"n": 20, "accuracy": whole.accuracy, "log_loss": whole.log_loss})


def test_a_row_with_a_missing_fold_has_no_mean() -> None:
    good = metrics.regression(np.array([1.0, 2.5]), np.array([1.5, 2.0])).to_json()
    found = table.Row("x", table.MODEL, [good, {"skipped": "it diverged"}]).to_json()
    assert (found["mean"], found["all"]) == (None, None)
    assert found["folds"] == [good, {"skipped": "it diverged"}]


def test_rows_stand_in_one_order_whatever_that_of_the_reports_is() -> None:
    """Reports that are read again have their keys sorted, those that have just been made have not."""
    good = {"n": 2, "mae": 0.5}
    broken = [{"skipped": "no"}] * 2

    def report(*names: str) -> dict[str, Any]:
        return {"test": {"y": {"model": good, "baselines": dict.fromkeys(names, good)}}}

    one = [report("pairs", "mean", "elements"), report("mean", "elements")]
    found = table.rows("y", {"a": broken, "b": one}, [table.Row("c", table.PUBLISHED, [good, good])])
    assert [(r.kind, r.label) for r in found] == [
        ("model", "a"), ("model", "b"), ("baseline", "mean"), ("baseline", "elements"), ("baseline", "pairs"),
        ("published", "c"),
    ]  # fmt: skip
    assert found[4].folds[1] == {"skipped": "the fold has no label 'y'"}
    assert found[0].folds == broken


def test_an_ensemble_is_scored_and_not_its_members() -> None:
    whole = {
        "ensemble": {"y": {"model": {"n": 2, "mae": 0.1}}},
        "test": {"y": {"model": {"mae": 9.0}, "baselines": {}}},
    }
    (found,) = table.rows("y", {"a": [whole]}, [])
    assert found.folds == [{"n": 2, "mae": 0.1}]


def data(tmp_path: Path, unit: str = "eV", known: int = 12, *, extensive: bool = False) -> GraphDataset:
    atoms = small_cache.crystals(12)
    atoms = [a.repeat((1, 1, 1 + k % 3)) for k, a in enumerate(atoms)]
    true = np.arange(12.0)
    theirs = true + np.where(np.arange(12) < 6, 0.5, -1.5)
    there = np.arange(12) < known
    columns = [
        Column(Quantity("y", "eV", extensive=extensive), true, np.ones(12, dtype=bool)),
        Column(Quantity("theirs", unit), np.where(there, theirs, np.nan), there),
    ]
    return GraphDataset.open([small_cache.write(tmp_path / "a.h5", 12, columns=columns, structures=atoms)])


def fold(name: str, test: list[int]) -> Fold:
    rest = np.array([k for k in range(12) if k not in test])
    return Fold(name, Split(rest, rest[:0], np.array(test), ""))


FOLDS = [fold("a", [0, 1, 7]), fold("b", [2, 3, 11, 4])]


def test_published_predictions(tmp_path: Path) -> None:
    made = data(tmp_path)
    found = table.published(made, "theirs", made.columns["y"].quantity, FOLDS)
    assert [f["mae"] for f in found.folds] == pytest.approx([(0.5 + 0.5 + 1.5) / 3, (0.5 + 0.5 + 1.5 + 0.5) / 4])
    assert [f["bias"] for f in found.folds] == pytest.approx([(0.5 + 0.5 - 1.5) / 3, 0.0])


def test_a_total_is_scored_per_atom(tmp_path: Path) -> None:
    made = data(tmp_path, extensive=True)
    found = table.published(made, "theirs", made.columns["y"].quantity, FOLDS)
    sizes = made.atom_counts()
    assert sizes[[0, 1, 7]].tolist() == [2, 4, 4]
    assert found.folds[0]["mae"] == pytest.approx((0.5 / 2 + 0.5 / 4 + 1.5 / 4) / 3)


def test_a_fold_that_others_did_not_predict_whole(tmp_path: Path) -> None:
    made = data(tmp_path, known=11)
    found = table.published(made, "theirs", made.columns["y"].quantity, FOLDS)
    assert "mae" in found.folds[0]
    assert found.folds[1] == {"skipped": "1 of 4 structures of fold b have no 'theirs'"}


@pytest.mark.parametrize(
    ("name", "unit", "reason"),
    [
        ("thiers", "eV", "no label 'thiers' with published predictions; they have y, theirs"),
        ("y", "eV", "--published y is the target itself"),
        ("theirs", "meV", "--published theirs is in meV, 'y' in eV"),
    ],
)
def test_what_is_no_prediction(name: str, unit: str, reason: str, tmp_path: Path) -> None:
    made = data(tmp_path, unit)
    with pytest.raises(UsageError, match=reason):
        table.published(made, name, made.columns["y"].quantity, FOLDS)


def test_published_of_sites(tmp_path: Path) -> None:
    made = data(tmp_path)
    with pytest.raises(UsageError, match="for one number per structure only"):
        table.published(made, "theirs", Quantity("y", "eV", "site"), FOLDS)
