"""Learning curves: one test part, nested training parts, scratch beside transfer, stopped and gone on with."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tomli
from workflows import small_cache
from workflows.test_training import ENERGY, StopAfter, plan

from crystalcli.commands.main import run
from crystalcli.mechanisms.running.locks import locked
from crystalcli.mechanisms.running.run_folder import RunFolder
from crystalcli.vocabulary.errors import EnvironmentProblem, Stopped, UsageError
from crystalcli.workflows.hearing import Listener
from crystalcli.workflows.train import training, training_curve
from crystalcli.workflows.train.training_curve import Curve
from crystalcli.workflows.train.training_plan import StartPlan
from crystalcli.workflows.train.training_series import Series


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_cache.write(tmp_path_factory.mktemp("caches") / "graphs.h5")


@pytest.fixture(scope="module")
def source(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source") / "run"
    training.run(plan(cache, folder))
    return folder


def test_one_test_part_and_nested_training_parts(cache: Path, source: Path, tmp_path: Path) -> None:
    wish = plan(cache, tmp_path / "c", start=StartPlan(str(source)))
    report = training_curve.run(wish, Curve((5, 12), 1e-3), Series(), Listener(), StopAfter(10**9))
    names = ["scratch-5", "transfer-5", "scratch-12", "transfer-12"]
    splits = [json.loads((tmp_path / "c" / n / "splits.json").read_text()) for n in names]
    assert len({tuple(s["test"]) for s in splits}) == 1
    assert [len(s["train"]) for s in splits] == [5, 5, 12, 12]
    assert set(splits[0]["train"]) < set(splits[2]["train"])
    plans = [json.loads((tmp_path / "c" / n / "run.json").read_text())["plan"] for n in names]
    assert [p["start"]["model"] for p in plans] == ["", str(source), "", str(source)]
    assert plans[0]["recipe"]["lr"] == 1e-3
    assert plans[0]["architecture_options"] == plan(cache, tmp_path).architecture_options
    found = report.data["curves"][ENERGY]["points"]
    assert [(p["beginning"], p["structures"]) for p in found] == [
        (*n.split("-")[:1], int(n.split("-")[1])) for n in names
    ]
    for p, n in zip(found, names, strict=True):
        own = json.loads((tmp_path / "c" / n / "report.json").read_text())
        assert p["error"] == own["test"][ENERGY]["model"]["mae"]
    with (tmp_path / "c" / f"learning-curve-{ENERGY}.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(r["MAE [eV/atom]"]) for r in rows] == [p["error"] for p in found]
    assert (tmp_path / "c" / f"learning-curve-{ENERGY}.png").exists()


def test_a_curve_that_is_being_trained_is_left_alone(cache: Path, tmp_path: Path) -> None:
    wish, curve = plan(cache, tmp_path / "c"), Curve((5, 12))
    with pytest.raises(Stopped):
        training_curve.run(wish, curve, Series(), Listener(), StopAfter(6))
    before = {p: p.read_bytes() for p in (tmp_path / "c").rglob("*") if p.is_file()}
    with locked(tmp_path / "c" / "run"):
        for again in (
            lambda: training_curve.resume(tmp_path / "c", {}, Listener(), StopAfter(10**9)),
            lambda: training_curve.run(replace(wish, overwrite=True), curve, Series(), Listener(), StopAfter(10**9)),
        ):
            with pytest.raises(EnvironmentProblem, match="is writing it") as refused:
                again()
            assert refused.value.exit_code == 5
    assert {p: p.read_bytes() for p in (tmp_path / "c").rglob("*") if p.is_file()} == before
    held: list[bool] = []

    class Looks(StopAfter):
        def reason(self) -> str | None:
            with pytest.raises(EnvironmentProblem), locked(tmp_path / "c" / "run"):
                pass
            held.append(True)
            return super().reason()

    training_curve.resume(tmp_path / "c", {}, Listener(), Looks(10**9))
    assert held
    assert not [name for name in RunFolder.read(tmp_path / "c")["outputs"] if "lock" in name]


def test_wishes_that_cannot_be_granted(cache: Path, source: Path, tmp_path: Path) -> None:
    wish = plan(cache, tmp_path / "c", start=StartPlan(str(source)))
    with pytest.raises(UsageError, match="--epochs 0"):
        training_curve.points(replace(wish, recipe=replace(wish.recipe, epochs=0)), Curve((5,)))
    for text in ("", "1,50", "60;250", "1e3"):
        with pytest.raises(UsageError, match="must be numbers of training structures"):
            Curve.parse(text, 0.0)
    assert Curve.parse("250,60,250", 0.0).sizes == (60, 250)


@pytest.mark.parametrize("series", [Series(), Series(2), Series(2, ensemble=True)], ids=["one", "seeds", "ensemble"])
def test_stopped_on_the_way_it_goes_on_to_the_same_numbers(cache: Path, tmp_path: Path, series: Series) -> None:
    curve = Curve((12, 20))
    whole = training_curve.run(plan(cache, tmp_path / "whole"), curve, series, Listener(), StopAfter(10**9))
    with pytest.raises(Stopped, match=r"of 2 runs are finished; go on with: crystal train --resume"):
        training_curve.run(plan(cache, tmp_path / "cut"), curve, series, Listener(), StopAfter(7 * series.seeds))
    again = training_curve.resume(tmp_path / "cut", {}, Listener(), StopAfter(10**9))
    errors = [[p["error"] for p in r.data["curves"][ENERGY]["points"]] for r in (whole, again)]
    np.testing.assert_array_equal(*errors)
    assert (again.data["curves"][ENERGY]["points"][0]["spread"] is not None) == (series == Series(2))
    with pytest.raises(UsageError, match="is finished"):
        training_curve.resume(tmp_path / "cut", {}, Listener(), StopAfter(10**9))


def test_at_the_command_line(cache: Path, source: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    told = [
        "train",
        str(cache),
        "--epochs",
        "1",
        "--threads",
        "1",
        "--learning-curve",
        "12,5",
        "-o",
        str(tmp_path / "c"),
    ]
    assert run([*told, "--from", str(source), "--dry-run"]) == 0
    assert "runs: scratch-5, transfer-5, scratch-12, transfer-12" in capfd.readouterr().out
    assert run([*told, "--from", str(source)]) == 0
    out = capfd.readouterr().out
    assert "training structures" in out
    assert "transfer" in out
    tables = [
        tomli.loads((tmp_path / "c" / n / "config.toml").read_text())["train"] for n in ("scratch-5", "transfer-5")
    ]
    assert tables[1]["from"] == str(source)
    assert not {"from", "learning_curve"} & tables[0].keys()
    assert tables[0]["lr"] == pytest.approx(5 * tables[1]["lr"])
    assert (
        run(
            [
                "train",
                "-c",
                str(tmp_path / "c" / "scratch-5" / "config.toml"),
                "-o",
                str(tmp_path / "again"),
                "--threads",
                "1",
            ]
        )
        == 0
    )
    one, two = (json.loads((tmp_path / n / "report.json").read_text())["test"] for n in ("c/scratch-5", "again"))
    assert one == two
    assert run([*told[:-3], "x,5", "-o", str(tmp_path / "d")]) == 2
    assert "must be numbers of training structures" in capfd.readouterr().err
