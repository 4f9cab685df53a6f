"""How a molecular-dynamics run looks: plain lines or live progress, and the numbers at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crystalcli.commands.console import Face
from crystalcli.mechanisms.dynamics import temperature_program
from crystalcli.mechanisms.running.cpu import prepare_cpu
from crystalcli.mechanisms.running.run_folder import RunFolder
from crystalcli.mechanisms.running.stopping import Stop, seconds
from crystalcli.vocabulary.errors import Exit, UsageError
from crystalcli.workflows.graphs.supervised_reading import Reading
from crystalcli.workflows.hearing import Listener
from crystalcli.workflows.md import sampling
from crystalcli.workflows.md.sampling_plan import SamplingPlan

MANY = 12
"""More structures than this are summed up at the end, not listed."""


class DynamicsFace:
    """Runs sampling workflows for a person or a program at a terminal."""

    def __init__(self, face: Face, time_limit: str) -> None:
        self.face = face
        self.limit = seconds(time_limit)
        prepare_cpu()

    def run(self, plan: SamplingPlan, structures: Reading) -> int:
        """Start a run; returns the exit code."""
        return self._go(lambda listener, stop: sampling.run(plan, listener, stop, structures), plan.steps)

    def resume(self, path: Path, changes: Mapping[str, Any], asked: Mapping[str, Any]) -> int:
        """Go on with a run; what is ``asked`` must be what it was started with."""
        record = RunFolder.read(path)
        if record.get("command") != "md" or "plan" not in record:
            raise UsageError("is no run of crystal md", path=path)
        plan = SamplingPlan.from_json(record["plan"])
        changes = dict(changes)
        if "time" in changes:
            if "steps" in changes:
                raise UsageError("--steps and --time say the same; give one of them")
            changes["steps"] = round(changes.pop("time") * 1e3 / plan.dt)
        differ = list(_differences(plan, asked))
        if differ:
            raise UsageError(f"{'; '.join(differ)}: start a new run, or leave it out", path=path)
        return self._go(
            lambda listener, stop: sampling.resume(path, changes, listener, stop), changes.get("steps", plan.steps)
        )

    def describe(self, plan: SamplingPlan, structures: Reading) -> int:
        """Show the resolved plan."""
        found = sampling.describe(plan, Listener(self.face.say, self.face.warn), structures)
        atoms = found["structures"]
        self.face.say(f"structures: {len(atoms)}, {sum(atoms.values())} atoms")
        for name in ("potential", "sampler"):
            part = found[name]
            options = ", ".join(f"{k}={v}" for k, v in part["options"].items())
            self.face.say(f"{name}: {part['name']}" + (f" ({options})" if options else ""))
        self.face.say(f"temperature: {found['temperature']} (K@steps)")
        self.face.say(f"steps: {plan.steps} of {plan.dt:g} fs, {plan.steps * plan.dt * 1e-3:g} ps")
        self.face.say(f"frames: {found['frames']} a structure")
        self.face.say(f"device: {found['device']}; output: {found['output']}; nothing was written")
        self.face.result(found)
        return Exit.OK

    def _go(self, start: Callable[[Listener, Stop], sampling.SamplingReport], steps: int) -> int:
        with Stop(self.limit).listening() as stop, self._listener(steps) as listener:
            report = start(listener, stop)
        self._tell(report)
        self.face.result(report.data)
        code: int = report.data["exit_code"]
        return code

    @contextmanager
    def _listener(self, steps: int) -> Iterator[Listener]:
        console = self.face.console()
        if not console.is_terminal or self.face.quiet:
            yield Listener(self.face.line, self.face.warn)
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("step"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("", total=steps)

            def step(_step: int, done: int, _total: int) -> None:
                bar.update(task, completed=done)

            yield Listener(console.print, self.face.warn, step)

    def _tell(self, report: sampling.SamplingReport) -> None:
        data = report.data
        for name, said in list(data["structures"].items())[:MANY]:
            if "temperature_K" not in said:
                continue
            line = f"{name}: from {said['analysed_from_ps']:g} ps on T {said['temperature_K']:.1f}"
            line += f" ± {said['temperature_std_K']:.1f} K, E_pot {said['potential_eV_per_atom']:.5f} eV/atom"
            if "pressure_GPa" in said:
                line += f", P {said['pressure_GPa']:.3f} GPa"
            self.face.say(line)
        drift = data["worst_drift_meV_per_atom_ps"]
        said = "not measured, for the log has fewer than three rows" if drift is None else f"{drift:.2g} meV/atom/ps"
        self.face.say(f"largest drift of the conserved energy: {said}")
        stopped, failed = data["stopped"], data["failed"]
        if stopped or failed:
            n = len(data["structures"])
            where = f"see last-good.extxyz beside the trajectories in {report.folder}"
            self.face.warn(f"{n - len(stopped)} ok, {len(stopped)} stopped, {len(failed)} failed; {where}")
        self.face.say(f"trajectories -> {report.folder}")


def _differences(plan: SamplingPlan, asked: Mapping[str, Any]) -> Iterator[str]:
    """What was typed and is not what the run was started with."""
    began: dict[str, Any] = {**plan.to_json(), "output": None}
    for part, options in ((plan.sampler, plan.sampler_options), (plan.potential, plan.potential_options)):
        began |= {f"{part}.{k}": v for k, v in options.items()}
    for name, value in asked.items():
        flag = "--" + name.replace("_", "-")
        now: Any = list(value) if isinstance(value, list | tuple) else value
        was: Any
        if name in ("overwrite", "output"):
            yield f"{flag} does not go with --resume"
            continue
        if name in ("steps", "time"):  # make it longer
            continue
        if name == "potential" and Path(value).exists():
            now, was = str(Path(value).absolute()), plan.potential
        elif name == "drift_every":
            was = plan.drift_every * plan.dt * 1e-3
        elif name == "structures":
            now, was = list(value), list(plan.structures)
        elif name == "temperature":
            steps = plan.steps
            now, was = temperature_program.parse(value, dt=plan.dt, steps=steps).text(), plan.temperature
        else:
            was = began.get(name)
            was = list(was) if isinstance(was, tuple) else was
        if now != was:
            yield f"{flag} was {was}, not {now}"
