"""FIRE: molecular dynamics with a brake, on many structures at once, each with a clock of its own."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from crystal_relaxers.options import FireOptions

GROW, SHRINK, MIXING_DECAY = 1.1, 0.5, 0.99
"""Of time step and mixing, as in both papers."""
MIXING = 0.25
"""Start of the mixing α (Guénolé et al., Table 1)."""
DELAY = 20
"""Steps downhill before the time step grows, and steps at the start during which it does not shrink."""
SHORTEST = 0.02
"""The time step never falls below this part of the first one."""


@dataclass(frozen=True)
class FireState:
    """What FIRE remembers.

    Args:
        velocity: (M, 3), unit mass.
        moved: (M, 3) Å, the last step, without what went back before it.
        dt, mixing: (S,) time step and α.
        downhill: (S,) int64, steps downhill in a row.
        steps: (S,) int64, steps taken.
    """

    velocity: Tensor
    moved: Tensor
    dt: Tensor
    mixing: Tensor
    downhill: Tensor
    steps: Tensor
    index: Tensor


class Fire:
    """FIRE 2.0 with semi-implicit Euler steps.

    E. Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006), with the changes of J. Guénolé et al., Comput. Mater. Sci.
    175, 109584 (2020), Algorithm 2: mixing after the velocities, half a step back when going uphill, a delay at the
    start.
    Deviation: no row moves farther than ``max_step`` in one step, half a step back included; the direction is kept.
    """

    def __init__(self, options: FireOptions) -> None:
        self.options = options

    def init(self, x: Tensor, index: Tensor, n_structures: int) -> FireState:
        """Everything at rest."""
        dt = torch.full((n_structures,), self.options.dt, dtype=x.dtype, device=x.device)
        none = torch.zeros(n_structures, dtype=torch.int64, device=x.device)
        rest = torch.zeros_like(x)
        return FireState(rest, rest, dt, torch.full_like(dt, MIXING), none, none, index)

    def step(
        self, state: FireState, x: Tensor, energy: Tensor, forces: Tensor, active: Tensor
    ) -> tuple[Tensor, FireState]:
        """Take one step; rows of structures that are not active stay."""
        index = state.index

        def total(rows: Tensor) -> Tensor:
            return energy.new_zeros(len(active)).index_add(0, index, rows.sum(1))

        def spread(values: Tensor) -> Tensor:
            return values.index_select(0, index).unsqueeze(1)

        down = total(forces * state.velocity) > 0.0
        downhill = torch.where(down, state.downhill + 1, 0)
        started = state.steps >= DELAY
        dt, mixing = self._clock(state, down, downhill, started)
        uphill = spread(~down & (state.steps > 0))
        back = torch.where(uphill, -0.5 * state.moved, 0.0)
        velocity = torch.where(uphill, 0.0, state.velocity) + spread(dt) * forces
        ratio = (total(velocity.square()) / total(forces.square()).clamp_min(1e-300)).sqrt()
        velocity = spread(1.0 - mixing) * velocity + spread(mixing * ratio) * forces
        moved = spread(dt) * velocity
        moved = moved * spread(self._allowed(moved, index, len(active)))
        share = torch.where(uphill, spread(self._allowed(back + moved, index, len(active))), 1.0)
        back, moved = back * share, moved * share
        rows = spread(active)
        new = FireState(
            velocity=torch.where(rows, velocity, state.velocity),
            moved=torch.where(rows, moved, state.moved),
            dt=torch.where(active, dt, state.dt),
            mixing=torch.where(active, mixing, state.mixing),
            downhill=torch.where(active, downhill, state.downhill),
            steps=state.steps + active.long(),
            index=index,
        )
        return torch.where(rows, x + back + moved, x), new

    def _clock(self, state: FireState, down: Tensor, downhill: Tensor, started: Tensor) -> tuple[Tensor, Tensor]:
        """Time step and mixing of the step to come."""
        faster = down & (downhill > DELAY)
        slower = ~down & started
        dt = torch.where(faster, (state.dt * GROW).clamp_max(self.options.dt_max), state.dt)
        dt = torch.where(slower, (dt * SHRINK).clamp_min(SHORTEST * self.options.dt), dt)
        mixing = torch.where(faster, state.mixing * MIXING_DECAY, state.mixing)
        return dt, torch.where(slower, MIXING, mixing)

    def _allowed(self, moved: Tensor, index: Tensor, n: int) -> Tensor:
        """(S,) share of a step with which no row goes farther than allowed."""
        longest = moved.new_zeros(n).scatter_reduce(0, index, moved.square().sum(1), "amax").sqrt()
        return (self.options.max_step / longest.clamp_min(1e-300)).clamp_max(1.0)
