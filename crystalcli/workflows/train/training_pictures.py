"""Pictures of a training run: learning curve, and of the test part what suits each target."""

from __future__ import annotations

from crystalcli.mechanisms.drawing import plots, site_plots
from crystalcli.mechanisms.running.run_folder import RunFolder
from crystalcli.mechanisms.scoring import metrics
from crystalcli.mechanisms.scoring.evaluation import Collected
from crystalcli.vocabulary.pictures import paths
from crystalcli.vocabulary.texts import file_word
from crystalcli.workflows.train.training_loop import Trainer
from crystalcli.workflows.train.training_report import TargetReport
from crystalcli.workflows.train.training_setup import Prepared


def draw(
    prepared: Prepared,
    folder: RunFolder,
    trainer: Trainer,
    *,
    found: dict[str, Collected],
    targets: list[TargetReport],
) -> None:
    """Draw them into the folder of the run."""
    title = f"{trainer.plan.architecture}, {len(prepared.split.train)} training structures"
    lines = {
        t.quantity: {n: b.mae for n, b in t.rows.items() if n != "model" and isinstance(b, metrics.Errors)}
        for t in targets
    }
    if trainer.progress.epoch:
        drawn = paths(folder.path / "learning-curve", trainer.plan.pictures)
        plots.learning_curve(drawn, folder.metrics(), lines, title=title, best_epoch=trainer.progress.best_epoch)
    for t in targets:
        _of_target(
            trainer.plan.pictures, prepared, folder, t, found[t.quantity.name], title=title, alone=len(targets) == 1
        )


def _of_target(
    pictures: str, prepared: Prepared, folder: RunFolder, target: TargetReport, c: Collected, *, title: str, alone: bool
) -> None:
    """Confusions of classes; predicted over true of numbers; elements and distributions of sites."""
    name = "" if alone else f"-{file_word(target.quantity.name)}"
    if isinstance(target.model, metrics.ClassErrors):
        plots.confusion(
            paths(folder.path / f"confusion{name}", pictures), target.quantity, target.model, title=f"{title}; test"
        )
    if not isinstance(target.model, metrics.Errors):
        return
    mean = target.baselines.get("mean")
    plots.parity(
        paths(folder.path / f"parity{name}", pictures),
        c.quantity,
        c.true[c.mask].ravel(),
        c.value[c.mask].ravel(),
        mae=target.model.mae,
        title=f"{title}; test",
        baseline=mean.mae if isinstance(mean, metrics.Errors) else None,
    )
    if c.quantity.level == "site" and not c.quantity.shape:
        numbers = prepared.data.atomic_numbers()[prepared.data.atoms_of(prepared.split.test)]
        sites = (numbers[c.mask], c.true[c.mask], c.value[c.mask])
        site_plots.draw(folder.path, "", c.quantity, sites, title=f"{title}; test", pictures=pictures)
