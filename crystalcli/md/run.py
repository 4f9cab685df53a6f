"""Structures + potential + sampler → trajectories, their log and what they tell.

Rows and frames go into chunks of fixed length, with a restart record now and then; at the end they are joined, so that
nothing depends on interruptions. A run that is made longer takes its joined files for the first chunk.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from crystalcli.contracts.dynamics import made_of
from crystalcli.contracts.host import Reporter
from crystalcli.contracts.request import Request
from crystalcli.contracts.workflow import Run, Work
from crystalcli.engine.potential.potential_names import model_file, required
from crystalcli.engine.read.reading import Failure
from crystalcli.engine.record.run_record import REPORT
from crystalcli.engine.run import checkpoint
from crystalcli.md import report as sampling_report
from crystalcli.md.loop import Dynamics, summary
from crystalcli.md.options import CHUNKS, THERMO, TRAJECTORY, MdOptions
from crystalcli.md.records import Recorder
from crystalcli.md.setup import SamplingBatch, first_batch, folders, parts, restored_batch
from crystalcli.nouns.structures.entry import Entry
from crystalcli.vocabulary.errors import Exit, UsageError


class Sampling(Work):
    """Molecular dynamics with everything looked up, read and evaluated once.

    Args:
        request: what is asked.
        reporter: is warned.
        structures: the reading of the request's.

    Raises:
        UsageError: nothing to move, no potential, parts, options or numbers that cannot work.
        NothingUsable: no structure can be used. InputError: the model cannot be read.
    """

    def __init__(self, request: Request, reporter: Reporter, structures: Iterable[Entry | Failure]) -> None:
        o: MdOptions = request.options
        if not o.structures:
            raise UsageError("no structures; name files, folders or a quoted glob")
        required(o.potential)
        if o.threads:
            torch.set_num_threads(o.threads)
        self.request, self.options, self.program = request, o, o.program()
        self.potential, self.sampler = parts(request)
        self.batch = first_batch(o, structures, self.program, self.potential, self.sampler, reporter)
        model = model_file(o.potential)
        self.inputs = [Path(p) for p in o.structures] + ([model] if model else [])
        self.parts = [(("calculator" if k == "potential" else k), c.name) for k, c in request.parts.items()]
        self.facts = {
            "device": str(self.potential.device),
            "threads": torch.get_num_threads(),
            "program": self.program.text(),
            **made_of(self.potential),
        }

    def describe(self) -> dict[str, Any]:
        """The resolved plan."""
        o, chosen = self.options, self.request.to_json()["parts"]
        counts = self.batch.systems.atom_counts.tolist()
        return {
            "structures": dict(zip(self.batch.ids, counts, strict=True)),
            "failed": list(self.batch.failed),
            **{k: chosen.get(k, {"name": getattr(o, k), "options": {}}) for k in ("potential", "sampler")},
            "temperature": self.program.text(),
            "steps": o.length,
            "dt": o.dt,
            "frames": o.length // o.frame_every + 1,
            "device": self.facts["device"],
            "seed": o.seed,
            "exit_code": 0,
        }

    def do(self, run: Run) -> dict[str, Any]:
        """Move the structures from where they stand to the last step, then put everything together."""
        state = _newest(run) if run.resumed else None
        batch = self.batch if state is None else restored_batch(state, self.potential.device)
        dynamics = self._dynamics(run, batch)
        if state is None:
            dynamics.begin()
        elif (report := _finished_at(run, state)) is not None:
            dynamics.adopt(state, [report["structures"][n]["sha256"] for n in batch.ids], TRAJECTORY, THERMO)
            self._tell_longer(run, dynamics.step)
        else:
            dynamics.restore(state)
        if dynamics.step > self.options.length:
            raise UsageError(f"has done {dynamics.step} steps; --steps makes a run longer, not shorter", path=run.path)
        dynamics.integrate()
        return self._joined(dynamics, batch)

    def _dynamics(self, run: Run, batch: SamplingBatch) -> Dynamics:
        sigma = "sigma" in self.potential.provides
        recorder = Recorder(folders(run.path, batch.ids), run.path / CHUNKS, batch.systems, self.options.dt, sigma)
        return Dynamics(self.options, self.program, (self.potential, self.sampler), batch, recorder, run)

    def _tell_longer(self, run: Run, done: int) -> None:
        stages = self.program.stages
        if len({kelvin for stage in stages for kelvin in (stage.start, stage.end)}) > 1:
            to, kelvin = self.options.length, stages[-1].end
            run.reporter.say(f"steps {done} to {to} at {kelvin:g} K, the last temperature")

    def _joined(self, dynamics: Dynamics, batch: SamplingBatch) -> dict[str, Any]:
        """Join the chunks, write what they tell."""
        o, recorder = self.options, dynamics.recorder
        found: dict[str, Any] = {}
        for k, (name, folder) in enumerate(zip(batch.ids, recorder.folders, strict=True)):
            hashes = {
                TRAJECTORY: recorder.trajectories[k].join(recorder.sealed, folder / TRAJECTORY),
                THERMO: recorder.thermo[k].join(recorder.sealed, folder / THERMO, recorder.header),
            }
            found[name] = {"folder": str(folder), "sha256": hashes}
            if o.analysis:
                found[name] |= sampling_report.write(folder, name, o, dynamics.run.reporter.warn)
        ended = summary(dynamics)
        code = _exit_code(ended["stopped"], len(batch.ids), failed=bool(batch.failed))
        return {"structures": found, **ended, "failed": list(batch.failed), "exit_code": int(code)}


def _newest(run: Run) -> checkpoint.TrainingState | None:
    """The newest restart record; none where the run was killed before its first.

    Raises:
        UsageError: the run is finished and its restart records are gone.
    """
    state, problems = checkpoint.newest(run.path)
    for line in problems:
        run.reporter.warn(line)
    if state is None and (run.path / REPORT).exists():
        raise UsageError("has no restart record: start a new run from its last frame", path=run.path)
    return state


def _finished_at(run: Run, state: checkpoint.TrainingState) -> Mapping[str, Any] | None:
    """The report of the run that was finished at this restart record, whose chunks are joined and gone.

    Raises:
        UsageError: a report that cannot be read.
    """
    path = run.path / REPORT
    if not path.exists():
        return None
    try:
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return report if report["steps"] == state.facts["step"] else None
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise UsageError("is broken: the run cannot go on without a gap", path=path) from problem


def _exit_code(stopped: Mapping[str, Any], structures: int, *, failed: bool) -> Exit:
    """7 where nothing else was left, 3 where some structures went on or an ensemble asked to stop."""
    if not stopped:
        return Exit.SOME_FAILED if failed else Exit.OK
    unsure = all(h["code"] == "sigma" for h in stopped.values())
    return Exit.SOME_FAILED if failed or unsure or len(stopped) < structures else Exit.NUMERICAL
