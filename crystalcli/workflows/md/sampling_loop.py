"""The steps of a run: sampler and potential in turn, guards, log, frames, restart records."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crystalcli.contracts.dynamics import Evaluated, Potential, SamplerModule, State
from crystalcli.mechanisms.dynamics.temperature_program import TemperatureProgram
from crystalcli.mechanisms.dynamics.trajectory import Frame
from crystalcli.mechanisms.dynamics.velocities import seed_of
from crystalcli.mechanisms.running import files
from crystalcli.mechanisms.running.stopping import Stop
from crystalcli.mechanisms.training import checkpoint
from crystalcli.nouns.systems import Systems
from crystalcli.vocabulary.errors import InputError, Stopped
from crystalcli.workflows.hearing import Listener
from crystalcli.workflows.md.sampling_guards import Guards, Verdict
from crystalcli.workflows.md.sampling_plan import GUARD_EVERY, SamplingPlan
from crystalcli.workflows.md.sampling_records import Recorder, Row
from crystalcli.workflows.md.sampling_watch import Watch

LAST_GOOD, FATAL = "last-good.extxyz", "stopped-at.extxyz"
_EVALUATED = ("energy", "forces", "stress", "energies", "sigma")


@dataclass(frozen=True)
class Halted:
    """A structure that was stopped: where, and why."""

    step: int
    code: str
    reason: str


@dataclass
class Progress:
    """How far the run is."""

    step: int = 0
    halted: dict[int, Halted] = field(default_factory=dict)


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
        self.progress = Progress()
        self.alive = torch.ones(systems.n_structures, dtype=torch.bool, device=self.device)
        self.some_halted = False
        self.guards = Guards(systems)
        self.first_cell = systems.cell
        self.good = systems
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
            **checkpoint.prefixed("systems", vars(self.systems)),
            **checkpoint.prefixed("evaluated", found),
            **checkpoint.prefixed("state", self.state),
            **checkpoint.prefixed("record", self.recorder.tensors()),
            **checkpoint.prefixed("watch", self.watch.tensors()),
            "alive": self.alive,
            "first_cell": self.first_cell,
        }
        facts = {
            "kind": "md",
            "step": self.progress.step,
            "ids": list(self.ids),
            "halted": {str(k): vars(v) for k, v in self.progress.halted.items()},
            "watch": self.watch.facts(),
            "record": self.recorder.facts(),
        }
        apart = {k: v.clone() for k, v in tensors.items()}  # the format has no tensors that share memory
        checkpoint.save(self.folder, self.progress.step, checkpoint.State(apart, facts))
        self.saved = time.monotonic()

    def restore(self, state: checkpoint.State) -> None:
        """Go back to a restart record.

        Raises:
            UsageError: a chunk that it names is missing or damaged.
        """
        tensors = {k: v.to(self.device) for k, v in state.tensors.items()}
        facts = state.facts
        self.systems = Systems(**checkpoint.under("systems", tensors))
        self.evaluated = Evaluated(**checkpoint.under("evaluated", tensors))
        self.state = checkpoint.under("state", tensors)
        self.alive, self.first_cell = tensors["alive"], tensors["first_cell"]
        self.progress = Progress(
            facts["step"],
            {int(k): Halted(**v) for k, v in facts["halted"].items()},
        )
        self.some_halted = bool(self.progress.halted)
        self.watch.restore(checkpoint.under("watch", tensors), facts["watch"])
        self.guards = Guards(self.systems.moved(cell=self.first_cell))
        self.guards.reset(self.systems)
        self.good = self.systems
        self.recorder.restore(checkpoint.under("record", tensors), facts["record"])
        self.recorder.check()

    # the steps

    def run(self) -> None:
        """Go to the end of the plan.

        Raises:
            Stopped: asked to; a restart record is written.
        """
        plan, chunk = self.plan, self.plan.chunk_steps(self.systems.n_atoms)
        while self.progress.step < plan.steps and len(self.progress.halted) < len(self.ids):
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
        if self.recorder.open:
            self.recorder.seal()
        self.save()

    def advance(self) -> int:
        """Go to the next step at which something is looked at or kept; returns it."""
        plan, step = self.plan, self.progress.step
        self._walk(min(plan.steps, *(step - step % r + r for r in self.rhythms)))
        step = self.progress.step
        self._guard(step)
        self._record(step)
        return step

    def _walk(self, until: int) -> None:
        """Steps up to ``until``, or to the first that needs a look."""
        plan, progress, step = self.plan, self.progress, self.sampler.step
        while progress.step < until:
            n = progress.step + 1
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
            if self.some_halted:
                self._freeze()
            progress.step = n
            if not self.guards.calm(before, self.systems, plan.dt):
                self._guard(n, before)
            if self.stop.signal:
                return

    def _force(self, moved: Systems) -> Evaluated:
        if self.some_halted:
            moved = self._frozen(moved)
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
            found = self.guards.look(self.systems, self.evaluated, target, self.plan.dt, self.alive, before)
            if found:
                self._halt(step, found)
        self.good = self.systems

    def _halt(self, step: int, found: Mapping[int, Verdict]) -> None:
        """Stop structures: their last good frame is written, and they stand there while the others go on."""
        for k, verdict in sorted(found.items()):
            self.progress.halted[k] = Halted(step, verdict.code, verdict.reason)
            self.alive = self.alive.clone()
            self.alive[k] = False
            self._write_frame(k, LAST_GOOD, self.good)
            self._write_frame(k, FATAL, self.systems if self.progress.step == step else self.tried)
            self.listener.warn(f"{self.ids[k]}: stopped at step {step}: {verdict.reason}")
        self.some_halted = True
        self._freeze()

    def _freeze(self) -> None:
        self.systems = self._frozen(self.systems)
        rows = self.alive.index_select(0, self.systems.structure_index).unsqueeze(1)
        forces = torch.where(rows, self.evaluated.forces, torch.zeros_like(self.evaluated.forces))
        self.evaluated = Evaluated(
            self.evaluated.energy, forces, self.evaluated.stress, self.evaluated.energies, self.evaluated.sigma
        )

    def _frozen(self, systems: Systems) -> Systems:
        """``systems`` with the stopped ones at rest in their last good geometry."""
        rows = self.alive.index_select(0, systems.structure_index).unsqueeze(1)
        return systems.moved(
            positions=torch.where(rows, systems.positions, self.good.positions),
            velocities=torch.where(rows, systems.velocities, torch.zeros_like(systems.velocities)),
            cell=torch.where(self.alive[:, None, None], systems.cell, self.good.cell),
        )

    def _find_culprit(self, step: int, problem: InputError) -> None:
        """The potential has refused the batch: stop the structures that it refuses alone; the others try again."""
        found = {}
        for k in torch.nonzero(self.alive).flatten().tolist():
            alone = self.tried.take(torch.tensor([k], device=self.device))
            try:
                self.potential.evaluate(alone, stress=self.sampler.needs_stress)
            except InputError as own:
                found[k] = Verdict(own.code or "potential", own.reason.removeprefix("structure 0: "))
        if not found:
            raise problem
        self._halt(step, found)

    def _write_frame(self, k: int, name: str, systems: Systems) -> None:
        span = self.recorder.spans[k]
        frame = Frame(
            step=self.progress.step,
            time=self.progress.step * self.plan.dt,
            positions=systems.positions[span].cpu().numpy(),
            velocities=systems.velocities[span].cpu().numpy(),
            forces=np.zeros((span.stop - span.start, 3)),
            cell=systems.cell[k].cpu().numpy(),
            energy=0.0,
            temperature=0.0,
        )
        files.write_text(self.recorder.homes[k] / name, self.recorder.writers[k].geometry(frame))

    # the log

    def _record(self, step: int) -> None:
        plan = self.plan
        if step % plan.log_every == 0:
            kept = self.sampler.conserved(self.systems, self.evaluated, self.state)
            row = Row(step, self.program.at(step), self.systems, self.evaluated, kept, self.alive)
            self.recorder.log(row)
            self.watch.line(row)
            found = self.watch.drift(step, kept, self.alive)
            found |= self.watch.sigma(step, self.evaluated.sigma, self.alive)
            if found:
                self._halt(step, found)
        if step % plan.frame_every == 0:
            self.recorder.frame(step, self.systems, self.evaluated, self.alive)


def summary(dynamics: Dynamics) -> dict[str, Any]:
    """How the run went, for its report."""
    p = dynamics.progress
    return {
        "steps": p.step,
        "worst_drift_meV_per_atom_ps": dynamics.watch.worst,
        "stopped": {dynamics.ids[k]: vars(h) for k, h in sorted(p.halted.items())},
    }
