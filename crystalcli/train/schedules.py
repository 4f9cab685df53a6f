"""Learning rates: how the rate of a recipe changes while training goes on.

All but ``plateau`` are pure functions of the step, so that a resumed run needs no memory of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from crystalcli.vocabulary.errors import UsageError, did_you_mean

SCHEDULES = ("constant", "plateau", "cosine", "one-cycle", "step")
WARM_UP, START, END = 0.3, 25.0, 1e4
"""One-cycle: share of the steps that rise; the rate starts at peak/25 and ends at peak/25/10⁴."""


@dataclass(frozen=True)
class Schedule:
    """A named schedule.

    Args:
        name: constant, plateau, cosine, one-cycle or step.
        steps: optimiser steps of the whole run.
        steps_per_epoch: optimiser steps of one epoch.
        step_epochs: epochs between two drops of ``step``, and without improvement before a drop of ``plateau``.
        gamma: factor of one drop.

    Raises:
        UsageError: unknown name.
    """

    name: str
    steps: int
    steps_per_epoch: int = 1
    step_epochs: int = 10
    gamma: float = 0.5

    def __post_init__(self) -> None:
        if self.name not in SCHEDULES:
            raise UsageError(f"no schedule '{self.name}'; {did_you_mean(self.name, SCHEDULES)}")

    def factor(self, step: int) -> float:
        """Factor on the peak rate at optimiser step ``step`` (0 is the first); 1 for constant and plateau."""
        if self.name == "cosine":
            return 0.5 * (1.0 + math.cos(math.pi * step / max(self.steps, 1)))
        if self.name == "step":
            return float(self.gamma ** (step // self.steps_per_epoch // self.step_epochs))
        if self.name == "one-cycle":
            return self._one_cycle(step)
        return 1.0

    def _one_cycle(self, step: int) -> float:
        """Cosine rise, cosine fall: L. N. Smith, N. Topin, arXiv:1708.07120, in the form that torch has."""
        peak = WARM_UP * self.steps - 1.0
        last = self.steps - 1.0
        if step <= peak:
            return _between(1.0 / START, 1.0, step / peak if peak > 0 else 1.0)
        return _between(1.0, 1.0 / START / END, (step - peak) / (last - peak) if last > peak else 1.0)


def _between(a: float, b: float, share: float) -> float:
    return b + (a - b) * 0.5 * (1.0 + math.cos(math.pi * share))


@dataclass(frozen=True)
class Plateau:
    """Memory of ``plateau``: the rate drops by ``gamma`` after ``patience`` epochs without a better score."""

    factor: float = 1.0
    best: float = math.inf
    waited: int = 0

    def after(self, score: float, patience: int, gamma: float) -> Plateau:
        """State after an epoch with validation ``score``."""
        if score < self.best:
            return Plateau(self.factor, score, 0)
        if self.waited + 1 >= patience:
            return Plateau(self.factor * gamma, self.best, 0)
        return Plateau(self.factor, self.best, self.waited + 1)
