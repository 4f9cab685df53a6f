"""The folds of Matbench: a file of its form, ids that count rows from 1, and what cannot be meant; its results."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from common import some_benchmarks as table
from in_process import crystal

from crystalcli.benchmark.matbench import official
from crystalcli.benchmark.matbench_results import results
from crystalcli.vocabulary.errors import UsageError

N, TASK = 20, "matbench_salts"
ROWS = np.random.default_rng(1).permutation(N).tolist()
"""Of the table, in the order of the structures."""


def named(row: int) -> str:
    return f"mb-salts-{row + 1:03d}"


def lists(folds: int = 4) -> dict[str, Any]:
    """Row r is tested by fold r mod 4."""
    found = {}
    for f in range(folds):
        test = [named(r) for r in range(N) if r % folds == f]
        found[f"fold_{f}"] = {"train": [named(r) for r in range(N) if r % folds != f], "test": test}
    return found


def write(path: Path, splits: Any) -> Path:
    text = json.dumps({"splits": splits, "version": "0.1"}).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


@pytest.mark.parametrize("name", ["folds.json", "folds.json.gz"])
@pytest.mark.parametrize("ids", [[named(r) for r in ROWS], [f"{TASK}:{r}" for r in ROWS], [f"any:{r}" for r in ROWS]])
def test_rows_are_found_by_their_ids(name: str, ids: list[str], tmp_path: Path) -> None:
    path = write(
        tmp_path / name, {TASK: lists(), "matbench_steels": {"fold_0": {"train": ["mb-steels-1"], "test": []}}}
    )
    found = official(path, TASK if ids[0].startswith("any") else "", ids)
    assert found.task == TASK
    assert found.missing == ()
    assert [n for n, _, _ in found.parts] == [f"fold_{f}" for f in range(4)]
    for f, (_, test, train) in enumerate(found.parts):
        assert {ROWS[k] for k in test} == {r for r in range(N) if r % 4 == f}
        assert {ROWS[k] for k in train} == {r for r in range(N) if r % 4 != f}
    assert found.ids == {k: named(r) for k, r in enumerate(ROWS)}


def test_ids_that_are_missing(tmp_path: Path) -> None:
    """Fold 3 is held back, and so is row 0."""
    path = write(tmp_path / "folds.json", {TASK: lists()})
    ids = [named(r) for r in ROWS if r % 4 != 3 and r]
    with pytest.raises(
        UsageError, match=r"6 of 20 ids of matbench_salts have no structure, e\.g\. mb-salts-001; --allow"
    ):
        official(path, "", ids)
    found = official(path, "", ids, leave_out=True)
    assert len(found.missing) == 6
    assert [n for n, _, _ in found.parts] == ["fold_0", "fold_1", "fold_2"]
    assert [len(test) for _, test, _ in found.parts] == [4, 5, 5]
    with pytest.raises(UsageError, match=r"20 of 20 ids of matbench_salts have no structure, e\.g\. mb-salts-001$"):
        official(path, TASK, [f"mb-salts-9{k}" for k in range(5)], leave_out=True)


def changed(**changes: list[str]) -> dict[str, Any]:
    made = lists()
    made["fold_1"] = {**made["fold_1"], **changes}
    return made


@pytest.mark.parametrize(
    ("splits", "task", "reason"),
    [
        ({TASK: lists()}, "matbench_slats", "has no task 'matbench_slats'; did you mean 'matbench_salts'"),
        ({"matbench_steels": lists(), "matbench_gaps": lists()}, "", "of its tasks none has ids like 'mb-salts-"),
        ({TASK: changed(test=[named(0), named(1)])}, "", "fold_1 trains on mb-salts-001, which it tests"),
        ({TASK: changed(test=[named(1), named(4)], train=[named(2)])}, "", "fold_0 and fold_1 both test mb-salts-005"),
        ({TASK: {"fold_0": {"train": [named(0)]}}}, "", "fold_0 has no list of ids under 'test'"),
        ({TASK: {"fold_0": [named(0)]}}, "", "fold_0 has no list of ids under 'train'"),
        ({TASK: {}}, "", 'has no folds under "splits"'),
        ([1, 2], "", 'has no folds under "splits"'),
    ],
)
def test_a_file_that_cannot_be_meant(splits: Any, task: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=reason) as found:
        official(write(tmp_path / "folds.json", splits), task, [named(r) for r in ROWS])
    assert "folds.json" in str(found.value)


def test_two_tables_in_one(tmp_path: Path) -> None:
    path = write(tmp_path / "folds.json", {TASK: lists()})
    with pytest.raises(UsageError, match="'a:0' and 'b:0' are both row 0 of a table"):
        official(path, TASK, ["a:0", "b:0"])


@pytest.mark.parametrize("raw", [b"{", b"\x1f\x8b broken", b"\xff\xfe\x00"])
def test_no_json(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / "folds.json").write_bytes(raw)
    with pytest.raises(UsageError, match="cannot be read as folds of Matbench"):
        official(tmp_path / "folds.json", "", ["mb-salts-001"])
    with pytest.raises(UsageError, match="cannot be read as folds of Matbench: No such file"):
        official(tmp_path / "none.json", "", ["mb-salts-001"])


def test_its_results_are_sealed_and_scored() -> None:
    """The seal is that of ``matbench/util.py``: JSON with sorted keys; scores by hand."""
    true, predicted = np.array([2.0, -4.0, 1e-6]), np.array([2.5, -3.0, 0.5])
    raw = results(TASK, {"fold_0": (["mb-salts-001", "mb-salts-003", "mb-salts-002"], predicted, true)})
    assert raw == results(TASK, {"fold_0": (["mb-salts-001", "mb-salts-003", "mb-salts-002"], predicted, true)})
    found = json.loads(gzip.decompress(raw))
    assert found.pop("hash") == hashlib.sha256(json.dumps(sorted_(found)).encode()).hexdigest()
    fold = found["tasks"][TASK]["results"]["fold_0"]
    assert fold["data"] == {"mb-salts-001": 2.5, "mb-salts-003": -3.0, "mb-salts-002": 0.5}
    assert fold["scores"]["mape"] == pytest.approx((0.25 + 0.25) / 2)  # the third is too near to zero
    assert fold["scores"]["mae"] == pytest.approx((0.5 + 1.0 + 0.5) / 3, rel=1e-5)
    assert fold["scores"]["max_error"] == 1.0
    assert fold["scores"]["rmse"] == pytest.approx(((0.25 + 1.0 + 0.25) / 3) ** 0.5, rel=1e-5)
    assert fold["parameters"] == {}


def sorted_(data: Any) -> Any:
    """Its dictionaries in the order of their keys, all the way down."""
    return {k: sorted_(v) for k, v in sorted(data.items())} if isinstance(data, dict) else data


def test_a_task_from_its_table_to_its_results(tmp_path: Path) -> None:
    """From JSON rows that are called after the file, by the folds of a file, to what the leaderboard takes."""
    rows = table.write(tmp_path / "matbench_salts.csv", 30, folds=3)
    ids = {r[0]: f"mb-salts-{k + 1:04d}" for k, r in enumerate(rows)}
    text = (tmp_path / "matbench_salts.csv").read_text()
    for mine, official_id in ids.items():
        text = text.replace(mine, official_id)
    (tmp_path / "matbench_salts.csv").write_text(text)
    every = {ids[r[0]]: r[2] for r in rows}
    splits = {
        f"fold_{f}": {
            "train": [i for i, fold in every.items() if fold != str(f)],
            "test": [i for i, fold in every.items() if fold == str(f)],
        }
        for f in range(3)
    }
    write(tmp_path / "folds.json", {TASK: splits})
    words = ["benchmark", "matbench_salts.csv", "--target", "energy:eV/atom", "--matbench-folds", "folds.json"]
    ran = crystal([*words, "--arch", table.SMALL, *table.LINE], tmp_path)
    assert ran.returncode == 0, ran.stderr
    (path,) = (tmp_path / "run").glob("matbench-*.json.gz")
    found = json.loads(gzip.decompress(path.read_bytes()))["tasks"][TASK]["results"]
    said = json.loads((tmp_path / "run" / "report.json").read_text())
    (row,) = [r for r in said["targets"]["energy"]["rows"] if r["kind"] == "model"]
    assert said["task"] == TASK
    for fold, of, errors in zip(splits, splits.values(), row["folds"], strict=True):
        assert sorted(found[fold]["data"]) == sorted(of["test"])
        assert found[fold]["scores"]["mae"] == pytest.approx(errors["mae"], rel=1e-12)
