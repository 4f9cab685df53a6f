"""How a relaxation looks: plain lines or live progress, and the table at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crystalcli.commands.console import Face
from crystalcli.mechanisms.running.cpu import prepare_cpu
from crystalcli.mechanisms.running.stopping import Stop, seconds
from crystalcli.workflows.relax import relaxation
from crystalcli.workflows.relax.relaxation_plan import Listener, RelaxationPlan

ROWS = 30
"""Structures in the table on a terminal, those that went wrong first; all are in relaxation.csv."""
WARNINGS = 10


class RelaxationFace:
    """Runs relaxations for a person or a program at a terminal."""

    def __init__(self, face: Face, time_limit: str) -> None:
        self.face = face
        self.limit = seconds(time_limit)
        self.warned = 0
        prepare_cpu()

    def run(self, plan: RelaxationPlan) -> int:
        """Start a run, or go on with it."""
        if plan.fmax == 0 and plan.steps:
            self.face.warn(f"--fmax 0 is never reached: every structure takes all {plan.steps} steps")
        return self._relax(lambda listener, stop: relaxation.run(plan, listener, stop))

    def resume(self, path: Path, changes: Mapping[str, Any]) -> int:
        """Go on with a run."""
        return self._relax(lambda listener, stop: relaxation.resume(path, changes, listener, stop))

    def describe(self, plan: RelaxationPlan) -> int:
        """Show the resolved plan."""
        found = relaxation.describe(plan)

        def options(kind: str) -> str:
            return ", ".join(f"{k}={v}" for k, v in found[f"{kind}_options"].items()) or "no options"

        for kind in ("potential", "relaxer"):
            self.face.say(f"{kind}: {found[kind]} ({options(kind)})")
        free = "" if plan.cell == "none" else f", smax {plan.smax:g} GPa at {plan.pressure:g} GPa"
        self.face.say(f"cell: {plan.cell}; until fmax {plan.fmax:g} eV/Å{free}, at most {plan.steps} steps")
        self.face.say(f"{found['files']} files, {plan.batch_size} structures at a time, on {found['device']}")
        self.face.say(f"output: {plan.output}; nothing was written")
        self.face.result(found)
        return 0

    def _relax(self, start: Callable[[Listener, Stop], relaxation.RelaxationReport]) -> int:
        with Stop(self.limit).listening() as stop, self._listener() as listener:
            report = start(listener, stop)
        data = report.data
        if self.face.console().is_terminal:
            self._table(data)
        if self.warned > WARNINGS:
            self.face.warn(f"{self.warned - WARNINGS} more warnings; all are in {report.folder / 'log.txt'}")
        self._summary(data)
        self.face.say(f"structures -> {report.folder / relaxation.STRUCTURES}")
        self.face.say(f"table -> {report.folder / relaxation.TABLE}")
        self.face.result(data)
        return int(report.exit_code)

    def _summary(self, data: Mapping[str, Any]) -> None:
        n, good = data["structures"], data["converged"]
        rest = ", ".join(f"{k}: {v}" for k, v in data["reasons"].items() if k != "converged")
        self.face.say(f"{good} of {n} converged" + (f" ({rest})" if rest else ""))
        if data["symmetry_changed"]:
            self.face.say(f"the space group changed in {data['symmetry_changed']} (tolerance {data['symprec']:g} Å)")

    def _warn(self, text: str) -> None:
        self.warned += 1
        if self.warned <= WARNINGS:
            self.face.warn(text)

    @contextmanager
    def _listener(self) -> Iterator[Listener]:
        console = self.face.console()
        if not console.is_terminal or self.face.quiet:
            yield Listener(self.face.line, self._warn)
            return
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn(), TextColumn("{task.completed} done"), TextColumn("{task.fields[now]}"))
        with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
            task = bar.add_task("", total=None, now="")

            def step(number: int, left: int) -> None:
                bar.update(task, now=f"step {number}, {left} under way")

            yield Listener(lambda _line: None, self._warn, lambda n: bar.advance(task, n), step)

    def _table(self, data: Mapping[str, Any]) -> None:
        from rich.table import Table

        free = any(r["smax"] is not None for r in data["rows"])
        heads = ["structure", "", "steps", "ΔE (eV)", "fmax (eV/Å)", *(["smax (GPa)", "ΔV (%)"] if free else [])]
        table = Table(*heads, "moved (Å)", "space group")
        rows = sorted(data["rows"], key=lambda r: r["converged"])
        for r in rows[:ROWS]:
            state = "converged" if r["converged"] else r["reason"]
            if r["energy"] is None or r["energy_start"] is None:
                table.add_row(r["id"], state, str(r["steps"]))
                continue
            cells = [f"{r['energy'] - r['energy_start']:.4f}", _shown(r["fmax"])]
            if free:
                change = 100.0 * (r["volume"] / r["volume_start"] - 1.0) if r["volume_start"] else None
                cells += [_shown(r["smax"]), "" if change is None else f"{change:+.2f}"]
            groups = dict.fromkeys(g for g in (r["spacegroup_start"], r["spacegroup"]) if g)
            table.add_row(r["id"], state, str(r["steps"]), *cells, _shown(r["displacement_max"]), " -> ".join(groups))
        self.face.console().print(table)
        if len(rows) > ROWS:
            self.face.say(f"… and {len(rows) - ROWS} more")


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
