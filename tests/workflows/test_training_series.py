"""Several seeds and architectures in one command: one split, mean and spread, stopped and resumed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from workflows import small_cache
from workflows.some_trainings import changed, resume, train
from workflows.test_training import ENERGY, StopAfter, plan

from crystalcli.contracts.workflow import Host
from crystalcli.mechanisms.datasets.dataset import GraphDataset
from crystalcli.mechanisms.running.run_folder import RunFolder
from crystalcli.vocabulary.errors import EnvironmentProblem, Exit, Stopped, UsageError
from crystalcli.workflows.train import training_series, training_setup


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_cache.write(tmp_path_factory.mktemp("caches") / "graphs.h5")


def test_seeds_share_the_split_and_differ_in_nothing_but_their_beginnings(cache: Path, tmp_path: Path) -> None:
    report = train(plan(cache, tmp_path / "all", seed=5), seeds=3)
    folders = [tmp_path / "all" / f"seed-{k}" for k in (5, 6, 7)]
    splits = [json.loads((f / "splits.json").read_text()) for f in folders]
    assert splits[0] == splits[1] == splits[2]
    errors = [json.loads((f / "report.json").read_text())["test"][ENERGY]["model"]["mae"] for f in folders]
    assert len(set(errors)) == 3
    said = json.loads((tmp_path / "all" / "report.json").read_text())
    assert said == json.loads(json.dumps(report.data))
    assert said["test"][ENERGY]["model"]["mae"]["mean"] == pytest.approx(np.mean(errors), rel=1e-12)
    assert said["test"][ENERGY]["model"]["mae"]["std"] == pytest.approx(np.std(errors, ddof=1), rel=1e-9)
    assert said["test"][ENERGY]["model"]["runs"] == 3
    assert RunFolder.read(tmp_path / "all")["exit_code"] == 0
    alone = train(plan(cache, tmp_path / "alone", seed=5))
    assert (folders[0] / "model.safetensors").read_bytes() == alone.model.read_bytes()


def test_another_architecture_beside_every_run(cache: Path, tmp_path: Path) -> None:
    made = plan(cache, tmp_path / "two", compare=("lcgcn",))
    report = train(made, seeds=2)
    row = report.data["test"][ENERGY]
    assert row["compared"]["lcgcn"]["runs"] == 2
    assert row["compared"]["lcgcn"]["mae"]["mean"] != row["model"]["mae"]["mean"]
    assert "mean" in row["baselines"]
    assert (tmp_path / "two" / "seed-1" / "lcgcn" / "model.safetensors").exists()


def test_stopped_in_the_second_run_and_resumed(cache: Path, tmp_path: Path) -> None:
    whole = train(plan(cache, tmp_path / "whole"), seeds=2)
    broken = plan(cache, tmp_path / "broken")
    with pytest.raises(Stopped, match=r"1 of 2 runs are finished; go on with: crystal train --resume .*broken$"):
        train(broken, stop=StopAfter(20), seeds=2)
    first = (tmp_path / "broken" / "seed-0" / "model.safetensors").stat().st_mtime_ns
    report = resume(tmp_path / "broken")
    assert report.data["test"] == whole.data["test"]
    assert (tmp_path / "broken" / "seed-0" / "model.safetensors").stat().st_mtime_ns == first
    assert resume(tmp_path / "broken").before


def test_one_run_has_no_spread_and_no_labels_have_no_number() -> None:
    assert training_series.spread([{"n": 3, "mae": 0.5, "r2": None}]) == {
        "runs": 1,
        "n": 3,
        "mae": {"mean": 0.5, "std": None},
    }
    assert training_series.spread([{"n": 3, "mae": 0.5}, None]) is None


@pytest.mark.parametrize("several", [{"seeds": 2}, {"ensemble": 2}, {"learning_curve": "5,12"}, {"all_folds": True}])
def test_a_second_program_is_refused(cache: Path, tmp_path: Path, several: dict[str, Any]) -> None:
    """The folder of them all is locked, as that of any run is, and so is that of the one under way."""
    wished = plan(cache, tmp_path / "run", folds=3 if "all_folds" in several else 0, **several)
    refused: list[EnvironmentProblem] = []

    def again(_now: str, _done: float, _of: float | None) -> None:
        if refused:
            return
        for go_on in (lambda: train(wished), lambda: resume(tmp_path / "run"), lambda: resume(under_way())):
            with pytest.raises(EnvironmentProblem, match="is writing it") as caught:
                go_on()
            assert caught.value.exit_code == Exit.ENVIRONMENT
            refused.append(caught.value)

    def under_way() -> Path:
        return next(p.parent for p in (tmp_path / "run").glob("*/run.json"))

    found = train(changed(wished, epochs=1), Host(progress=lambda *_: None))
    assert found.data["exit_code"] == 0
    with pytest.raises(UsageError, match="epochs differ"):
        train(wished)
    train(wished, Host(progress=again), overwrite=True)
    assert len(refused) == 3


def test_the_data_are_read_once(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the members say what they say alone."""
    opened, split = [], []
    real_open, real_choose = GraphDataset.open, training_setup.choose
    monkeypatch.setattr(GraphDataset, "open", lambda paths: opened.append(paths) or real_open(paths))
    monkeypatch.setattr(training_setup, "choose", lambda *a: split.append(a) or real_choose(*a))
    few = plan(cache, tmp_path / "s", epochs=1)
    train(few, seeds=3)
    assert (len(opened), len(split)) == (1, 1)
    alone = train(changed(few, output=tmp_path / "alone", seed=2, split_seed=0))
    assert alone.model.read_bytes() == (tmp_path / "s" / "seed-2" / "model.safetensors").read_bytes()
    logs = [
        [x[20:] for x in (f / "log.txt").read_text().splitlines()] for f in (alone.folder, tmp_path / "s" / "seed-2")
    ]
    assert [x.split("  ")[0] for x in logs[0]] == [x.split("  ")[0] for x in logs[1]]
