"""Pictures of a training run: learning curve, and of the test part what suits each target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from crystalcli.contracts.workflow import Run
from crystalcli.engine.drawing import plots, site_plots
from crystalcli.engine.evaluate import metrics, position_errors
from crystalcli.engine.evaluate.evaluation import Collected
from crystalcli.train import position_plots, positions
from crystalcli.train.loop import Trainer
from crystalcli.train.position_plots import Moved
from crystalcli.train.positions import Places
from crystalcli.train.report import TargetReport
from crystalcli.train.setup import Prepared
from crystalcli.vocabulary.pictures import paths
from crystalcli.vocabulary.texts import file_word

WORST = 10
"""Test structures that are drawn."""


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
    """Confusions of classes; predicted over true of numbers; elements and distributions of sites; places."""
    name = "" if alone else f"-{file_word(target.quantity.name)}"
    if isinstance(target.model, metrics.ClassErrors):
        plots.confusion(
            paths(run.path / f"confusion{name}", pictures), target.quantity, target.model, title=f"{title}; test"
        )
    if not isinstance(target.model, metrics.Errors):
        return
    if c.quantity.meaning == "position":
        draw_places(pictures, prepared, run, c, name, title=title)
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


def draw_places(pictures: str, prepared: Prepared, run: Run, c: Collected, name: str, *, title: str) -> None:
    """What places are moved by, predicted over true; how far they are from the truth; the worst structures.

    Args:
        pictures: their formats.
        prepared: the run.
        run: into whose folder they go.
        c: predictions of the test part.
        name: at the end of the names of the files.
        title: what was trained.
    """
    at = positions.places(prepared, c)
    _moves(paths(run.path / f"parity{name}", pictures), c, at, title=f"{title}; test")
    known = c.mask
    groups = {"atoms": known}
    if at.adsorbate is not None and (known & at.adsorbate).any() and (known & ~at.adsorbate).any():
        groups = {"slab": known & ~at.adsorbate, "adsorbate": known & at.adsorbate}
    split = {n: (at.before[mine], at.after[mine]) for n, mine in groups.items()}
    position_plots.distances(paths(run.path / f"distances{name}", pictures), split, title=f"{title}; test")
    worst, of = _worst(prepared, c, at)
    said = f"the {len(worst)} worst of {of} test structures" if of > len(worst) else "test structures, the worst first"
    said += "\nmean distance at the start → as predicted"
    position_plots.structures(paths(run.path / f"worst{name}", pictures), worst, title=f"{title}\n{said}")


def _worst(prepared: Prepared, c: Collected, at: Places) -> tuple[list[Moved], int]:
    """The test structures with the largest mean distances, the worst first, and how many have labels."""
    counts = at.atoms.counts
    before, after = (position_errors.of_structures(d, c.mask, counts) for d in (at.before, at.after))
    order = np.argsort(np.where(np.isnan(after), np.inf, -after), kind="stable")[: min(WORST, np.isfinite(after).sum())]
    stops = np.cumsum(counts)
    found = []
    for k in order.tolist():
        mine = slice(stops[k] - counts[k], stops[k])
        index = prepared.split.test[k : k + 1]
        graph = prepared.data.batch(index, dtype=torch.float64).graph
        true = np.where(c.mask[mine, None], c.true[mine], np.nan)
        found.append(
            Moved(
                prepared.ids[int(index[0])],
                at.atoms.numbers[mine],
                ~at.atoms.free[mine],
                at.atoms.start[mine],
                c.value[mine],
                true,
                graph.cell[0].numpy(),
                graph.pbc[0].numpy(),
                float(before[k]),
                float(after[k]),
            )
        )
    return found, int(np.isfinite(after).sum())


def _moves(where: Sequence[Path], c: Collected, at: Places, *, title: str) -> None:
    """Draw what positions are moved by, predicted over true, component by component."""
    true = (at.near - at.atoms.start)[c.mask]
    value = true + (c.value - c.true)[c.mask]
    plots.parity(
        where,
        replace(c.quantity, name=f"displacement to {c.quantity.name}"),
        true.ravel(),
        value.ravel(),
        mae=float(at.after[c.mask].mean()),
        title=title,
        baseline=float(at.before[c.mask].mean()),
        words=("mean distance", positions.IDENTITY),
    )
