"""Pictures of a training run: learning curve, and of the test part what suits each target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from crystalcli.contracts.workflow import Run
from crystalcli.mechanisms.drawing import plots, site_plots
from crystalcli.mechanisms.scoring import evaluation, metrics
from crystalcli.mechanisms.scoring.evaluation import Collected
from crystalcli.vocabulary.pictures import paths
from crystalcli.vocabulary.texts import file_word
from crystalcli.workflows.train.training_loop import Trainer
from crystalcli.workflows.train.training_report import IDENTITY, TargetReport
from crystalcli.workflows.train.training_setup import Prepared


def draw(
    prepared: Prepared,
    run: Run,
    trainer: Trainer,
    *,
    found: dict[str, Collected],
    targets: list[TargetReport],
) -> None:
    """Draw them into the folder of the run."""
    title = f"{prepared.model.spec.architecture.name}, {len(prepared.split.train)} training structures"
    lines = {
        t.quantity: {n: b.mae for n, b in t.rows.items() if n != "model" and isinstance(b, metrics.Errors)}
        for t in targets
    }
    if trainer.progress.epoch:
        drawn = paths(run.path / "learning-curve", trainer.options.pictures)
        plots.learning_curve(drawn, run.metrics(), lines, title=title, best_epoch=trainer.progress.best_epoch)
    for t in targets:
        _of_target(
            trainer.options.pictures, prepared, run, t, found[t.quantity.name], title=title, alone=len(targets) == 1
        )


def _of_target(
    pictures: str, prepared: Prepared, run: Run, target: TargetReport, c: Collected, *, title: str, alone: bool
) -> None:
    """Confusions of classes; predicted over true of numbers; elements and distributions of sites."""
    name = "" if alone else f"-{file_word(target.quantity.name)}"
    if isinstance(target.model, metrics.ClassErrors):
        plots.confusion(
            paths(run.path / f"confusion{name}", pictures), target.quantity, target.model, title=f"{title}; test"
        )
    if not isinstance(target.model, metrics.Errors):
        return
    if c.quantity.meaning == "position":
        _moves(prepared, paths(run.path / f"parity{name}", pictures), target, c, title=title)
        return
    mean = target.baselines.get("mean")
    plots.parity(
        paths(run.path / f"parity{name}", pictures),
        c.quantity,
        c.true[c.mask].ravel(),
        c.value[c.mask].ravel(),
        mae=target.model.mae,
        title=f"{title}; test",
        baseline=mean.mae if isinstance(mean, metrics.Errors) else None,
        unit=target.model.unit,
    )
    if c.quantity.level == "site" and not c.quantity.shape:
        numbers = prepared.data.atomic_numbers()[prepared.data.atoms_of(prepared.split.test)]
        sites = (numbers[c.mask], c.true[c.mask], c.value[c.mask])
        site_plots.draw(run.path, "", c.quantity, sites, title=f"{title}; test", pictures=pictures)


def _moves(prepared: Prepared, where: Sequence[Path], target: TargetReport, c: Collected, *, title: str) -> None:
    """Draw what positions are moved by, predicted over true, component by component."""
    assert isinstance(target.model, metrics.Errors)
    near, _ = evaluation.nearest_labels(
        prepared.model, prepared.data, prepared.split.test, c.quantity, lambda b: b.graph.positions
    )
    batches = evaluation.pieces_of(prepared.split.test, evaluation.BLOCK)
    start = np.concatenate([prepared.data.batch(b, dtype=torch.float64).graph.positions.numpy() for b in batches])
    true = (near - start)[c.mask]
    value = true + (c.value - c.true)[c.mask]
    moved = replace(c.quantity, name=f"displacement to {c.quantity.name}")
    still = target.baselines.get(IDENTITY)
    plots.parity(
        where,
        moved,
        true.ravel(),
        value.ravel(),
        mae=target.model.mae,
        title=f"{title}; test",
        baseline=still.mae if isinstance(still, metrics.Errors) else None,
        unit=target.model.unit,
    )
