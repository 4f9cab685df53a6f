"""Several seeds and architectures in one command: one split, mean and spread, stopped and resumed."""

import json
import os
from pathlib import Path
from typing import Any

import ase.build
import numpy as np
import pytest
from common import small_cache
from common.some_trainings import changed, resume, train
from train.test_training import ENERGY, StopAfter, plan

from crystalcli.cli.main import run as crystal
from crystalcli.contracts.host import Reporter
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.run.locks import locked
from crystalcli.engine.run.run_folder import RunFolder
from crystalcli.train import baseline, series, setup
from crystalcli.vocabulary.errors import EnvironmentProblem, Exit, Stopped


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
    assert series.spread([{"n": 3, "mae": 0.5, "r2": None}]) == {
        "runs": 1,
        "n": 3,
        "mae": {"mean": 0.5, "std": None},
    }
    assert series.spread([{"n": 3, "mae": 0.5}, None]) is None


@pytest.mark.parametrize(
    "several", [{"seeds": 2}, {"ensemble": 2}, {"learning_curve": "5,12"}, {"all_folds": True, "folds": 2}]
)
def test_several_that_are_being_trained_are_left_alone(cache: Path, tmp_path: Path, several: dict[str, Any]) -> None:
    """Neither overwritten nor gone on with, the one under way neither; it has the lock itself, and lists it nowhere."""
    mine = plan(cache, tmp_path / "run", **several)
    held: list[bool] = []

    class Looks(StopAfter):
        def reason(self) -> str | None:
            within = next(p.parent for p in sorted((tmp_path / "run").glob("*/run.json")))
            with pytest.raises(EnvironmentProblem, match="is writing it"), locked(tmp_path / "run" / "run"):
                pass
            with pytest.raises(EnvironmentProblem, match="is writing it"), locked(within / "run"):
                pass
            held.append(True)
            return super().reason()

    with pytest.raises(Stopped):
        train(mine, stop=Looks(6))
    assert held
    before = {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()}
    with locked(tmp_path / "run" / "run"):
        for again in (lambda: train(mine), lambda: resume(tmp_path / "run"), lambda: train(mine, overwrite=True)):
            with pytest.raises(EnvironmentProblem, match=f"process {os.getpid()} on .* is writing it") as refused:
                again()
            assert refused.value.exit_code == Exit.ENVIRONMENT
    assert {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()} == before
    resume(tmp_path / "run")
    assert not [name for name in RunFolder.read(tmp_path / "run")["outputs"] if "lock" in name]


def test_a_second_command_on_a_series_under_way_ends_with_the_code_of_locked_folders(cache, tmp_path, capsys) -> None:
    line = ["train", str(cache), "--epochs", "1", "--n-conv", "1", "--width", "8", "-o", str(tmp_path / "run")]
    with locked(tmp_path / "run" / "run"):
        for more in (["--seeds", "2"], ["--ensemble", "2"], ["--learning-curve", "5,12"]):
            assert crystal([*line, *more]) == Exit.ENVIRONMENT
            assert f"process {os.getpid()} on " in capsys.readouterr().err
    assert not list((tmp_path / "run").glob("*"))


def test_the_data_are_read_once(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the members say what they say alone."""
    opened, split, fitted = [], [], []
    real_open, real_choose, real_fit = GraphDataset.open, setup.choose, baseline.fitted_baselines
    monkeypatch.setattr(baseline, "fitted_baselines", lambda *a: fitted.append(a) or real_fit(*a))
    monkeypatch.setattr(GraphDataset, "open", lambda paths: opened.append(paths) or real_open(paths))
    monkeypatch.setattr(setup, "choose", lambda *a: split.append(a) or real_choose(*a))
    few = plan(cache, tmp_path / "s", epochs=1, residual_of="auto")
    train(few, seeds=3)
    assert (len(opened), len(split), len(fitted)) == (1, 1, 1)
    alone = train(changed(few, output=tmp_path / "alone", seed=2, split_seed=0))
    assert alone.model.read_bytes() == (tmp_path / "s" / "seed-2" / "model.safetensors").read_bytes()
    logs = [
        [x[20:] for x in (f / "log.txt").read_text().splitlines()] for f in (alone.folder, tmp_path / "s" / "seed-2")
    ]
    assert [x.split("  ")[0] for x in logs[0]] == [x.split("  ")[0] for x in logs[1]]


def test_zeroth_terms_are_fitted_anew_where_they_are_others(cache: Path, tmp_path: Path) -> None:
    first = setup.prepare(plan(cache, tmp_path / "a", residual_of="elements"), Reporter())
    said: list[str] = []

    def fit(**changes: Any) -> baseline.BaselineFit:
        request = plan(cache, tmp_path / "b", **{"residual_of": "elements", **changes})
        return setup.prepare(request, Reporter(said.append), first).fit

    assert fit() is first.fit
    assert fit(seed=3, split_seed=0) is first.fit
    assert fit(residual_of="mean").baselines[ENERGY].name == "mean"
    for other in ({"seed": 3}, {"train_size": 9}):
        again = fit(**other)
        assert again is not first.fit
        assert not np.array_equal(again.values[ENERGY], first.fit.values[ENERGY])


def test_members_have_splits_of_their_own_though_the_data_are_read_once(tmp_path: Path) -> None:
    salts = [f"{a}{b}" for a in ("Li", "Na", "K", "Rb") for b in ("F", "Cl", "Br")]
    many = [ase.build.bulk(name, "rocksalt", a=a) for name in salts for a in (5.0, 5.3, 5.6)]
    few = plan(small_cache.write(tmp_path / "many.h5", structures=many), tmp_path / "e", epochs=1)
    train(few, ensemble=2)
    parts = [json.loads((tmp_path / "e" / f"member-{k}" / "splits.json").read_text()) for k in range(2)]
    assert parts[0]["train"] != parts[1]["train"]
    alone = setup.prepare(changed(few, member=1, seed=1, split_seed=0), Reporter())
    assert alone.split.to_json(alone.ids) == parts[1]
