"""``kill -9`` of a screening in one step: every candidate is decided once, and the table has the same bytes."""

import csv
import json
import random
import time
from pathlib import Path
from typing import Any

import ase.build
import numpy as np
import pytest
import torch
from common import small_cache
from common.failing_writes import killed_after
from common.some_trainings import train
from train.test_training import plan as training_plan

from crystalcli.contracts.request import Request
from crystalcli.engine.cache.cache import GraphRecipe
from crystalcli.engine.cache.cache_packing import pack
from crystalcli.engine.cache.cache_writer import CacheWriter
from crystalcli.engine.host import life
from crystalcli.nouns.neighbors import build_graph
from crystalcli.screen import ensembles
from crystalcli.screen.ensembles import Predictions
from crystalcli.screen.options import ScreenOptions
from crystalcli.screen.state import CampaignState
from crystalcli.screen.workflow import SCREEN
from crystalcli.vocabulary.errors import UsageError

RESULTS = ("screening.csv", "survivors.txt", "phases.csv", "report.json")
METALS, ANIONS = ("Na", "K", "Li", "Mg", "Ca"), ("Cl", "F", "Br", "O")


def candidates(path: Path, n: int) -> Path:
    """Rocksalts and caesium chlorides of five metals and four anions in n sizes."""
    rng = np.random.default_rng(0)
    with CacheWriter(path) as writer:
        for k in range(n):
            name = str(rng.choice(METALS)) + str(rng.choice(ANIONS))
            kind, a = (("rocksalt", 5.0), ("cesiumchloride", 3.2))[k % 2]
            atoms = ase.build.bulk(name, kind, a=a * (0.9 + 0.3 * rng.random()))
            writer.add(f"{name}-{k:05d}", f"{k}", pack(build_graph(atoms, cutoff=8.0, max_neighbors=12)))
        writer.finish(GraphRecipe("cgcnn", small_cache.OPTIONS))
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("model")
    made = training_plan(small_cache.write(folder / "graphs.h5"), folder / "ensemble")
    return train(made, ensemble=2).folder


def do(cache: Path, model: Path, output: Path) -> None:
    life.run(SCREEN, asked_of(cache, model, output))


def asked_of(cache: Path, model: Path, output: Path, **more: Any) -> Request:
    return Request(ScreenOptions(candidates=(str(cache),), model=model, threads=1, **more), path=output)


def results(run: Path) -> dict[str, bytes]:
    return {n: (run / n).read_bytes().replace(str(run).encode(), b"") for n in RESULTS}


def killed(cache: Path, model: Path, output: Path, after: float) -> bool:
    return killed_after(after, lambda: do(cache, model, output))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize(("n", "kills"), [(300, 3), pytest.param(28_800, 20, marks=pytest.mark.slow)])
def test_killed_at_random_every_candidate_is_decided_once(
    model: Path, tmp_path: Path, n: int, kills: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if n < 1000:
        monkeypatch.setattr(ensembles, "PIECE", 64)
    cache = candidates(tmp_path / "candidates.h5", n)
    start = time.monotonic()
    do(cache, model, tmp_path / "whole")
    length = time.monotonic() - start
    rng, hits, output = random.Random(n), 0, tmp_path / "run"
    while hits < kills:
        if killed(cache, model, output, rng.uniform(0.05, 0.6) * length):
            hits += 1
        else:
            output = tmp_path / f"run-{hits}"  # it ended: kill another one
    do(cache, model, output)
    assert results(output) == results(tmp_path / "whole")
    assert not (output / "predictions").exists()
    with (output / "screening.csv").open() as file:
        ids = [row["id"] for row in csv.DictReader(file)]
    assert len(ids) == len(set(ids)) == n
    print(f"{n} candidates in {length:.0f} s, {hits} kills")


def test_what_is_predicted_is_not_predicted_again(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped after the second of five pieces; the rest is asked for once, the end is the same."""
    monkeypatch.setattr(ensembles, "PIECE", 64)
    cache = candidates(tmp_path / "candidates.h5", 300)
    do(cache, model, tmp_path / "whole")
    asked: list[int] = []
    predicted = CampaignState.predicted

    def counted(state, stage, ids, predictor):
        if len(asked) == 2:
            raise MemoryError
        asked.append(len(ids))
        return predicted(state, stage, ids, predictor)

    monkeypatch.setattr(CampaignState, "predicted", counted)
    with pytest.raises(MemoryError):
        do(cache, model, tmp_path / "run")
    asked.clear()
    asked.append(0)  # three are left: none of them is the third call
    monkeypatch.setattr(CampaignState, "predicted", lambda *a: (asked.append(len(a[2])), predicted(*a))[1])
    life.resume(SCREEN, tmp_path / "run", {"threads": 1})
    assert asked == [0, 64, 64, 44]
    assert results(tmp_path / "run") == results(tmp_path / "whole")


def test_the_same_command_again_does_nothing_and_another_is_refused(model: Path, tmp_path: Path) -> None:
    cache = candidates(tmp_path / "candidates.h5", 40)
    do(cache, model, tmp_path / "run")
    before = results(tmp_path / "run")
    do(cache, model, tmp_path / "run")
    assert results(tmp_path / "run") == before
    assert json.loads((tmp_path / "run" / "run.json").read_text())["exit_code"] == 0
    with pytest.raises(UsageError, match=r"holds another run of screen \(threshold differ\)"):
        life.run(SCREEN, asked_of(cache, model, tmp_path / "run", threshold="1sigma"))
    candidates(cache, 41)
    with pytest.raises(UsageError, match="is not the file that this run was started with"):
        do(cache, model, tmp_path / "run")


def test_predictions_are_kept_bit_by_bit() -> None:
    numbers = np.array([[-0.0, 1 / 3, np.nan, np.inf, 5e-324], [1.0, 2.0, 3.0, 4.0, -1e300]])
    kept = Predictions.from_json(json.loads(json.dumps(Predictions(numbers, ("", "α")).to_json())))
    assert kept.numbers.tobytes() == numbers.tobytes()
    assert (kept.numbers.shape, kept.why) == (numbers.shape, ("", "α"))
