"""The steps of a run: sampler and potential in turn, guards, log, frames, restart records."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from crystalcli.contracts.dynamics import Evaluated, Potential, SamplerModule, State
from crystalcli.contracts.noise import StructureNoise
from crystalcli.contracts.workflow import Run
from crystalcli.engine.run import checkpoint
from crystalcli.md.guards import GUARD_EVERY, GuardLimits, Guards, StopReason
from crystalcli.md.halts import Halts, write_geometry
from crystalcli.md.monitor import Monitor
from crystalcli.md.options import LAST_GOOD, STOPPED_AT, MdOptions
from crystalcli.md.records import LogRow, Recorder, chunk_steps
from crystalcli.md.setup import TEMPERATURE, SamplingBatch, sampler_of
from crystalcli.md.temperature_program import TemperatureProgram
from crystalcli.nouns.systems import Systems
from crystalcli.vocabulary.errors import InputError, PluginFault

_EVALUATED = ("energy", "forces", "stress", "energies", "sigma")


class Dynamics:
    """Moves a batch of structures from where it stands to the last step.

    Args:
        options: of the run.
        program: temperature against step.
        parts: potential and sampler.
        batch: the structures as they start.
        recorder: takes rows and frames.
        run: its folder takes the restart records; hears of it, knows when to stop.
    """

    def __init__(
        self,
        options: MdOptions,
        program: TemperatureProgram,
        parts: tuple[Potential, SamplerModule],
        batch: SamplingBatch,
        recorder: Recorder,
        run: Run,
    ) -> None:
        self.options, self.program, self.batch, self.recorder, self.run = options, program, batch, recorder, run
        self.potential, self.sampler = parts
        self.ids, systems = batch.ids, batch.systems
        self.systems, self.device = systems, systems.cell.device
        self.step = 0
        self.halts = Halts(systems)
        self.limits = GuardLimits(options.hotter, options.closest, options.max_force)
        self.guards = Guards(systems, self.limits)
        self.first_cell = systems.cell
        self.tried = systems
        self.monitor = Monitor(options, self.ids, systems.atom_counts, run.reporter, run.follow)
        self.solid = systems.pbc.all(1).nonzero().flatten()  # a molecule or a slab has no pressure
        self.stress_now = self._stress_possible = "stress" in self.potential.provides and len(self.solid) > 0
        self.saved = time.monotonic()
        self.chunk = chunk_steps(options.frame_every, systems.n_atoms)
        self.rhythms = (GUARD_EVERY, options.log_every, options.frame_every, self.chunk)
        self._target: tuple[float, Tensor] = (-1.0, torch.empty(0))
        self.noise = StructureNoise(options.seed, batch.ids, systems.atom_counts.tolist(), device=self.device)
        self.thermostat = TEMPERATURE in sampler_of(options).provides
        self.noisy: bool = getattr(self.sampler, "noisy", True)
        self.evaluated: Evaluated
        self.state: State

    # beginning, saving, restoring

    def begin(self) -> None:
        """Evaluate the first point; keep step 0.

        Raises:
            InputError: a structure that the potential cannot evaluate.
        """
        self.evaluated = self._force(self.systems)
        self.state = self.sampler.init(self.systems, self._kelvins(0), self.noise.at(0))
        self._guard(0)
        self._record(0)
        self._found_good()
        self.save()

    def save(self) -> None:
        """Write a restart record."""
        found = {n: v for n in _EVALUATED if (v := getattr(self.evaluated, n)) is not None}
        tensors = {
            **checkpoint.prefixed("systems", self.systems.tensors()),
            **checkpoint.prefixed("good", self.halts.good.tensors()),
            **checkpoint.prefixed("evaluated", found),
            **checkpoint.prefixed("state", self.state),
            **checkpoint.prefixed("record", self.recorder.tensors()),
            **checkpoint.prefixed("monitor", self.monitor.tensors()),
            "alive": self.halts.alive,
            "first_cell": self.first_cell,
            "began": self.guards.began,
        }
        facts = {
            "kind": "md",
            "step": self.step,
            "ids": list(self.ids),
            "failed": list(self.batch.failed),
            "halted": self.halts.facts(),
            "good_step": self.halts.good_step,
            "monitor": self.monitor.facts(),
            "record": self.recorder.facts(),
            **checkpoint.circumstances(self.device),
        }
        apart = {k: v.clone() for k, v in tensors.items()}  # the format has no tensors that share memory, or with gaps
        checkpoint.save(self.run.path, self.step, checkpoint.TrainingState(apart, facts))
        self.saved = time.monotonic()

    def restore(self, state: checkpoint.TrainingState) -> None:
        """Go back to a restart record; says where the bits that follow will not be those of one long run.

        Raises:
            UsageError: a chunk that it names is missing or damaged.
        """
        tensors = {k: v.to(self.device) for k, v in state.tensors.items()}
        facts = state.facts
        for line in checkpoint.other_circumstances(facts, checkpoint.circumstances(self.device)):
            self.run.reporter.warn(line)
        self.systems = Systems.of_tensors(checkpoint.under("systems", tensors))
        self.evaluated = Evaluated(**checkpoint.under("evaluated", tensors))
        self.state = checkpoint.under("state", tensors)
        self.first_cell, self.step = tensors["first_cell"], facts["step"]
        good = checkpoint.under("good", tensors)  # records of earlier versions have none
        good_systems = Systems.of_tensors(good) if good else self.systems
        self.halts.restore(good_systems, facts.get("good_step", self.step), tensors["alive"], facts["halted"])
        self.monitor.restore(checkpoint.under("monitor", tensors), facts["monitor"])
        self.guards = Guards(self.systems.moved(cell=self.first_cell), self.limits, tensors.get("began"))
        self.guards.reset(self.systems)
        self.recorder.restore(checkpoint.under("record", tensors), facts["record"])
        self.recorder.check()

    # the steps

    def integrate(self) -> None:
        """Go to the last step.

        Raises:
            Stopped: asked to; a restart record is written.
        """
        steps, every = self.options.length, self.options.checkpoint_every
        while self.step < steps and len(self.halts.found) < len(self.ids):
            step = self.advance()
            if step % self.chunk == 0:
                self.recorder.seal()
            if step < steps:
                asked = self.run.stop.reason()
                if asked or time.monotonic() - self.saved >= every:
                    self.save()
                if asked:
                    self.run.stop_if_asked(f"step {step} of {steps}")
        if self.recorder.open:
            self.recorder.seal()
        self.save()  # before the last look: a longer run goes on as one that did not end and was not looked at here
        if self.step == steps and not self._in_rhythm(steps):
            self._guard(steps)
        if found := self.monitor.final(self.halts.alive):
            self._halt(self.step, found)
        self.recorder.write_last(self.step, self.systems, self.evaluated, self.halts.alive)

    def adopt(
        self, state: checkpoint.TrainingState, known: Sequence[Mapping[str, str]], trajectory: str, log: str
    ) -> None:
        """Go back to the end of a finished run, whose pieces have been joined: its files are the first piece.

        Args:
            state: its last.
            known: hashes of the files by name, for every structure.
            trajectory: name of the trajectory.
            log: name of the log.

        Raises:
            UsageError: one of the files is missing, or not as the run left it.
        """
        self.recorder.adopt(known, trajectory, log)
        self.restore(checkpoint.TrainingState(state.tensors, {**state.facts, "record": self.recorder.facts()}))
        for k, folder in enumerate(self.recorder.folders):
            if k not in self.halts.found:  # its end may have stopped it
                for name in (LAST_GOOD, STOPPED_AT):
                    (folder / name).unlink(missing_ok=True)
        self.save()

    def advance(self) -> int:
        """Go to the next step at which something is looked at or kept, or is asked to stop; returns where it is.

        Where it is asked to stop before that step nothing is looked at: a run that nobody stopped does not look there,
        nor does a longer one at the last step of this.
        """
        step = self.step
        due = min(self.options.length, *(step - step % r + r for r in self.rhythms))
        self._walk(due)
        if self.step == due and self._in_rhythm(due):
            self._guard(due)
            self._record(due)
            self._found_good()
        return self.step

    def _in_rhythm(self, step: int) -> bool:
        """Whether something is looked at or kept at a step, however long the run is."""
        return any(step % r == 0 for r in self.rhythms)

    def _walk(self, until: int) -> None:
        """Steps up to ``until``, or to the first that needs a look."""
        o, step = self.options, self.sampler.step
        while self.step < until:
            n = self.step + 1
            self.stress_now = self._stress_possible and (n % o.log_every == 0 or n % o.frame_every == 0)
            kelvins = self._kelvins(n)
            generator = self.noise.at(n) if self.noisy else self.noise
            try:
                point = step(
                    self.systems, self.evaluated, self.state, self._force,
                    dt=o.dt, temperature=kelvins, generator=generator,
                )  # fmt: skip
            except PluginFault:  # of the sampler, or of a part of the model: no structure's
                raise
            except InputError as problem:
                self._find_culprit(n, problem)
                continue
            before = self.systems
            self.systems, self.evaluated, self.state = point
            self._freeze()
            self.step = n
            if not self.guards.calm(before, self.systems, o.dt):
                self._guard(n, before)
                self._found_good()
            if self.run.stop.reason():
                return

    def _force(self, moved: Systems) -> Evaluated:
        moved = self.halts.at_rest(moved)
        self.tried = moved
        stress = self.sampler.needs_stress or self.stress_now
        if not stress or len(self.solid) == moved.n_structures:
            return self.potential.evaluate(moved, stress=stress)
        found = self.potential.evaluate(moved)
        try:
            part = self.potential.evaluate(moved.take(self.solid), stress=True).stress
        except InputError as problem:
            which = re.sub(r"^structure (\d+)", lambda m: f"structure {self.solid[int(m[1])]}", problem.reason)
            raise InputError(which, code=problem.code) from problem
        assert part is not None
        unknown = torch.full_like(moved.cell, torch.nan)
        return replace(found, stress=unknown.index_copy(0, self.solid, part))

    def _kelvins(self, step: int) -> Tensor:
        kelvin = self.program.at(step)
        if kelvin != self._target[0]:
            n = self.systems.n_structures
            self._target = kelvin, torch.full((n,), kelvin, dtype=torch.float64, device=self.device)
        return self._target[1]

    # structures that are stopped

    def _guard(self, step: int, before: Systems | None = None) -> None:
        target = self.program.at(step)
        if before is not None or not self.guards.fine(self.systems, self.evaluated, target):
            found = self.guards.look(self.systems, self.evaluated, target, self.options.dt, self.halts.alive, before)
            if found:
                self._halt(step, found)

    def _found_good(self) -> None:
        """Guards and log have found nothing wrong here but what was stopped, and stands where it was good before."""
        self.halts.good, self.halts.good_step = self.systems, self.step

    def _halt(self, step: int, found: Mapping[int, StopReason]) -> None:
        """Stop structures: their last good frame is written, and they stand there while the others go on."""
        self.halts.stop(step, found)
        fatal = self.systems if self.step == step else self.tried
        for k, verdict in sorted(found.items()):
            for name, systems, at in ((LAST_GOOD, self.halts.good, self.halts.good_step), (STOPPED_AT, fatal, step)):
                write_geometry(self.recorder, k, name, systems, at, self.options.dt)
            self.run.reporter.warn(f"{self.ids[k]}: stopped at step {step}: {verdict.reason}")
        self._freeze()

    def _freeze(self) -> None:
        self.systems = self.halts.at_rest(self.systems)
        self.evaluated = self.halts.unpushed(self.systems, self.evaluated)

    def _find_culprit(self, step: int, problem: InputError) -> None:
        """The potential has refused the batch: stop the structures that it refuses alone; the others try again."""
        found = {}
        for k in torch.nonzero(self.halts.alive).flatten().tolist():
            alone = self.tried.take(torch.tensor([k], device=self.device))
            try:
                self.potential.evaluate(alone, stress=self.sampler.needs_stress)
            except InputError as own:
                found[k] = StopReason(own.code or "potential", own.reason.removeprefix("structure 0: "))
        if not found and (named := re.match(r"structure (\d+): ", problem.reason)):  # refused in company only
            found[int(named[1])] = StopReason(problem.code or "potential", problem.reason[named.end() :])
        if not found:
            raise problem
        self._halt(step, found)

    # the log

    def _record(self, step: int) -> None:
        o = self.options
        if step % o.log_every == 0:
            kept = self.sampler.conserved(self.systems, self.evaluated, self.state)
            target = self.program.at(step) if self.thermostat else math.nan
            row = LogRow(step, target, self.systems, self.evaluated, kept, self.halts.alive)
            self.recorder.log(row)
            self.monitor.line(row)
            found = self.monitor.drift(step, kept, self.halts.alive)
            found |= self.monitor.sigma(step, self.evaluated.sigma, self.halts.alive)
            if found:
                self._halt(step, found)
        if step % o.frame_every == 0:
            self.recorder.frame(step, self.systems, self.evaluated, self.halts.alive)


def summary(dynamics: Dynamics) -> dict[str, Any]:
    """How the run went, for its report."""
    return {
        "steps": dynamics.step,
        "worst_drift_meV_per_atom_ps": dynamics.monitor.worst,
        "stopped": {dynamics.ids[k]: vars(h) for k, h in sorted(dynamics.halts.found.items())},
    }
