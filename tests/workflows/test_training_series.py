"""Several seeds and architectures in one command: one split, mean and spread, stopped and resumed."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from workflows import small_cache
from workflows.test_training import ENERGY, StopAfter, plan

from crystalcli.commands.main import run as crystal
from crystalcli.mechanisms.running.locks import locked
from crystalcli.mechanisms.running.run_folder import RunFolder
from crystalcli.mechanisms.running.stopping import Stop
from crystalcli.vocabulary.errors import EnvironmentProblem, Exit, Stopped, UsageError
from crystalcli.workflows.hearing import Listener
from crystalcli.workflows.train import training, training_series
from crystalcli.workflows.train.training_plan import SplitPlan
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


@pytest.mark.parametrize(
    "series", [Series(2), Series(2, ensemble=True), Series(folds=True)], ids=["seeds", "ensemble", "folds"]
)
def test_a_series_that_is_being_trained_is_left_alone(cache: Path, tmp_path: Path, series: Series) -> None:
    """Neither overwritten nor gone on with; and while it works it has the lock itself, and lists it nowhere."""
    mine = plan(cache, tmp_path / "run", split=SplitPlan(kind="random", fractions="0.6,0.2,0.2", folds=2))
    held: list[bool] = []

    class Looks(StopAfter):
        def reason(self) -> str | None:
            with pytest.raises(EnvironmentProblem, match="is writing it"), locked(tmp_path / "run" / "run"):
                pass
            held.append(True)
            return super().reason()

    with pytest.raises(Stopped):
        training_series.run(mine, series, Listener(), Looks(12))
    before = {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()}
    with locked(tmp_path / "run" / "run"):
        for again in (
            lambda: training_series.resume(tmp_path / "run", {}, Listener(), Stop()),
            lambda: training_series.run(replace(mine, overwrite=True), series),
        ):
            with pytest.raises(EnvironmentProblem, match=f"process {os.getpid()} on .* is writing it") as refused:
                again()
            assert refused.value.exit_code == Exit.ENVIRONMENT
    assert {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()} == before
    held.clear()
    training_series.resume(tmp_path / "run", {}, Listener(), Looks(10**9))
    assert held
    assert not [name for name in RunFolder.read(tmp_path / "run")["outputs"] if "lock" in name]


def test_a_second_command_on_a_series_under_way_ends_with_the_code_of_locked_folders(cache, tmp_path, capsys) -> None:
    line = ["train", str(cache), "--epochs", "1", "--n-conv", "1", "--width", "8", "-o", str(tmp_path / "run")]
    with locked(tmp_path / "run" / "run"):
        for more in (["--seeds", "2"], ["--ensemble", "2"], ["--learning-curve", "5,12"]):
            assert crystal([*line, *more]) == Exit.ENVIRONMENT
            assert f"process {os.getpid()} on " in capsys.readouterr().err
    assert not list((tmp_path / "run").glob("*"))


def test_one_run_has_no_spread_and_no_labels_have_no_number() -> None:
    assert training_series.spread([{"n": 3, "mae": 0.5, "r2": None}]) == {
        "runs": 1,
        "n": 3,
        "mae": {"mean": 0.5, "std": None},
    }
    assert training_series.spread([{"n": 3, "mae": 0.5}, None]) is None
