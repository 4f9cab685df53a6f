"""How a training run looks: plain lines or live progress, and the table at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crystalcli.commands.console import Face
from crystalcli.commands.training_tables import curve_table, element_table, series_table
from crystalcli.mechanisms.running.cpu import prepare_cpu
from crystalcli.mechanisms.running.display import number, unit_for
from crystalcli.mechanisms.running.stopping import Stop, seconds
from crystalcli.mechanisms.scoring import metrics
from crystalcli.mechanisms.training.team import started_by_torchrun
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity
from crystalcli.workflows.hearing import Listener
from crystalcli.workflows.train import training, training_curve, training_series
from crystalcli.workflows.train.training_curve import Curve
from crystalcli.workflows.train.training_plan import TrainingPlan
from crystalcli.workflows.train.training_pulse import with_pulse
from crystalcli.workflows.train.training_report import TargetReport
from crystalcli.workflows.train.training_series import Series, SeriesReport

if TYPE_CHECKING:
    from rich.table import Table


FEW = 12
"""Classes whose table of confusions fits a terminal."""


class TrainingFace:
    """Runs training workflows for a person or a program at a terminal."""

    def __init__(self, face: Face, time_limit: str) -> None:
        self.face = face
        self.limit = seconds(time_limit)
        prepare_cpu()

    def run(self, plan: TrainingPlan, series: Series, curve: Curve | None = None) -> None:
        """Start a run, a series of runs, or those of a learning curve.

        Raises:
            UsageError: several runs by one team of processes.
        """
        self._refuse_team(curve is not None or not series.is_one)
        if curve is not None:
            self._train_curve(lambda listener, stop: training_curve.run(plan, curve, series, listener, stop))
        elif series.is_one:
            self._train(lambda listener, stop: training.run(plan, listener, stop))
        else:
            self._train_all(lambda listener, stop: training_series.run(plan, series, listener, stop))

    def _refuse_team(self, several: bool) -> None:
        if several and started_by_torchrun().size > 1:
            raise UsageError("torchrun trains one model; start --ensemble, --seeds and --learning-curve without it")

    def resume(self, path: Path, changes: Mapping[str, Any], *, end: bool = False) -> None:
        """Go on with a run, a series or a learning curve; or end a run with its best epoch.

        Raises:
            UsageError: several runs by one team of processes, or to be ended.
        """
        several = training_curve.is_curve(path) or training_series.is_series(path)
        self._refuse_team(several)
        if several and end:
            raise UsageError("holds several runs; --finish ends one of them, in a folder of its own in it", path=path)
        if training_curve.is_curve(path):
            self._train_curve(lambda listener, stop: training_curve.resume(path, changes, listener, stop))
        elif training_series.is_series(path):
            self._train_all(lambda listener, stop: training_series.resume(path, changes, listener, stop))
        else:
            self._train(lambda listener, stop: training.resume(path, changes, listener, stop, end=end))

    def describe(self, plan: TrainingPlan, series: Series, curve: Curve | None = None) -> None:
        """Show the resolved plan."""
        runs = [p.plan for p in training_curve.points(plan, curve)] if curve else training_series.members(plan, series)
        found = training.describe(plan, Listener(self.face.say, self.face.warn))
        for name, part in found["parts"].items():
            options = ", ".join(f"{k}={v}" for k, v in part["options"].items())
            self.face.say(f"{name}: {part['name']} ({options})")
        self.face.say(f"parameters: {found['parameters']}")
        self.face.say("recipe: " + ", ".join(f"{k}={v}" for k, v in found["recipe"].items()))
        if found["beside"]:
            self.face.say(f"trained beside it: {', '.join(found['beside'])}; --no-compare leaves it out")
        if curve is not None or not series.is_one:
            self.face.say(f"runs: {', '.join(Path(one.output).name for one in runs)}")
        self.face.say(f"device: {found['device']}; output: {found['output']}; nothing was written")
        self.face.result(found)

    def _train(self, start: Callable[[Listener, Stop], training.TrainingReport]) -> None:
        with Stop(self.limit).listening() as stop, self._listener() as listener:
            report = start(listener, stop)
        if not report.data:
            return  # a process of a team; the first one speaks
        for target in report.targets:
            self._table(target)
        self.face.say(f"model -> {report.model}")
        self.face.result(report.data)

    def _train_curve(self, start: Callable[[Listener, Stop], SeriesReport]) -> None:
        with Stop(self.limit).listening() as stop, self._listener() as listener:
            report = start(listener, stop)
        for name, found in report.data["curves"].items():
            self.face.console().print(curve_table(name, found))
        self.face.say(f"runs, tables, pictures -> {report.folder}")
        self.face.result(report.data)

    def _train_all(self, start: Callable[[Listener, Stop], SeriesReport]) -> None:
        with Stop(self.limit).listening() as stop, self._listener() as listener:
            report = start(listener, stop)
        for name, found in report.data["test"].items():
            if found["model"] is None:
                self.face.warn(f"the test part has no labels '{name}'")
            else:
                self.face.console().print(series_table(name, found, report.data["architecture"]))
        self.face.say(f"runs -> {report.folder}")
        self.face.result(report.data)

    @contextmanager
    def _listener(self) -> Iterator[Listener]:
        console = self.face.console()
        if not console.is_terminal or self.face.quiet:
            yield with_pulse(Listener(self.face.line, self.face.warn))
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("epoch {task.fields[epoch]}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("", total=None, epoch="")

            def step(epoch: int, done: int, total: int) -> None:
                bar.update(task, completed=done, total=total, epoch=epoch)

            yield Listener(console.print, self.face.warn, step)

    def _table(self, report: TargetReport) -> None:
        from rich.table import Table

        q, model = report.quantity, report.model
        if model is None:
            self.face.warn(f"the test part has no labels '{q.name}'")
            return
        rows = report.rows
        if isinstance(model, metrics.ClassErrors):
            table = Table("", "accuracy", "ROC-AUC", "F1", "log loss", title=f"test: {q.name}, {model.n} labels")
            for name, r in rows.items():
                if isinstance(r, metrics.ClassErrors):
                    area = "" if r.roc_auc is None else f"{r.roc_auc:.4f}"
                    table.add_row(name, f"{r.accuracy:.4f}", area, f"{r.f1:.4f}", f"{r.log_loss:.4f}")
        else:
            factor, unit = unit_for(model.mae, replace(q, unit=model.unit or q.unit))
            title = f"test: {q.name}" + (f" ({unit})" if unit else "") + f", {model.n} labels"
            table = Table("", model.word, "RMSE", "R²", "max error", title=title)
            for name, r in rows.items():
                if isinstance(r, metrics.Errors):
                    cells = [number(v * factor) for v in (r.mae, r.rmse, r.max_error)]
                    table.add_row(name, cells[0], cells[1], "" if r.r2 is None else f"{r.r2:.4f}", cells[2])
        self.face.console().print(table)
        if isinstance(model, metrics.ClassErrors) and q.classes <= FEW:
            self.face.console().print(_confusion(q, model))
        if q.level == "site" and report.by_element:
            self.face.console().print(element_table(report))
        for name, r in rows.items():
            if isinstance(r, str):
                self.face.say(f"baseline {name}: skipped, {r}")
        for name, n in report.strange.items():
            self.face.warn(f"baseline {name}: {n} test structures have distances that training never has; they count 0")


def _confusion(quantity: Quantity, errors: metrics.ClassErrors) -> Table:
    from rich.table import Table

    table = Table("true \\ predicted", *quantity.words, title=f"test: {quantity.name}, structures")
    for w, row in zip(quantity.words, errors.confusion, strict=True):
        table.add_row(w, *(str(n) for n in row))
    return table
