"""Architectures trained beside a model: same split, whole runs, no trace in the model; stopped, resumed."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from common import small_cache
from common.some_trainings import Trained, changed, resume, train
from train.test_training import ENERGY, RECIPE, StopAfter, plan

from crystalcli.contracts.host import Host
from crystalcli.contracts.request import Request
from crystalcli.engine.run.run_folder import RunFolder
from crystalcli.train import loop
from crystalcli.train.workflow import TRAIN
from crystalcli.vocabulary.errors import NumericalFailure, Stopped, UsageError


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_cache.write(tmp_path_factory.mktemp("caches") / "graphs.h5")


@pytest.fixture(scope="module")
def both(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(plan(cache, tmp_path_factory.mktemp("runs") / "both", compare=("lcgcn",)))


def test_it_leaves_no_trace_in_the_model(cache: Path, both: Trained, tmp_path: Path) -> None:
    alone = train(plan(cache, tmp_path / "alone"))
    assert alone.model.read_bytes() == both.model.read_bytes()
    assert alone.data["test"][ENERGY]["compared"] == {}


def test_it_is_the_run_that_would_have_been_without_the_model(cache: Path, both: Trained, tmp_path: Path) -> None:
    alone = train(
        plan(
            cache,
            tmp_path / "alone",
            arch="lcgcn",
            arch_options={},
            head_options={"hidden": 8, "pool": "fcmax", "pool_norm": "batch"},
        )
    )
    assert alone.model.read_bytes() == (both.folder / "lcgcn" / "model.safetensors").read_bytes()
    assert both.data["test"][ENERGY]["compared"]["lcgcn"] == alone.data["test"][ENERGY]["model"]
    splits = [json.loads((f / "splits.json").read_text()) for f in (both.folder, both.folder / "lcgcn")]
    assert splits[0] == splits[1]


@pytest.mark.parametrize("questions", [2, 10, 17, 22])
def test_stopped_anywhere_and_resumed(cache: Path, both: Trained, tmp_path: Path, questions: int) -> None:
    """Sixteen questions belong to the model, as many to what stands beside it."""
    broken = plan(cache, tmp_path / "broken", compare=("lcgcn",))
    with pytest.raises(Stopped, match=r"go on with: crystal train --resume \S*broken(,|$)"):
        train(broken, Host(), StopAfter(questions))
    assert RunFolder.read(tmp_path / "broken")["exit_code"] == 75
    report = resume(tmp_path / "broken")
    assert report.data["test"] == both.data["test"]
    assert report.model.read_bytes() == both.model.read_bytes()


def test_killed_before_it_kept_anything(cache: Path, both: Trained, tmp_path: Path) -> None:
    broken = plan(cache, tmp_path / "broken", compare=("lcgcn",))
    with pytest.raises(Stopped):
        train(broken, Host(), StopAfter(22))
    for state in (tmp_path / "broken" / "lcgcn").glob("state-*"):
        state.unlink()
    assert resume(tmp_path / "broken").data["test"] == both.data["test"]


def test_what_an_older_run_left_does_not_count(cache: Path, tmp_path: Path) -> None:
    wished = plan(cache, tmp_path / "run", compare=("lcgcn",))
    train(wished)
    (tmp_path / "run" / "lcgcn" / "left").write_text("by the older one")
    other = changed(wished, seed=7)
    with pytest.raises(Stopped):
        train(other, stop=StopAfter(16), overwrite=True)
    report = resume(tmp_path / "run")
    assert json.loads((tmp_path / "run" / "lcgcn" / "report.json").read_text())["seed"] == 7
    assert report.data["test"][ENERGY]["compared"]["lcgcn"]["n"] == 8
    assert not (tmp_path / "run" / "lcgcn" / "left").exists()


def test_its_failure_costs_the_model_nothing(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = loop.Trainer.train

    def run(trainer: loop.Trainer) -> None:
        if trainer.options.arch == "lcgcn":
            raise NumericalFailure("the loss of step 3 is not a number", path="x")
        sound(trainer)

    monkeypatch.setattr(loop.Trainer, "train", run)
    heard: list[str] = []
    report = train(plan(cache, tmp_path / "run", compare=("lcgcn",)), Host(warn=heard.append))
    assert report.data["test"][ENERGY]["compared"] == {"lcgcn": {"skipped": "the loss of step 3 is not a number"}}
    assert "baseline lcgcn: skipped, the loss of step 3 is not a number" in TRAIN.show(report.data).lines
    assert RunFolder.read(tmp_path / "run")["exit_code"] == 0
    assert any("lcgcn" in w and "step 3" in w for w in heard)


def test_refused_before_anything_is_written(cache: Path, both: Trained, tmp_path: Path) -> None:
    wrong: list[tuple[Request, str]] = [
        (plan(cache, tmp_path / "run", compare=("cgcnn",)), "is the architecture itself"),
        (plan(cache, tmp_path / "run", compare=("no-such",)), "no-such"),
        (plan(cache, tmp_path / "run", compare=("pair-moments",)), "requires smooth-cutoff"),
        (plan(cache, tmp_path / "run", compare=("lcgcn",), from_=both.model), "--from"),
    ]
    for wished, message in wrong:
        with pytest.raises(UsageError, match=message):
            train(wished)
    assert not (tmp_path / "run").exists()


def test_an_ensemble_has_it_once(cache: Path, tmp_path: Path) -> None:
    few = plan(cache, tmp_path / "e", compare=("lcgcn",), recipe=replace(RECIPE, epochs=1))
    report = train(few, ensemble=2)
    assert report.data["test"][ENERGY]["compared"]["lcgcn"]["runs"] == 1
    assert [p.parent.name for p in sorted((tmp_path / "e").glob("member-*/lcgcn"))] == ["member-0"]


def test_baselines_that_were_asked_for(cache: Path, tmp_path: Path) -> None:
    """Once in a series, in no run beside; with what was chosen for them, or why there is none."""
    few = plan(cache, tmp_path / "s", compare=("lcgcn",), baseline=("krr",), recipe=replace(RECIPE, epochs=1))
    data = train(few, seeds=2).data
    row = data["test"][ENERGY]["baselines"]["krr"]
    assert 0 < row["mae"] < data["test"][ENERGY]["baselines"]["mean"]["mae"]
    assert row["length"] > 0
    assert row["penalty"] > 0
    reports = [json.loads((tmp_path / "s" / f / "report.json").read_text()) for f in ("seed-1", "seed-0/lcgcn")]
    assert not any("krr" in r["test"][ENERGY]["baselines"] for r in reports)
    with pytest.raises(UsageError, match="no baseline 'svm'"):
        train(plan(cache, tmp_path / "none", baseline=("svm",)))
    assert not (tmp_path / "none").exists()
