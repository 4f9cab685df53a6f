"""Learning curves: one test part, nested training parts, scratch beside transfer, stopped and gone on with."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tomli
from common import small_cache
from common.some_trainings import changed, resume, train
from train.test_training import ENERGY, StopAfter, plan

from crystalcli.cli.main import run
from crystalcli.contracts.records import GENTLER
from crystalcli.engine.cache.cache import Column
from crystalcli.train import choice
from crystalcli.train.choice import learning_rate
from crystalcli.train.curve import points, sizes
from crystalcli.vocabulary.errors import Stopped, UsageError

USUAL = 5e-3
"""What suits the architecture."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_cache.write(tmp_path_factory.mktemp("caches") / "graphs.h5")


@pytest.fixture(scope="module")
def source(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source") / "run"
    train(plan(cache, folder))
    return folder


def test_one_test_part_and_nested_training_parts(cache: Path, source: Path, tmp_path: Path) -> None:
    wish = plan(cache, tmp_path / "c", from_=source, lr=None)
    report = train(wish, learning_curve="12,5")
    names = ["scratch-5", "transfer-5", "scratch-12", "transfer-12"]
    splits = [json.loads((tmp_path / "c" / n / "splits.json").read_text()) for n in names]
    assert len({tuple(s["test"]) for s in splits}) == 1
    assert [len(s["train"]) for s in splits] == [5, 5, 12, 12]
    assert set(splits[0]["train"]) < set(splits[2]["train"])
    asked = [json.loads((tmp_path / "c" / n / "run.json").read_text())["request"] for n in names]
    assert [one["options"]["from_"] for one in asked] == [None, str(source), None, str(source)]
    tables = [tomli.loads((tmp_path / "c" / n / "config.toml").read_text())["train"] for n in names]
    assert [one["lr"] for one in tables[:2]] == [USUAL, USUAL * GENTLER]
    own = asked[0]["parts"]["arch"]
    assert own["options"].items() >= plan(cache, tmp_path).parts["arch"].options.items()
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


def test_an_architecture_says_how_gently_it_is_trained_on(
    cache: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wish = plan(cache, tmp_path / "c", from_=source, lr=None)
    assert learning_rate(wish) == USUAL * GENTLER
    own = replace(choice.architecture(wish), gentler=0.05)
    monkeypatch.setattr(choice, "architecture", lambda _request: own)
    assert learning_rate(wish) == USUAL * 0.05
    assert learning_rate(plan(cache, tmp_path / "d", lr=None)) == USUAL


def test_both_ways_are_in_one_unit(source: Path, tmp_path: Path) -> None:
    """The model counts in eV/atom, the labels of the caches come in meV/atom."""
    atoms = small_cache.crystals(42)
    labels = Column(replace(small_cache.ENERGY, unit="meV/atom"), 1000 * small_cache.energies(atoms), np.ones(42, bool))
    cache = small_cache.write(tmp_path / "g.h5", structures=atoms, columns=[labels])
    curve = train(plan(cache, tmp_path / "c", from_=source), learning_curve="12").data["curves"][ENERGY]
    own = [json.loads((tmp_path / "c" / f"{n}-12" / "report.json").read_text()) for n in ("scratch", "transfer")]
    rows = [one["test"][ENERGY] for one in own]
    assert [row["unit"] for row in rows] == ["meV/atom", "eV/atom"]
    assert curve["unit"] == "meV/atom"
    errors = [rows[0]["model"]["mae"], 1000 * rows[1]["model"]["mae"]]
    assert [p["error"] for p in curve["points"]] == pytest.approx(errors)
    assert curve["mean"] == pytest.approx(rows[0]["baselines"]["mean"]["mae"])


def test_what_is_solved_in_closed_form_needs_no_epochs(cache: Path, tmp_path: Path) -> None:
    wish = plan(cache, tmp_path / "c", arch="lcgcn", head="ridge", epochs=0)
    points = train(wish, learning_curve="5,26").data["curves"][ENERGY]["points"]
    assert [p["structures"] for p in points] == [5, 26]
    assert points[1]["error"] < points[0]["error"]
    with pytest.raises(UsageError, match="--epochs 0 trains nothing"):
        train(plan(cache, tmp_path / "d", epochs=0), learning_curve="5,26")


def test_wishes_that_cannot_be_granted(cache: Path, source: Path, tmp_path: Path) -> None:
    wish = plan(cache, tmp_path / "c", from_=source)
    with pytest.raises(UsageError, match="--epochs 0"):
        train(changed(wish, epochs=0), learning_curve="5,12")
    assert not (tmp_path / "c").exists()
    for text in ("", "1,50", "60;250", "1e3"):
        with pytest.raises(UsageError, match="must be numbers of training structures"):
            sizes(text)
    assert sizes("250,60,250") == (60, 250)


def test_a_learning_rate_that_was_said_is_that_of_both_ways(cache: Path, source: Path, tmp_path: Path) -> None:
    for lr in (3e-3, USUAL, USUAL * GENTLER):
        made = points(plan(cache, tmp_path / "c", from_=source, lr=lr, learning_curve="5"))
        assert [p.options.lr for p in made] == [lr, lr]


def test_a_learning_rate_that_was_typed_is_that_of_both_ways(cache: Path, source: Path, tmp_path: Path) -> None:
    """Though it is the one that suits a model that is trained on."""
    told = ["train", str(cache), "--epochs", "1", "--learning-curve", "5", "--from", str(source), "--threads", "1"]
    assert run([*told, "--lr", str(USUAL * GENTLER), "-o", str(tmp_path / "c")]) == 0
    tables = [tomli.loads((tmp_path / "c" / f"{n}-5" / "config.toml").read_text()) for n in ("scratch", "transfer")]
    assert [t["train"]["lr"] for t in tables] == [pytest.approx(USUAL * GENTLER)] * 2


def test_no_two_points_are_the_same_training(cache: Path, tmp_path: Path) -> None:
    wish = plan(cache, tmp_path / "c", epochs=1)  # of 26 training structures
    with pytest.raises(UsageError, match="has 26 structures, and 500 and 1000 would be the same training twice"):
        train(wish, learning_curve="5,500,1000")
    with pytest.raises(UsageError, match="26 and 30 would be the same"):
        train(wish, learning_curve="26,30")
    assert not (tmp_path / "c").exists()
    found = train(wish, learning_curve="5,500").data["curves"][ENERGY]["points"]
    assert [p["structures"] for p in found] == [5, 26]
    how = json.loads((tmp_path / "c" / "scratch-500" / "report.json").read_text())["split"]["how"]
    assert how.endswith("; all 26 to train, fewer than 500")


@pytest.mark.parametrize("several", [{}, {"seeds": 2}, {"ensemble": 2}], ids=["one", "seeds", "ensemble"])
def test_stopped_on_the_way_it_goes_on_to_the_same_numbers(
    cache: Path, tmp_path: Path, several: dict[str, int]
) -> None:
    curve = {"learning_curve": "12,20", **several}
    whole = train(plan(cache, tmp_path / "whole"), **curve)
    with pytest.raises(Stopped, match=r"of 2 runs are finished; go on with: crystal train --resume \S*cut$"):
        train(plan(cache, tmp_path / "cut"), stop=StopAfter(7 * max(several.values(), default=1)), **curve)
    again = resume(tmp_path / "cut")
    errors = [[p["error"] for p in r.data["curves"][ENERGY]["points"]] for r in (whole, again)]
    np.testing.assert_array_equal(*errors)
    assert (again.data["curves"][ENERGY]["points"][0]["spread"] is not None) == ("seeds" in several)
    assert resume(tmp_path / "cut").before


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
    read = json.loads((tmp_path / "c" / "run.json").read_text())["inputs"]
    assert sorted(Path(name).suffix for name in read) == [".h5", ".safetensors"]
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
