"""Targets of which few structures have labels: what an ensemble does not know of them, and what its report shows."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from common import small_cache
from common.some_trainings import train
from train.test_training import ENERGY, plan

from crystalcli.cli.main import run
from crystalcli.contracts.host import Host
from crystalcli.engine.cache.cache import Column
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.train.ensemble import aleatoric
from crystalcli.vocabulary.quantities import Quantity

N = 42


def rare(folder: Path, known: Sequence[int]) -> Path:
    """A cache whose label ``rare`` only the structures ``known`` have."""
    values, mask = small_cache.energies(small_cache.crystals(N)), np.isin(np.arange(N), known)
    columns = [Column(small_cache.ENERGY, values, np.ones(N, dtype=bool))]
    columns.append(Column(Quantity("rare", "eV"), np.where(mask, values, np.nan), mask))
    return small_cache.write(folder / "graphs.h5", columns=columns)


def given(cache: Path, folder: Path) -> Path:
    """Parts of 24, 9 and 9 structures in order."""
    ids = list(GraphDataset.open([cache]).ids)
    file = folder / "s.json"
    file.write_text(json.dumps({"train": ids[:24], "val": ids[24:33], "test": ids[33:]}))
    return file


def test_noise_is_that_of_the_members_that_know_it() -> None:
    a, b = {"rmse": 0.3}, {"rmse": 0.4}
    both = [{"validation": {"x": a}}, {"validation": {"x": b, "y": b}}, {"validation": {"x": a, "z": {"log_loss": 1}}}]
    found = aleatoric(both)
    assert found.keys() == {"x", "y"}
    assert found["x"] == pytest.approx(np.sqrt((0.09 + 0.16 + 0.09) / 3))
    assert found["y"] == pytest.approx(0.4)
    assert aleatoric(both[::-1]) == pytest.approx(found)


def test_an_ensemble_says_what_its_sigma_lacks(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    cache = rare(tmp_path, [1, 3, 5, 8, 40])  # of training and test, none of validation
    heard: list[str] = []
    wish = plan(cache, tmp_path / "e", split_file=given(cache, tmp_path), target=(ENERGY, "rare"), epochs=1)
    done = train(wish, Host(warn=heard.append), ensemble=2)
    assert any("validation part has no label 'rare': it does not choose the epoch for it" in line for line in heard)
    assert sum("σ_a of rare is unknown" in line for line in heard) == 1
    assert not any(f"σ_a of {ENERGY}" in line for line in heard)
    assert done.data["aleatoric"].keys() == {ENERGY}
    assert run(["predict", str(tmp_path / "e"), str(cache), "-o", str(tmp_path / "p.csv")]) == 0
    capfd.readouterr()
    with (tmp_path / "p.csv").open() as file:
        (first, *_) = csv.DictReader(file)
    assert not first["rare sigma_a [eV]"]
    assert first["rare sigma [eV]"] == first["rare sigma_e [eV]"]
    assert float(first[f"{ENERGY} sigma_a [eV/atom]"]) > 0


def test_a_page_shows_the_targets_that_the_test_part_has(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    cache = rare(tmp_path, [1, 3, 5, 8, 26, 28])  # none of the test part
    wish = plan(cache, tmp_path / "r", split_file=given(cache, tmp_path), target=(ENERGY, "rare"), epochs=1)
    train(wish)
    assert run(["report", str(tmp_path / "r"), "-o", str(tmp_path / "r.html")]) == 0
    assert "could not be made" not in capfd.readouterr().err
    page = (tmp_path / "r.html").read_text()
    assert "could not be made" not in page
    assert "Predicted over true" in page
    assert "no labels" in page
