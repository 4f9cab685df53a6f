"""Architectures trained beside a model: same split, whole runs, no trace in the model; stopped, resumed."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from workflows import small_cache
from workflows.test_training import ENERGY, RECIPE, StopAfter, plan

from crystalcli.mechanisms.running.run_folder import RunFolder
from crystalcli.mechanisms.running.stopping import Stop
from crystalcli.vocabulary.errors import NumericalFailure, Stopped, UsageError
from crystalcli.workflows.hearing import Listener
from crystalcli.workflows.train import training, training_loop, training_series
from crystalcli.workflows.train.training_plan import StartPlan, TrainingPlan
from crystalcli.workflows.train.training_series import Series


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_cache.write(tmp_path_factory.mktemp("caches") / "graphs.h5")


@pytest.fixture(scope="module")
def both(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> training.TrainingReport:
    return training.run(plan(cache, tmp_path_factory.mktemp("runs") / "both", compare=("lcgcn",)))


def test_it_leaves_no_trace_in_the_model(cache: Path, both: training.TrainingReport, tmp_path: Path) -> None:
    alone = training.run(plan(cache, tmp_path / "alone"))
    assert alone.model.read_bytes() == both.model.read_bytes()
    assert alone.data["test"][ENERGY]["compared"] == {}


def test_it_is_the_run_that_would_have_been_without_the_model(
    cache: Path, both: training.TrainingReport, tmp_path: Path
) -> None:
    alone = training.run(
        plan(
            cache,
            tmp_path / "alone",
            architecture="lcgcn",
            architecture_options={},
            head_options={"hidden": 8, "pool": "fcmax", "pool_norm": "batch"},
        )
    )
    assert alone.model.read_bytes() == (both.folder / "lcgcn" / "model.safetensors").read_bytes()
    assert both.data["test"][ENERGY]["compared"]["lcgcn"] == alone.data["test"][ENERGY]["model"]
    splits = [json.loads((f / "splits.json").read_text()) for f in (both.folder, both.folder / "lcgcn")]
    assert splits[0] == splits[1]


@pytest.mark.parametrize("questions", [2, 10, 17, 22])
def test_stopped_anywhere_and_resumed(
    cache: Path, both: training.TrainingReport, tmp_path: Path, questions: int
) -> None:
    """Sixteen questions belong to the model, as many to what stands beside it."""
    broken = plan(cache, tmp_path / "broken", compare=("lcgcn",))
    with pytest.raises(Stopped, match=r"go on with: crystal train --resume \S*broken(,|$)"):
        training.run(broken, Listener(), StopAfter(questions))
    assert RunFolder.read(tmp_path / "broken")["exit_code"] == 75
    report = training.resume(tmp_path / "broken", {}, Listener(), Stop())
    assert report.data["test"] == both.data["test"]
    assert report.model.read_bytes() == both.model.read_bytes()


def test_killed_before_it_kept_anything(cache: Path, both: training.TrainingReport, tmp_path: Path) -> None:
    broken = plan(cache, tmp_path / "broken", compare=("lcgcn",))
    with pytest.raises(Stopped):
        training.run(broken, Listener(), StopAfter(22))
    for state in (tmp_path / "broken" / "lcgcn").glob("state-*"):
        state.unlink()
    assert training.resume(tmp_path / "broken", {}, Listener(), Stop()).data["test"] == both.data["test"]


def test_what_an_older_run_left_does_not_count(cache: Path, tmp_path: Path) -> None:
    wished = plan(cache, tmp_path / "run", compare=("lcgcn",))
    training.run(wished)
    old = tmp_path / "run" / "lcgcn" / "run.json"
    record = json.loads(old.read_text())
    old.write_text(json.dumps({**record, "started": "2020-01-01T00:00:00+00:00"}))
    other = replace(wished, overwrite=True, seed=7)
    with pytest.raises(Stopped):
        training.run(other, Listener(), StopAfter(16))
    report = training.resume(tmp_path / "run", {}, Listener(), Stop())
    assert json.loads((tmp_path / "run" / "lcgcn" / "report.json").read_text())["seed"] == 7
    assert report.data["test"][ENERGY]["compared"]["lcgcn"]["n"] == 8


def test_its_failure_costs_the_model_nothing(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = training_loop.Trainer.run

    def run(trainer: training_loop.Trainer) -> None:
        if trainer.plan.architecture == "lcgcn":
            raise NumericalFailure("the loss of step 3 is not a number", path="x")
        sound(trainer)

    monkeypatch.setattr(training_loop.Trainer, "run", run)
    heard: list[str] = []
    report = training.run(plan(cache, tmp_path / "run", compare=("lcgcn",)), Listener(warn=heard.append))
    assert report.data["test"][ENERGY]["compared"] == {"lcgcn": {"skipped": "the loss of step 3 is not a number"}}
    assert report.targets[0].rows["lcgcn"] == "the loss of step 3 is not a number"
    assert RunFolder.read(tmp_path / "run")["exit_code"] == 0
    assert any("lcgcn" in w and "step 3" in w for w in heard)


def test_refused_before_anything_is_written(cache: Path, both: training.TrainingReport, tmp_path: Path) -> None:
    wrong: list[tuple[TrainingPlan, str]] = [
        (plan(cache, tmp_path / "run", compare=("cgcnn",)), "is the architecture itself"),
        (plan(cache, tmp_path / "run", compare=("no-such",)), "no-such"),
        (plan(cache, tmp_path / "run", compare=("pair-moments",)), "requires smooth-cutoff"),
        (plan(cache, tmp_path / "run", compare=("lcgcn",), start=StartPlan(str(both.model))), "--from"),
    ]
    for wished, message in wrong:
        with pytest.raises(UsageError, match=message):
            training.run(wished)
    assert not (tmp_path / "run").exists()


def test_an_ensemble_has_it_once(cache: Path, tmp_path: Path) -> None:
    few = plan(cache, tmp_path / "e", compare=("lcgcn",), recipe=replace(RECIPE, epochs=1))
    report = training_series.run(few, Series(2, ensemble=True))
    assert report.data["test"][ENERGY]["compared"]["lcgcn"]["runs"] == 1
    assert [p.parent.name for p in sorted((tmp_path / "e").glob("member-*/lcgcn"))] == ["member-0"]


def test_baselines_that_were_asked_for(cache: Path, tmp_path: Path) -> None:
    """Once in a series, in no run beside; with what was chosen for them, or why there is none."""
    few = plan(cache, tmp_path / "s", compare=("lcgcn",), baselines=("krr",), recipe=replace(RECIPE, epochs=1))
    data = training_series.run(few, Series(2)).data
    row = data["test"][ENERGY]["baselines"]["krr"]
    assert 0 < row["mae"] < data["test"][ENERGY]["baselines"]["mean"]["mae"]
    assert row["length"] > 0
    assert row["penalty"] > 0
    reports = [json.loads((tmp_path / "s" / f / "report.json").read_text()) for f in ("seed-1", "seed-0/lcgcn")]
    assert not any("krr" in r["test"][ENERGY]["baselines"] for r in reports)
    with pytest.raises(UsageError, match="no baseline 'svm'"):
        training.run(plan(cache, tmp_path / "none", baselines=("svm",)))
    assert not (tmp_path / "none").exists()
