"""When training ends before its last epoch, and which weights it leaves."""

import json
import math
from pathlib import Path

import pytest
import torch
from common import small_cache
from common.some_trainings import asked, train

from crystalcli.contracts.records import Recipe
from crystalcli.contracts.request import Request
from crystalcli.engine.model import model_file
from crystalcli.train import loop

FALLING = [9.0, 8.0, 8.5, 8.5, 7.0, 7.5, 7.0, 7.2, 6.0, 5.0]
"""Scores of the validation: gains in epochs 1, 2 and 5; three epochs without one end with the eighth."""


@pytest.fixture
def scored(monkeypatch):
    """Training is told the next of the scores given; returns the list, and the weights that each was given for."""
    scores: list[float] = []
    seen: list[dict[str, torch.Tensor]] = []
    errors = loop.Trainer.validation_errors

    def validation_errors(self):
        seen.append({k: v.clone() for k, v in self.evaluated.state_dict().items()})
        return errors(self)

    monkeypatch.setattr(loop.Trainer, "validation_errors", validation_errors)
    monkeypatch.setattr(loop, "validation_score", lambda *_: scores[len(seen) - 1])
    return scores, seen


def plan(folder: Path, **recipe) -> Request:
    cache = small_cache.write(folder / "graphs.h5", 24)
    return asked(
        arch="cgcnn",
        head="crystal",
        output=str(folder / "run"),
        caches=(str(cache),),
        arch_options={"n_conv": 1, "width": 8},
        head_options={"hidden": 8},
        recipe=Recipe(**{"batch_size": 8, "epochs": 10, "lr": 5e-3, "ema": 0.0, **recipe}),
        split="random",
        fractions="0.6,0.2,0.2",
        device="cpu",
        threads=1,
    )


def rows(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("scores", "patience", "epochs", "best", "ema"),
    [
        (FALLING, 3, 8, 5, 0.0),
        (FALLING, 3, 8, 5, 0.9),
        (FALLING, 2, 4, 2, 0.0),
        (FALLING, 0, 10, 10, 0.0),
        ([1.0] * 10, 1, 2, 1, 0.9),  # as good is no gain
    ],
)
def test_training_ends_after_so_many_epochs_without_a_gain(tmp_path, scored, scores, patience, epochs, best, ema):
    given, seen = scored
    given += scores
    report = train(plan(tmp_path, patience=patience, ema=ema))
    found = rows(tmp_path)
    assert [r["epoch"] for r in found] == list(range(1, epochs + 1))
    assert max(r["epoch"] for r in found if r["best"]) == best
    gains = [k + 1 for k, s in enumerate(scores[:epochs]) if s < min([*scores[:k], math.inf])]
    assert [r["epoch"] for r in found if r["best"]] == gains
    kept = model_file.load(report.model)[0].state_dict()
    for name, value in seen[best - 1].items():
        if name.startswith("architecture"):
            torch.testing.assert_close(kept[name], value, rtol=0, atol=0)
    if best < epochs:
        assert any(not torch.equal(kept[n], v) for n, v in seen[epochs - 1].items() if n.startswith("architecture"))
