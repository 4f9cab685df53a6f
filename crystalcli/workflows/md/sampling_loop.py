"""The steps of a run: sampler and potential in turn, guards, log, frames, restart records."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from crystalcli.contracts.dynamics import Evaluated, Potential, SamplerModule, State
from crystalcli.mechanisms.dynamics.temperature_program import TemperatureProgram
from crystalcli.mechanisms.dynamics.velocities import seed_of
from crystalcli.mechanisms.running.stopping import Stop
from crystalcli.mechanisms.training import checkpoint
from crystalcli.nouns.systems import Systems
from crystalcli.vocabulary.errors import InputError, Stopped
from crystalcli.workflows.hearing import Listener
from crystalcli.workflows.md.sampling_guards import Guards, Verdict
from crystalcli.workflows.md.sampling_halts import FATAL, LAST_GOOD, Halts, write_geometry
from crystalcli.workflows.md.sampling_plan import GUARD_EVERY, SamplingPlan
from crystalcli.workflows.md.sampling_records import Recorder, Row
from crystalcli.workflows.md.sampling_watch import Watch

_EVALUATED = ("energy", "forces", "stress", "energies", "sigma")


class Dynamics:
    """Moves a batch of structures from where it stands to the end of the plan.

    Args:
        plan: of the run.
        program: temperature against step.
        parts: potential and sampler.
        systems: as they start; velocities included.
        ids: of the structures.
        recorder: takes rows and frames.
        folder: of the run, for restart records.
        listener, stop: who hears of it; when to stop.
    """

    def __init__(
        self,
        plan: SamplingPlan,
        program: TemperatureProgram,
        parts: tuple[Potential, SamplerModule],
        systems: Systems,
        ids: Sequence[str],
        recorder: Recorder,
        folder: Path,
        listener: Listener,
        stop: Stop,
    ) -> None:
        self.plan, self.program, self.ids, self.recorder = plan, program, ids, recorder
        self.potential, self.sampler = parts
        self.folder, self.listener, self.stop = folder, listener, stop
        self.systems, self.device = systems, systems.cell.device
        self.step = 0
        self.halts = Halts(systems)
        self.guards = Guards(systems)
        self.first_cell = systems.cell
        self.tried = systems
        self.watch = Watch(plan, ids, systems.atom_counts, listener)
        self.stress_now = self._stress_possible = "stress" in self.potential.provides and bool(systems.pbc.all())
        self.saved = time.monotonic()
        self.rhythms = (GUARD_EVERY, plan.log_every, plan.frame_every, plan.chunk_steps(systems.n_atoms))
        self._target: tuple[float, Tensor] = (-1.0, torch.empty(0))
        self._offset = seed_of("noise", plan.seed) & 0xFFFFFFFF
        self.generator = torch.Generator(self.device)
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
        self.state = self.sampler.init(self.systems, self._kelvins(0), self._noise(0))
        self._guard(0)
        self._record(0)
        self.save()

    def save(self) -> None:
        """Write a restart record."""
        found = {n: v for n in _EVALUATED if (v := getattr(self.evaluated, n)) is not None}
        tensors = {
            **checkpoint.prefixed("systems", self.systems.tensors()),
            **checkpoint.prefixed("evaluated", found),
            **checkpoint.prefixed("state", self.state),
            **checkpoint.prefixed("record", self.recorder.tensors()),
            **checkpoint.prefixed("watch", self.watch.tensors()),
            "alive": self.halts.alive,
            "first_cell": self.first_cell,
        }
        facts = {
            "kind": "md",
            "step": self.step,
            "ids": list(self.ids),
            "halted": self.halts.facts(),
            "watch": self.watch.facts(),
            "record": self.recorder.facts(),
        }
        apart = {k: v.clone() for k, v in tensors.items()}  # the format has no tensors that share memory
        checkpoint.save(self.folder, self.step, checkpoint.State(apart, facts))
        self.saved = time.monotonic()

    def restore(self, state: checkpoint.State) -> None:
        """Go back to a restart record.

        Raises:
            UsageError: a chunk that it names is missing or damaged.
        """
        tensors = {k: v.to(self.device) for k, v in state.tensors.items()}
        facts = state.facts
        self.systems = Systems.of_tensors(checkpoint.under("systems", tensors))
        self.evaluated = Evaluated(**checkpoint.under("evaluated", tensors))
        self.state = checkpoint.under("state", tensors)
        self.first_cell, self.step = tensors["first_cell"], facts["step"]
        self.halts.restore(self.systems, tensors["alive"], facts["halted"])
        self.watch.restore(checkpoint.under("watch", tensors), facts["watch"])
        self.guards = Guards(self.systems.moved(cell=self.first_cell))
        self.guards.reset(self.systems)
        self.recorder.restore(checkpoint.under("record", tensors), facts["record"])
        self.recorder.check()

    # the steps

    def run(self) -> None:
        """Go to the end of the plan.

        Raises:
            Stopped: asked to; a restart record is written.
        """
        plan, chunk = self.plan, self.plan.chunk_steps(self.systems.n_atoms)
        while self.step < plan.steps and len(self.halts.found) < len(self.ids):
            step = self.advance()
            if step % chunk == 0:
                self.recorder.seal()
            reason = self.stop.reason()
            if step < plan.steps and (reason or time.monotonic() - self.saved >= plan.checkpoint_every):
                self.save()
            if reason and step < plan.steps:
                raise Stopped(
                    f"stopped by {reason} at step {step} of {plan.steps}; go on with: crystal md --resume {self.folder}"
                )
        if found := self.watch.final(self.halts.alive):
            self._halt(self.step, found)
        if self.recorder.open:
            self.recorder.seal()
        self.save()

    def adopt(self, state: checkpoint.State, known: Sequence[Mapping[str, str]], movie: str, log: str) -> None:
        """Go back to the end of a finished run, whose pieces have been joined: its files are the first piece.

        Args:
            state: its last.
            known: hashes of the files by name, for every structure.
            movie: name of the trajectory.
            log: name of the log.

        Raises:
            UsageError: one of the files is missing, or not as the run left it.
        """
        self.recorder.adopt(known, movie, log)
        self.restore(checkpoint.State(state.tensors, {**state.facts, "record": self.recorder.facts()}))
        self.save()

    def advance(self) -> int:
        """Go to the next step at which something is looked at or kept; returns it."""
        plan, step = self.plan, self.step
        self._walk(min(plan.steps, *(step - step % r + r for r in self.rhythms)))
        step = self.step
        self._guard(step)
        self._record(step)
        return step

    def _walk(self, until: int) -> None:
        """Steps up to ``until``, or to the first that needs a look."""
        plan, step = self.plan, self.sampler.step
        while self.step < until:
            n = self.step + 1
            self.stress_now = self._stress_possible and (n % plan.log_every == 0 or n % plan.frame_every == 0)
            kelvins = self._kelvins(n)
            generator = self._noise(n) if self.noisy else self.generator
            try:
                point = step(
                    self.systems, self.evaluated, self.state, self._force,
                    dt=plan.dt, temperature=kelvins, generator=generator,
                )  # fmt: skip
            except InputError as problem:
                self._find_culprit(n, problem)
                continue
            before = self.systems
            self.systems, self.evaluated, self.state = point
            self._freeze()
            self.step = n
            if not self.guards.calm(before, self.systems, plan.dt):
                self._guard(n, before)
            if self.stop.signal:
                return

    def _force(self, moved: Systems) -> Evaluated:
        moved = self.halts.at_rest(moved)
        self.tried = moved
        return self.potential.evaluate(moved, stress=self.sampler.needs_stress or self.stress_now)

    def _kelvins(self, step: int) -> Tensor:
        kelvin = self.program.at(step)
        if kelvin != self._target[0]:
            n = self.systems.n_structures
            self._target = kelvin, torch.full((n,), kelvin, dtype=torch.float64, device=self.device)
        return self._target[1]

    def _noise(self, step: int) -> torch.Generator:
        """The generator, seeded for ``step``: a one-to-one mix of 32 bits, so that no two steps share their noise."""
        x = (step + self._offset) & 0xFFFFFFFF
        x = ((x ^ (x >> 16)) * 0x85EBCA6B) & 0xFFFFFFFF
        x = ((x ^ (x >> 13)) * 0xC2B2AE35) & 0xFFFFFFFF
        return self.generator.manual_seed(x ^ (x >> 16))

    # structures that are stopped

    def _guard(self, step: int, before: Systems | None = None) -> None:
        target = self.program.at(step)
        if before is not None or not self.guards.fine(self.systems, self.evaluated, target):
            found = self.guards.look(self.systems, self.evaluated, target, self.plan.dt, self.halts.alive, before)
            if found:
                self._halt(step, found)
        self.halts.good = self.systems

    def _halt(self, step: int, found: Mapping[int, Verdict]) -> None:
        """Stop structures: their last good frame is written, and they stand there while the others go on."""
        self.halts.stop(step, found)
        fatal = self.systems if self.step == step else self.tried
        for k, verdict in sorted(found.items()):
            for name, systems in ((LAST_GOOD, self.halts.good), (FATAL, fatal)):
                write_geometry(self.recorder, k, name, systems, self.step, self.plan.dt)
            self.listener.warn(f"{self.ids[k]}: stopped at step {step}: {verdict.reason}")
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
                found[k] = Verdict(own.code or "potential", own.reason.removeprefix("structure 0: "))
        if not found:
            raise problem
        self._halt(step, found)

    # the log

    def _record(self, step: int) -> None:
        plan = self.plan
        if step % plan.log_every == 0:
            kept = self.sampler.conserved(self.systems, self.evaluated, self.state)
            row = Row(step, self.program.at(step), self.systems, self.evaluated, kept, self.halts.alive)
            self.recorder.log(row)
            self.watch.line(row)
            found = self.watch.drift(step, kept, self.halts.alive)
            found |= self.watch.sigma(step, self.evaluated.sigma, self.halts.alive)
            if found:
                self._halt(step, found)
        if step % plan.frame_every == 0:
            self.recorder.frame(step, self.systems, self.evaluated, self.halts.alive)


def summary(dynamics: Dynamics) -> dict[str, Any]:
    """How the run went, for its report."""
    return {
        "steps": dynamics.step,
        "worst_drift_meV_per_atom_ps": dynamics.watch.worst,
        "stopped": {dynamics.ids[k]: vars(h) for k, h in sorted(dynamics.halts.found.items())},
    }
