"""Several seeds and architectures in one command: one split, mean and spread, stopped and resumed."""

import json
from pathlib import Path

import numpy as np
import pytest
from workflows import small_cache
from workflows.test_training import ENERGY, StopAfter, plan

from crystalcli.mechanisms.running.run_folder import RunFolder
from crystalcli.mechanisms.running.stopping import Stop
from crystalcli.vocabulary.errors import Stopped, UsageError
from crystalcli.workflows.hearing import Listener
from crystalcli.workflows.train import training, training_series
from crystalcli.workflows.train.training_series import Series


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_cache.write(tmp_path_factory.mktemp("caches") / "graphs.h5")


def test_seeds_share_the_split_and_differ_in_nothing_but_their_beginnings(cache: Path, tmp_path: Path) -> None:
    report = training_series.run(plan(cache, tmp_path / "all", seed=5), Series(3))
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
    alone = training.run(plan(cache, tmp_path / "alone", seed=5))
    assert (folders[0] / "model.safetensors").read_bytes() == alone.model.read_bytes()


def test_another_architecture_beside_every_run(cache: Path, tmp_path: Path) -> None:
    made = plan(cache, tmp_path / "two", compare=("lcgcn",))
    report = training_series.run(made, Series(2))
    row = report.data["test"][ENERGY]
    assert row["compared"]["lcgcn"]["runs"] == 2
    assert row["compared"]["lcgcn"]["mae"]["mean"] != row["model"]["mae"]["mean"]
    assert "mean" in row["baselines"]
    assert (tmp_path / "two" / "seed-1" / "lcgcn" / "model.safetensors").exists()


def test_stopped_in_the_second_run_and_resumed(cache: Path, tmp_path: Path) -> None:
    whole = training_series.run(plan(cache, tmp_path / "whole"), Series(2))
    broken = plan(cache, tmp_path / "broken")
    with pytest.raises(Stopped, match=r"1 of 2 runs are finished; go on with: crystal train --resume .*broken$"):
        training_series.run(broken, Series(2), Listener(), StopAfter(20))
    first = (tmp_path / "broken" / "seed-0" / "model.safetensors").stat().st_mtime_ns
    report = training_series.resume(tmp_path / "broken", {}, Listener(), Stop())
    assert report.data["test"] == whole.data["test"]
    assert (tmp_path / "broken" / "seed-0" / "model.safetensors").stat().st_mtime_ns == first
    with pytest.raises(UsageError, match="finished"):
        training_series.resume(tmp_path / "broken", {}, Listener(), Stop())


def test_one_run_has_no_spread_and_no_labels_have_no_number() -> None:
    assert training_series.spread([{"n": 3, "mae": 0.5, "r2": None}]) == {
        "runs": 1,
        "n": 3,
        "mae": {"mean": 0.5, "std": None},
    }
    assert training_series.spread([{"n": 3, "mae": 0.5}, None]) is None
