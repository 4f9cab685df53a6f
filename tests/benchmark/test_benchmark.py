"""A benchmark as users run it: folds are exact, the table is what its predictions say, and it goes on."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
from common.some_benchmarks import LINE, SMALL, write
from in_process import crystal
from reference import fold_table

from crystalcli.benchmark.sections import _result
from crystalcli.benchmark.workflow import BENCHMARK
from crystalcli.contracts.sections import Note
from crystalcli.testing import WorkflowContract

TRUE, PREDICTED = "energy true [eV/atom]", "energy predicted [eV/atom]"
ASKED = ["benchmark", "salts.csv", "--target", "energy:eV/atom"]


def report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return found


def parts(folder: Path) -> list[dict[str, set[str]]]:
    """Of every fold, the ids of its parts, as the training itself has them."""
    found = []
    for path in sorted(folder.glob("*-fold-*/splits.json")):
        said = json.loads(path.read_text())
        found.append({k: set(said[k]) for k in ("train", "val", "test")})
    return found


def of_row(data: dict[str, Any], label: str) -> dict[str, Any]:
    (found,) = [r for r in data["targets"]["energy"]["rows"] if r["label"] == label]
    return dict(found)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two architectures on three unequal folds of a column of numbers; two structures are in none."""
    folder = tmp_path_factory.mktemp("benchmark")
    write(folder / "salts.csv", blank=(4, 11))
    words = ["--fold-column", "number", "--published", "theirs", "--arch", SMALL, "--arch", f"{SMALL},lr=0.02"]
    ran = crystal([*ASKED, *words, *LINE], folder)
    assert ran.returncode == 0, ran.stderr
    return folder / "run"


def test_folds_are_exact(done: Path) -> None:
    rows = fold_table.read(done.parent / "salts.csv")
    every = {r["id"] for r in rows}
    found = parts(done)
    assert len(found) == 6
    for k, one in enumerate(found):
        fold = str(k % 3)
        assert one["test"] == {r["id"] for r in rows if r["number"] == fold}
        assert one["train"] | one["val"] | one["test"] == every  # those in no fold train
        assert len(one["train"]) + len(one["val"]) + len(one["test"]) == len(every)
        assert one["val"]
        assert one["test"].isdisjoint({"salt-04", "salt-11"})
    assert found[:3] == found[3:]
    said = report(done)
    assert said["in_no_fold"] == 2
    assert [f["sizes"]["test"] for f in said["folds"]] == [len(one["test"]) for one in found[:3]]
    for part in done.glob("predictions-*.csv"):
        tested = [(r["id"], r["fold"]) for r in fold_table.read(part)]
        assert sorted(tested) == sorted((r["id"], r["number"]) for r in rows if r["number"])


def test_the_epoch_is_chosen_by_whole_formulas(done: Path) -> None:
    """Validation of the nested split is dealt by formula: none of its formulas is in training."""
    formula = {f"salt-{k:02d}": k % 7 for k in range(42)}  # as they are made
    for one in parts(done):
        assert not {formula[i] for i in one["val"]} & {formula[i] for i in one["train"]}


def test_the_table_is_what_the_predictions_say(done: Path) -> None:
    said = report(done)
    words = {r["architecture"]: r["folder"].rpartition("-fold-")[0] for r in said["runs"]}
    assert len(words) == 2
    for label, word in words.items():
        each, (mean, deviation), mae, rmse = fold_table.table(done / f"predictions-{word}.csv", TRUE, PREDICTED)
        row = of_row(said, label)
        assert row["kind"] == "model"
        assert [f["mae"] for f in row["folds"]] == pytest.approx([each[k] for k in ("0", "1", "2")], rel=1e-12)
        assert row["mean"]["mae"] == pytest.approx({"mean": mean, "std": deviation}, rel=1e-12)
        assert (row["all"]["mae"], row["all"]["rmse"]) == pytest.approx((mae, rmse), rel=1e-12)
        assert row["all"]["n"] == 40
        assert abs(mean - mae) > 1e-6  # folds are unequal: the two means are not one number
    lines = fold_table.read(done / "benchmark.csv")
    assert {r["unit"] for r in lines} == {"eV/atom"} == {said["targets"]["energy"]["unit"]}
    mine = {r["fold"]: float(r["mae"]) for r in lines if r["row"] == label}
    assert mine == pytest.approx({**each, "(mean)": mean, "(deviation)": deviation, "(all)": mae}, rel=1e-12)


def test_published_predictions_are_scored_on_the_same_rows(done: Path) -> None:
    row = of_row(report(done), "theirs")
    assert row["kind"] == "published"
    assert [f["mae"] for f in row["folds"]] == pytest.approx([0.25, 0.5, 0.75], abs=1e-6)
    sizes = [f["sizes"]["test"] for f in report(done)["folds"]]
    assert [f["n"] for f in row["folds"]] == sizes
    whole = sum(n * e for n, e in zip(sizes, (0.25, 0.5, 0.75), strict=True)) / sum(sizes)
    assert row["all"]["mae"] == pytest.approx(whole, abs=1e-6)


def test_baselines_are_of_every_fold(done: Path) -> None:
    """Always saying the mean of the training part: of each fold another number."""
    rows = {r["id"]: r for r in fold_table.read(done.parent / "salts.csv")}
    expected = []
    for one in parts(done)[:3]:
        mean = sum(float(rows[i]["energy"]) for i in one["train"]) / len(one["train"])
        expected.append(sum(abs(float(rows[i]["energy"]) - mean) for i in one["test"]) / len(one["test"]))
    found = of_row(report(done), "mean")
    assert [f["mae"] for f in found["folds"]] == pytest.approx(expected, rel=1e-9)
    assert found["mean"]["mae"]["mean"] == pytest.approx(sum(expected) / 3, rel=1e-9)


def test_it_is_shown(done: Path) -> None:
    words = ["--fold-column", "number", "--published", "theirs", "--arch", SMALL, "--arch", f"{SMALL},lr=0.02"]
    line = [w for w in LINE if w != "--quiet"]
    shown = crystal([*ASKED, *words, *line, "--report"], done.parent).stdout
    for text in ("finished before", "energy: MAE", "baseline mean", "published theirs", "mean ± std", "leak: "):
        assert text in shown
    page = (done / "report.html").read_text(encoding="utf-8")
    for text in ("All folds: ", "published theirs", "train and test share", "2 structures are in no fold"):
        assert text in page
    # in part of the folds only: the table has a dash for it, the page as the terminal says why
    told = report(done)
    (theirs,) = [r for r in told["targets"]["energy"]["rows"] if r["label"] == "theirs"]
    theirs["folds"][0] = {"skipped": "no label"}
    said = [b.text for b in _result(told) if isinstance(b, Note)]
    assert "published theirs: skipped in 1 of 3 folds, no label" in said


def test_another_architecture_is_trained_beside_those_that_are_done(done: Path, tmp_path: Path) -> None:
    shutil.copytree(done.parent, tmp_path, dirs_exist_ok=True)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.glob("run/*-fold-*/model.safetensors")}
    more = f"{SMALL},ensemble=2"
    words = ["--fold-column", "number", "--published", "theirs", "--arch", SMALL, "--arch", f"{SMALL},lr=0.02"]
    ran = crystal([*ASKED, *words, "--arch", more, *LINE], tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert {p: p.stat().st_mtime_ns for p in before} == before
    said, old = report(tmp_path / "run"), report(done)
    assert [r["label"] for r in said["targets"]["energy"]["rows"]][:3] == [SMALL, f"{SMALL},lr=0.02", more]
    for label in (SMALL, "mean", "theirs"):
        assert of_row(said, label) == of_row(old, label)
    (word,) = {r["folder"].rpartition("-fold-")[0] for r in said["runs"] if r["architecture"] == more}
    rows = fold_table.read(tmp_path / "run" / f"predictions-{word}.csv")
    assert all(float(r["energy sigma [eV/atom]"]) > 0 for r in rows)
    each, *_ = fold_table.table(tmp_path / "run" / f"predictions-{word}.csv", TRUE, PREDICTED)
    assert [f["mae"] for f in of_row(said, more)["folds"]] == pytest.approx(list(each.values()), rel=1e-12)


def test_lines_that_are_there_stay_whatever_is_named_again(done: Path, tmp_path: Path) -> None:
    """The new one alone, by --resume and by the command; none of the old trainings is made again for it."""
    shutil.copytree(done.parent, tmp_path, dirs_exist_ok=True)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.glob("run/*-fold-*/model.safetensors")}
    more, most = f"{SMALL},lr=0.03", f"{SMALL},lr=0.04"
    resumed = ["benchmark", "--resume", "run", "--arch", more, "--quiet"]
    for words in (resumed, [*ASKED, "--fold-column", "number", "--arch", most, *LINE]):
        ran = crystal(words, tmp_path)
        assert ran.returncode == 0, ran.stderr
    said, old = report(tmp_path / "run"), report(done)
    rows = said["targets"]["energy"]["rows"]
    assert [r["label"] for r in rows if r["kind"] == "model"] == [SMALL, f"{SMALL},lr=0.02", more, most]
    for label in (SMALL, f"{SMALL},lr=0.02", "mean", "theirs"):
        assert of_row(said, label) == of_row(old, label)
    assert {p: p.stat().st_mtime_ns for p in before} == before
    asked = tomllib.loads((tmp_path / "run" / "config.toml").read_text())["benchmark"]  # runs the same again
    assert asked["arch"] == [SMALL, f"{SMALL},lr=0.02", more, most]
    assert asked["published"] == ["theirs"]


def test_one_that_was_stopped_and_is_given_another_architecture_trains_both(tmp_path: Path) -> None:
    """Neither what was under way nor a broken report.json of before is in the way of the new one."""
    write(tmp_path / "salts.csv")
    words = [*ASKED, "--fold-column", "number", *LINE]
    assert crystal([*words, "--arch", SMALL, "--time-limit", "0.001s"], tmp_path).returncode == 75
    (tmp_path / "run" / "report.json").write_text("{")
    more = f"{SMALL},lr=0.02"
    refused = crystal([*words, "--arch", "dogss"], tmp_path)
    assert refused.returncode == 2, refused.stderr
    ran = crystal([*words, "--arch", more], tmp_path)
    assert ran.returncode == 0, ran.stderr
    rows = report(tmp_path / "run")["targets"]["energy"]["rows"]
    assert [r["label"] for r in rows if r["kind"] == "model"] == [SMALL, more]


def test_labels_that_graphs_were_built_without_are_a_matter_of_overwrite(tmp_path: Path) -> None:
    write(tmp_path / "salts.csv", n=30)
    words = [*ASKED, "--fold-column", "number", "--arch", SMALL, *LINE]
    assert crystal(words, tmp_path).returncode == 0
    (cache,) = (tmp_path / "run").glob("graphs-*.h5")
    ran = crystal([*words, "--published", "theirs"], tmp_path)
    assert ran.returncode == 2
    assert "built without all of --published theirs" in ran.stderr
    ran = crystal([*words, "--published", "theirs", "--overwrite"], tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert of_row(report(tmp_path / "run"), "theirs")["mean"] is not None
    shutil.copy(cache, tmp_path / "graphs.h5")
    of_cache = ["benchmark", "graphs.h5", "--target", "energy", *words[len(ASKED) :], "-o", "cache"]
    for more in ([], ["--published", "theirs"]):
        assert crystal([*of_cache, *more], tmp_path).returncode == 0
    assert of_row(report(tmp_path / "cache"), "theirs") == of_row(report(tmp_path / "run"), "theirs")


def test_a_cache_of_ones_own_and_dealt_folds(done: Path, tmp_path: Path) -> None:
    """``--folds`` deals what ``crystal train --folds`` deals; a cache gives what its structures give."""
    (cache,) = done.glob("graphs-*.h5")
    shutil.copy(cache, tmp_path / "graphs.h5")
    asked = ["benchmark", "graphs.h5", "--target", "energy", "--arch", SMALL]
    assert crystal([*asked, "--folds", "3", "--validation", "0.1111111111111111", *LINE], tmp_path).returncode == 0
    words = ["--target", "energy", "--folds", "3", "--fold", "1", "--epochs", "1", "--threads", "1", "--quiet"]
    line = ["train", "graphs.h5", *words, "--n-conv", "1", "--width", "4", "--hidden", "4", "-o", "alone"]
    assert crystal(line, tmp_path).returncode == 0
    alone = json.loads((tmp_path / "alone" / "splits.json").read_text())
    assert {k: set(alone[k]) for k in ("train", "val", "test")} == parts(tmp_path / "run")[1]
    errors = json.loads((tmp_path / "alone" / "report.json").read_text())["test"]["energy"]["model"]
    assert of_row(report(tmp_path / "run"), SMALL)["folds"][1] == errors
    again = [*asked, "--fold-column", "number", "--published", "theirs", *LINE, "-o", "column"]
    assert crystal(again, tmp_path).returncode == 0
    assert of_row(report(tmp_path / "column"), SMALL) == of_row(report(done), SMALL)


def test_the_test_part_chooses_nothing(tmp_path: Path) -> None:
    """Other labels of a fold change what is said of that fold, and nothing of the model that tests it."""
    rows = write(tmp_path / "salts.csv")
    words = ["--fold-column", "part", "--arch", SMALL, *LINE]
    assert crystal([*ASKED, *words], tmp_path).returncode == 0
    text = (tmp_path / "salts.csv").read_text()
    for row in rows:
        if row[2] == "1":
            text = text.replace(f"{row[0]},{row[1]}", f"{row[0]},{float(row[1]) + 3.0:.6f}")
    (tmp_path / "salts.csv").write_text(text)
    assert crystal([*ASKED, *words[:-1], "other"], tmp_path).returncode == 0
    one, other = ([(tmp_path / f / p).read_bytes() for p in models(tmp_path / f)] for f in ("run", "other"))
    assert [a == b for a, b in zip(one, other, strict=True)] == [False, True, False]


def models(folder: Path) -> list[Path]:
    return sorted(p.relative_to(folder) for p in folder.glob("*-fold-*/model.safetensors"))


def test_killed_in_any_fold_it_goes_on(tmp_path: Path) -> None:
    write(tmp_path / "salts.csv")
    words = [*ASKED, "--fold-column", "part", "--published", "theirs", "--arch", SMALL, *LINE]
    assert crystal([*words, "-o", "whole"], tmp_path).returncode == 0
    chance, killed = random.Random(3), []
    for k in range(3):  # in the fold k, once its folder is there
        process = subprocess.Popen([sys.executable, "-m", "crystalcli", *words], cwd=tmp_path)
        while process.poll() is None and not list(tmp_path.glob(f"run/*-fold-{k}/run.json")):
            time.sleep(0.005)
        time.sleep(chance.uniform(0.0, 0.1))
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            killed.append(k)
        process.wait()
    assert killed
    ran = crystal(["benchmark", "--resume", str(tmp_path / "run"), "--quiet"], tmp_path)  # spelled otherwise
    assert ran.returncode == 0, ran.stderr
    for path in sorted((tmp_path / "whole").rglob("*")):
        name = path.relative_to(tmp_path / "whole")
        if path.suffix in (".csv", ".safetensors", ".h5", ".png") or path.name.startswith("fold-"):
            assert (tmp_path / "run" / name).read_bytes() == path.read_bytes(), name
    one, other = report(tmp_path / "whole"), report(tmp_path / "run")
    assert {k: v for k, v in one.items() if k != "output"} == {k: v for k, v in other.items() if k != "output"}


def test_what_fails_costs_the_others_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training that ends badly is listed, has no mean, and the command ends with 3."""
    from crystalcli.train import loop
    from crystalcli.vocabulary.errors import NumericalFailure

    write(tmp_path / "salts.csv")
    train = loop.Trainer.train

    def fails(self: Any) -> None:
        if self.run.path.name == "cgcnn-n_conv-1-width-4-hidden-4-fold-1":
            raise NumericalFailure("the loss is not finite")
        train(self)

    monkeypatch.setattr(loop.Trainer, "train", fails)
    other = f"{SMALL},lr=0.02"
    ran = crystal([*ASKED, "--fold-column", "part", "--arch", SMALL, "--arch", other, *LINE], tmp_path)
    assert ran.returncode == 3, ran.stderr
    said = report(tmp_path / "run")
    assert [(f["architecture"], f["fold"]) for f in said["failed"]] == [(SMALL, "p1")]
    assert "the loss is not finite" in said["failed"][0]["reason"]
    row = of_row(said, SMALL)
    assert (row["mean"], row["all"]) == (None, None)
    assert "mae" in row["folds"][0]
    assert of_row(said, other)["mean"]["mae"]["std"] > 0
    assert of_row(said, "mean")["mean"] is not None
    folds = [r["fold"] for r in fold_table.read(tmp_path / "run" / "predictions-cgcnn-n_conv-1-width-4-hidden-4.csv")]
    assert set(folds) == {"p0", "p2"}


class TestBenchmark(WorkflowContract):
    """Workflow ``benchmark`` as ``crystal plugins check`` tries it."""

    part = BENCHMARK
    kills = 1
