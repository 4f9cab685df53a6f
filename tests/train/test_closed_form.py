"""Heads solved in closed form: by the loop, for averaged weights, in whatever order; resumed, from models, refused."""

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from common import small_cache
from common.some_datasets import dataset
from common.some_trainings import changed, resume, train
from train.test_training import ENERGY, RECIPE, StopAfter, plan

from crystalcli.contracts.host import Host
from crystalcli.contracts.records import Statistics
from crystalcli.contracts.request import Request
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.model import model_file
from crystalcli.engine.model.model import CrystalModel
from crystalcli.engine.model.model_spec import ModelSpec, PartChoice
from crystalcli.testing import crystals
from crystalcli.train import loop
from crystalcli.train.loop import Trainer
from crystalcli.train.recomputed import settle
from crystalcli.vocabulary.errors import Stopped, UsageError
from crystalcli.vocabulary.quantities import Quantity

SOLVED = ("centre", "spread", "known", "weight", "intercept")
NONE = replace(RECIPE, epochs=0)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_cache.write(tmp_path_factory.mktemp("caches") / "graphs.h5")


def ridge(cache: Path, output: Path, **changes: Any) -> Request:
    return plan(cache, output, head="ridge", arch="lcgcn", **{"recipe": NONE} | changes)


def test_it_is_solved_from_the_training_part(tmp_path: Path) -> None:
    """Whatever the order of the index; nothing else changes; labels that are linear in the atoms are found."""
    made = [crystals.rattled(k) for k in range(80)]
    data = dataset(tmp_path, made, {"e": np.array([float(a.get_all_distances(mic=True).mean()) for a in made])})
    parts = (PartChoice("cgcnn"), PartChoice("cgcnn"), PartChoice("lcgcn", {"width": 8}), PartChoice("ridge"))
    torch.manual_seed(0)
    model = CrystalModel(ModelSpec(*parts, (Quantity("e"),), Statistics(elements=tuple(data.elements())))).train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    index = np.arange(60)
    assert settle(model, data, index, ["e"], None)
    assert model.training
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {f"head.{k}" for k in SOLVED}
    after = {k: v.clone() for k, v in model.state_dict().items()}
    settle(model, data, np.random.default_rng(0).permutation(index), ["e"], None)
    assert all(torch.equal(v, after[k]) for k, v in model.state_dict().items())
    model.eval()
    batch = data.batch(np.arange(60, 80), ["e"])
    with torch.no_grad():
        found = model(batch.graph)["e"].value
    true = batch.labels["e"].value
    assert float((found - true).abs().mean()) < 0.7 * float((true - true.mean()).abs().mean())
    off = {"e": np.full(80, 100.0)}  # a baseline that says too much: the head learns what is left
    settle(model, data, index, ["e"], off)
    with torch.no_grad():
        below = model.of_embedding(batch.graph, model.embed(batch.graph))["e"].value
    torch.testing.assert_close(below + 100.0, found, rtol=0, atol=1e-4)


def test_untrained_and_solved_it_beats_the_mean(cache: Path, tmp_path: Path) -> None:
    said: list[str] = []
    found = train(ridge(cache, tmp_path / "run"), Host(say=said.append))
    errors = found.data["test"][ENERGY]
    assert errors["model"]["mae"] < 0.5 * errors["baselines"]["mean"]["mae"]
    assert found.data["epochs"] == 0
    assert any(line.startswith("before any epoch, last layer solved  val MAE") for line in said)
    assert any(line.startswith("no epochs: ") for line in said), "that nothing is trained is not said"
    again = train(ridge(cache, tmp_path / "again"))
    assert again.model.read_bytes() == found.model.read_bytes()


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_every_kept_model_is_solved_for_its_own_weights(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ema: float
) -> None:
    """The average of weights has a solution of its own, not the average of solutions."""
    trainers: list[Trainer] = []
    end = Trainer.end

    def kept(self: Trainer) -> None:
        trainers.append(self)
        end(self)

    monkeypatch.setattr(Trainer, "end", kept)
    recipe = replace(RECIPE, epochs=2, lr=1e-3, ema=ema, residual_of="elements")
    train(ridge(cache, tmp_path / "run", recipe=recipe))
    p = trainers[0].prepared
    for model in {trainers[0].evaluated, trainers[0].model}:
        model.load_state_dict(trainers[0].best)
        settle(model, p.data, p.split.train, p.names, p.baseline_values)
        assert all(torch.equal(v, trainers[0].best[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize("questions", [0, 1, 5, 9])
@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_a_resumed_run_has_the_bits_of_an_uninterrupted_one(
    cache: Path, tmp_path: Path, questions: int, ema: float
) -> None:
    recipe = replace(RECIPE, ema=ema, lr=1e-4)
    whole = train(ridge(cache, tmp_path / "whole", recipe=recipe))
    with pytest.raises(Stopped, match="--resume"):
        train(ridge(cache, tmp_path / "cut", recipe=recipe, checkpoint_every=0.0), stop=StopAfter(questions))
    assert resume(tmp_path / "cut").model.read_bytes() == whole.model.read_bytes()


def test_epochs_are_kept_only_where_they_are_better(cache: Path, tmp_path: Path) -> None:
    """Steps far too large leave the solution of before."""
    alone = train(ridge(cache, tmp_path / "alone"))
    wild = train(ridge(cache, tmp_path / "wild", recipe=replace(RECIPE, epochs=1, lr=3.0, ema=0.0)))
    assert wild.data["best_epoch"] == 0
    assert wild.data["test"][ENERGY]["model"] == alone.data["test"][ENERGY]["model"]


def test_a_solution_worse_than_the_baseline_is_not_kept(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoiled(model: CrystalModel, *rest: Any) -> bool:
        settle(model, *rest)
        model.head.intercept += 100.0
        return True

    monkeypatch.setattr(loop, "settle", spoiled)
    found = train(ridge(cache, tmp_path / "run", recipe=replace(NONE, residual_of="elements")))
    errors = found.data["test"][ENERGY]
    assert errors["model"]["mae"] == pytest.approx(errors["baselines"]["elements"]["mae"], rel=1e-6)


def test_from_a_model(cache: Path, tmp_path: Path) -> None:
    """With no epochs it is only tested; with a new head the last layer is solved on its atoms."""
    first = train(ridge(cache, tmp_path / "first"))
    common = {"arch": "", "arch_options": {}, "from_": first.model, "recipe": replace(NONE, lr=1e-4)}
    tested = train(plan(cache, tmp_path / "tested", head="", **common))
    assert tested.data["test"][ENERGY]["model"] == first.data["test"][ENERGY]["model"]
    before, after = (model_file.load(m)[0].state_dict() for m in (first.model, tested.model))
    assert all(torch.equal(after[k], v) for k, v in before.items())
    trained = train(plan(cache, tmp_path / "usual", recipe=replace(RECIPE, epochs=1)))
    new = {**common, "from_": trained.model, "new_head": True}
    solved = train(plan(cache, tmp_path / "new", head="ridge", **new))
    errors = solved.data["test"][ENERGY]
    assert errors["model"]["mae"] < 0.5 * errors["baselines"]["mean"]["mae"]


def test_an_ensemble_has_a_spread(cache: Path, tmp_path: Path) -> None:
    found = train(ridge(cache, tmp_path / "many"), ensemble=2)
    files = sorted(found.folder.glob("member-*/model.safetensors"))
    heads = [model_file.load(f)[0].head.weight for f in files]
    assert len(heads) == 2
    assert float((heads[0] - heads[1]).abs().max()) > 1e-3


def test_other_heads_have_epochs(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--epochs 0 trains nothing; it goes with --from MODEL"):
        train(plan(cache, tmp_path / "run", recipe=NONE))
    assert not (tmp_path / "run").exists()


def test_the_answer_hangs_on_no_batch(cache: Path, tmp_path: Path) -> None:
    """A crystal has one value in batches of any size, and single precision is enough for it."""
    model = model_file.load(train(ridge(cache, tmp_path / "run")).model)[0].eval()
    data = GraphDataset.open([cache])
    with torch.no_grad():
        whole = model(data.batch(np.arange(len(data))).graph)[ENERGY].value
        alone = torch.cat([model(data.batch(np.array([k])).graph)[ENERGY].value for k in range(len(data))])
        double = model.double()(data.batch(np.arange(len(data)), dtype=torch.float64).graph)[ENERGY].value
    torch.testing.assert_close(alone, whole, rtol=0, atol=1e-5)
    torch.testing.assert_close(double, whole, rtol=0, atol=1e-4)


@pytest.mark.parametrize("stopped", [False, True])
def test_without_a_validation_part_there_is_no_score(cache: Path, tmp_path: Path, stopped: bool) -> None:
    """Nothing was measured where no epoch was finished; the report is whole."""
    recipe = replace(RECIPE, residual_of="elements")
    asked = plan(cache, tmp_path / "run", recipe=recipe) if stopped else ridge(cache, tmp_path / "run")
    with pytest.raises(Stopped) if stopped else nullcontext():
        train(changed(asked, fractions="0.8,0,0.2"), stop=StopAfter(1) if stopped else None)
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["best_score"] is None
    assert report["test"][ENERGY]["model"]["n"] > 0


def test_report_of_no_epochs(cache: Path, tmp_path: Path) -> None:
    found = train(ridge(cache, tmp_path / "run"))
    assert (found.folder / "metrics.jsonl").exists() is False or not (found.folder / "metrics.jsonl").read_text()
    assert json.loads((found.folder / "run.json").read_text())["exit_code"] == 0
