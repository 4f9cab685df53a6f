"""Ensembles from training to screening: members' splits, one file, a decision and a reason for every candidate."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from common import small_cache
from common.some_trainings import resume, train
from train.test_training import ENERGY, StopAfter, plan

from crystalcli import load_model
from crystalcli.cli.main import run
from crystalcli.engine.cache.cache import Column
from crystalcli.engine.model import model_file
from crystalcli.engine.model.ensemble import Ensemble
from crystalcli.engine.run import progress
from crystalcli.vocabulary.errors import Stopped, UsageError

N = 42


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_cache.write(tmp_path_factory.mktemp("caches") / "graphs.h5")


def partly_labelled(path: Path, known: int) -> Path:
    structures = small_cache.crystals(N)
    mask = np.arange(N) < known
    values = np.where(mask, small_cache.energies(structures) - 1.0, np.nan)
    return small_cache.write(path, structures=structures, columns=[Column(small_cache.ENERGY, values, mask)])


def test_members_share_the_test_part_and_nothing_else(cache: Path, tmp_path: Path) -> None:
    made = plan(cache, tmp_path / "e")
    report = train(made, ensemble=3)
    splits = [json.loads((tmp_path / "e" / f"member-{k}" / "splits.json").read_text()) for k in range(3)]
    assert splits[0]["test"] == splits[1]["test"] == splits[2]["test"]
    model, provenance = model_file.load(tmp_path / "e" / "model.safetensors")
    assert isinstance(model, Ensemble)
    assert len(model.models) == 3
    said = {name: set(part) for name, part in provenance["split"].items()}
    assert said["test"] == set(splits[0]["test"])
    assert said["train"] == {i for part in splits for i in part["train"]}
    assert said["val"] | said["train"] == {i for part in splits for i in [*part["val"], *part["train"]]}
    assert not said["test"] & (said["train"] | said["val"])
    told = report.data["ensemble"][ENERGY]
    # |mean of members − truth| ≤ mean of |member − truth|, whatever the members are
    assert told["model"]["mae"] <= np.mean(told["members"]) + 1e-12
    rows = [json.loads((tmp_path / "e" / f"member-{k}" / "report.json").read_text())["validation"] for k in range(3)]
    assert model.aleatoric[ENERGY] == pytest.approx(np.sqrt(np.mean([r[ENERGY]["rmse"] ** 2 for r in rows])))
    with (tmp_path / "e" / "predictions-test.csv").open() as file:
        sigmas = [float(r[f"{ENERGY} sigma [eV/atom]"]) for r in csv.DictReader(file)]
    assert min(sigmas) > model.aleatoric[ENERGY] > 0


def test_predictions_say_what_their_uncertainty_is_made_of(cache: Path, tmp_path: Path, capfd) -> None:
    train(plan(cache, tmp_path / "e"), ensemble=2)
    assert run(["predict", str(tmp_path / "e"), str(cache), "-o", str(tmp_path / "p.csv")]) == 0
    with (tmp_path / "p.csv").open() as file:
        rows = list(csv.DictReader(file))
    total, noise, spread = (
        np.array([float(r[f"{ENERGY} {w} [eV/atom]"]) for r in rows]) for w in ("sigma", "sigma_a", "sigma_e")
    )
    np.testing.assert_allclose(total, np.hypot(noise, spread), rtol=1e-12)
    assert len(set(noise)) == 1
    assert len(set(spread)) > 30
    found = load_model(tmp_path / "e").predict(small_cache.crystals(3))
    assert found[0][ENERGY].sigma == pytest.approx(np.hypot(found[0][ENERGY].sigma_a, found[0][ENERGY].sigma_e))
    capfd.readouterr()


def test_an_ensemble_stopped_on_the_way_has_the_same_bytes(cache: Path, tmp_path: Path) -> None:
    train(plan(cache, tmp_path / "whole"), ensemble=2)
    with pytest.raises(Stopped):
        train(plan(cache, tmp_path / "broken"), stop=StopAfter(20), ensemble=2)
    resume(tmp_path / "broken")
    whole, broken = ((tmp_path / n / "model.safetensors").read_bytes() for n in ("whole", "broken"))
    assert whole == broken


def test_an_ensemble_of_one_is_none(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="two members or more"):
        train(plan(cache, tmp_path / "e"), ensemble=1)


def test_the_line_as_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """``crystal screen --ensemble 2 --threshold 2sigma`` in a folder with a partly labelled cache."""
    partly_labelled(tmp_path / "graphs.h5", 30)
    monkeypatch.chdir(tmp_path)
    assert run(["screen", "--ensemble", "2", "--epochs", "2", "--dry-run"]) == 0
    said = capfd.readouterr().out
    assert "30 structures with 'energy_per_atom' train\nensemble: 2 cgcnn, 2 epochs\n12 candidates without it" in said
    assert [p.name for p in tmp_path.iterdir()] == ["graphs.h5"]
    monkeypatch.setattr(progress, "SILENCE", 0.0)
    assert run(["screen", "--ensemble", "2", "--threshold", "2sigma", "--epochs", "2", "--threads", "1"]) == 0
    said = capfd.readouterr().out
    assert "ensemble: run 2 of 2, epoch 2 of 2, about 0 s left" in said
    assert "30 structures with 'energy_per_atom' train, 12 without are candidates" in said
    folder = tmp_path / "runs" / "latest"
    with (folder / "screening.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert all(r["reason"] and r["decision"] in ("keep", "remove") for r in rows)
    survivors = (folder / "survivors.txt").read_text().splitlines()
    assert survivors == [r["id"] for r in rows if r["decision"] == "keep"]
    heights = [float(r["E_hull [eV/atom]"]) for r in rows]
    assert heights == sorted(heights)
    assert all(
        float(r["sigma [eV/atom]"])
        == pytest.approx(np.hypot(float(r["sigma_a [eV/atom]"]), float(r["sigma_e [eV/atom]"])), abs=2e-6)
        for r in rows
    )
    assert {r["calibration"] for r in rows} == {"uncalibrated"}
    assert "sigma is uncalibrated: crystal calibrate" in said
    report = json.loads((folder / "report.json").read_text())
    assert report["kept"] + report["removed"] == 12
    assert report["references"] == 30
    # the trained ensemble screens again, in one go, a cache whose true energies are known
    small_cache.write(tmp_path / "all.h5")
    again = ["screen", "all.h5", "--model", "runs/latest/model", "--threshold", "50meV", "-o", "again", "--json"]
    assert run([*again, "--dry-run"]) == 0
    assert json.loads(capfd.readouterr().out)["files"] == 1
    assert not (tmp_path / "again").exists()
    assert run(again) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["candidates"] == N
    assert found["stability"]["n"] == N


def test_nothing_or_everything_labelled_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd) -> None:
    monkeypatch.chdir(tmp_path)
    small_cache.write(tmp_path / "graphs.h5")
    assert run(["screen", "--ensemble", "5", "--threshold", "2sigma"]) == 2
    assert "all 42 structures have a label 'energy_per_atom': there is nothing to screen" in capfd.readouterr().err
    small_cache.write(tmp_path / "none.h5", columns=[])
    assert run(["screen", "none.h5"]) == 2
    assert "has no labels to train on" in capfd.readouterr().err
    assert run(["screen", "graphs.h5", "--threshold", "2"]) == 2
    assert "write 2sigma" in capfd.readouterr().err
    assert not (tmp_path / "runs").exists()
