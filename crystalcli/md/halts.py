"""Structures of a run that were stopped: they stand in their last good geometry while the others go on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crystalcli.contracts.dynamics import Evaluated
from crystalcli.engine.run import files
from crystalcli.md.guards import StopReason
from crystalcli.md.records import Recorder
from crystalcli.md.trajectory import Frame
from crystalcli.nouns.systems import Systems


@dataclass(frozen=True)
class Halted:
    """A structure that was stopped: where, and why."""

    step: int
    code: str
    reason: str


class Halts:
    """Who was stopped, and where they stand.

    Args:
        systems: of the run; ``good`` is the geometry to fall back to, of ``good_step``, which the run keeps up to date.
    """

    def __init__(self, systems: Systems) -> None:
        self.alive = torch.ones(systems.n_structures, dtype=torch.bool, device=systems.cell.device)
        self.good, self.good_step = systems, 0
        self.found: dict[int, Halted] = {}

    def stop(self, step: int, reasons: Mapping[int, StopReason]) -> None:
        """Stop structures by number."""
        self.alive = self.alive.clone()  # rows of the log hold the old one
        for k, reason in reasons.items():
            self.found[k] = Halted(step, reason.code, reason.reason)
            self.alive[k] = False

    def at_rest(self, systems: Systems) -> Systems:
        """``systems`` with the stopped ones at rest in their last good geometry."""
        if not self.found:
            return systems
        rows = self.alive.index_select(0, systems.structure_index).unsqueeze(1)
        return systems.moved(
            positions=torch.where(rows, systems.positions, self.good.positions),
            velocities=torch.where(rows, systems.velocities, torch.zeros_like(systems.velocities)),
            cell=torch.where(self.alive[:, None, None], systems.cell, self.good.cell),
        )

    def unpushed(self, systems: Systems, evaluated: Evaluated) -> Evaluated:
        """``evaluated`` without forces on the stopped ones."""
        if not self.found:
            return evaluated
        rows = self.alive.index_select(0, systems.structure_index).unsqueeze(1)
        return replace(evaluated, forces=torch.where(rows, evaluated.forces, torch.zeros_like(evaluated.forces)))

    def facts(self) -> dict[str, dict[str, Any]]:
        """Plain values for a restart record."""
        return {str(k): vars(v) for k, v in self.found.items()}

    def restore(self, good: Systems, step: int, alive: Tensor, facts: Mapping[str, Mapping[str, Any]]) -> None:
        """Go back to a restart record, whose good geometry is that of ``step``."""
        self.good, self.good_step, self.alive = good, step, alive
        self.found = {int(k): Halted(**v) for k, v in facts.items()}


def write_geometry(recorder: Recorder, k: int, name: str, systems: Systems, step: int, dt: float) -> None:
    """Keep structure k of ``systems`` as a file of its own, without energy and forces."""
    span = recorder.spans[k]
    frame = Frame(
        step=step,
        time=step * dt,
        positions=systems.positions[span].cpu().numpy(),
        velocities=systems.velocities[span].cpu().numpy(),
        forces=np.zeros((span.stop - span.start, 3)),
        cell=systems.cell[k].cpu().numpy(),
        energy=0.0,
        temperature=0.0,
    )
    files.write_text(recorder.folders[k] / name, recorder.writers[k].geometry(frame))
