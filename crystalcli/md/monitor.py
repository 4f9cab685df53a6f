"""What is said of a run from row to row of its log: progress, drift of the conserved energy, sigma of an ensemble."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from crystalcli.contracts.host import Reporter
from crystalcli.md.guards import StopReason
from crystalcli.md.options import MdOptions
from crystalcli.md.records import LogRow, table

DRIFT = 2.0
"""meV/atom/ps of the conserved energy that are worth a warning."""
SEEN = 0.1
"""meV/atom; less than that, in a few rows, is the ripple of the integrator and no drift."""
FEWEST = 3
"""Rows of the log that a slope is taken over."""
JUMP = 1.0
"""eV/atom of the conserved energy from one row to the next: no dynamics any more."""
LINES = 20
"""Lines that a whole run says of its progress."""


class Monitor:
    """Looks at every row.

    Args:
        options: with the limits.
        ids: of the structures. counts: (S,) their atoms.
        reporter: hears of it. follow: told the averages of every row.
    """

    def __init__(
        self,
        options: MdOptions,
        ids: Sequence[str],
        counts: Tensor,
        reporter: Reporter,
        follow: Callable[[int, Mapping[str, float]], None] = lambda _step, _values: None,
    ) -> None:
        self.options, self.ids, self.counts, self.reporter = options, ids, counts, reporter
        self.follow = follow
        self.window: list[tuple[int, Tensor]] = []
        self.windows: float | None = None  # largest drift of those that are closed
        self.rest: float | None = None
        self.beyond = [0] * len(ids)
        self.kelvin = math.nan

    def drift(self, step: int, conserved: Tensor, alive: Tensor) -> dict[int, StopReason]:
        """Slope of the conserved energy over windows of ``drift_every``, up to the next row each, by least squares."""
        jump = self._jump(conserved, alive)
        self.window.append((step, conserved))
        if jump:
            return jump
        if step - self.window[0][0] < self.options.drift_steps or len(self.window) < FEWEST:
            return {}
        slope = self._slope(alive)
        self.window = self.window[-1:]
        self.windows = max(self.windows or 0.0, float(slope.abs().max()))
        return self._judged(slope, f"up to step {step}")

    def final(self, alive: Tensor) -> dict[int, StopReason]:
        """The same over the rows since the last window, where they are half of one, or all that there is.

        The window stays open, so that a run that is made longer goes on as if it had not ended here.
        """
        span = self.window[-1][0] - self.window[0][0] if self.window else 0
        if len(self.window) < FEWEST or (self.windows is not None and span < self.options.drift_steps / 2):
            return {}
        slope = self._slope(alive)
        self.rest = float(slope.abs().max())  # of this end, and in no restart record: a longer run has another
        moved = slope.abs() * span * self.options.dt * 1e-3
        return self._judged(torch.where(moved > SEEN, slope, torch.zeros_like(slope)), "in its last rows")

    @property
    def worst(self) -> float | None:
        """Largest drift of all windows and of what is left at the end, meV/atom/ps; none where none was taken."""
        return max((w for w in (self.windows, self.rest) if w is not None), default=None)

    def _slope(self, alive: Tensor) -> Tensor:
        """Slope over the open window, meV/atom/ps, (S,); 0 for structures that stand."""
        values = self.window[0][1]
        steps = torch.tensor([s for s, _ in self.window], dtype=torch.float64, device=values.device)
        t = (steps - steps.mean()).unsqueeze(1) * (self.options.dt * 1e-3)
        y = torch.stack([v for _, v in self.window]) * 1e3 / self.counts
        slope = (t * (y - y.mean(0))).sum(0) / t.square().sum()
        return torch.where(alive, slope, torch.zeros_like(slope))

    def _judged(self, slope: Tensor, when: str) -> dict[int, StopReason]:
        """Warn of drifts; those beyond the limit stop their structure."""
        limit = self.options.max_drift
        tell = min(DRIFT, limit) if limit else DRIFT
        found = {}
        for k in torch.nonzero(slope.abs() > tell).flatten().tolist():
            said = f"conserved energy drifts by {float(slope[k]):.3g} meV/atom/ps"
            if limit and abs(float(slope[k])) > limit:
                found[k] = StopReason("drift", f"{said}, more than {limit:g}")
            else:
                self.reporter.warn(f"{self.ids[k]}: {said} {when}; a smaller --dt drifts less")
        return found

    def _jump(self, conserved: Tensor, alive: Tensor) -> dict[int, StopReason]:
        """Structures whose conserved energy has leapt since the last row: explosions that a thermostat hid."""
        if not self.window:
            return {}
        leap = (conserved - self.window[-1][1]).abs() / self.counts
        if float(leap.max()) < JUMP:
            return {}
        said = "conserved energy jumped by {:.3g} eV/atom: atoms came too near, or --dt is too long"
        over = torch.nonzero(~(leap < JUMP) & alive).flatten().tolist()
        return {k: StopReason("explosion", said.format(float(leap[k]))) for k in over}

    def sigma(self, step: int, sigma: Tensor | None, alive: Tensor) -> dict[int, StopReason]:
        """Structures whose ensemble disagrees for too long."""
        limit = self.options.max_sigma
        if not limit or sigma is None:
            return {}
        each = sigma * 1e3 / self.counts
        found = {}
        for k, over in enumerate(((each > limit) & alive).tolist()):
            self.beyond[k] = self.beyond[k] + 1 if over else 0
            said = f"sigma of the ensemble is {float(each[k]):.3g} meV/atom, more than {limit:g}"
            if self.beyond[k] == 1:
                self.reporter.warn(f"{self.ids[k]}: {said}, at step {step}")
            if over and self.beyond[k] == self.options.stop_on_sigma:
                found[k] = StopReason("sigma", f"{said}, in {self.beyond[k]} rows of the log")
        return found

    def line(self, row: LogRow) -> None:
        """Tell how far the run is and, on average, how the living structures are."""
        step, steps, every = row.step, self.options.length, self.options.log_every
        if self.options.log:
            self.follow(step, self._numbers(row))
        if step == steps or step % max(every, steps // LINES // every * every) == 0:
            self.reporter.say(f"step {step}/{steps}  {self._averages(row)}")
        known = f", {self.kelvin:.0f} K" if math.isfinite(self.kelvin) else ""  # not yet where it has just gone on
        self.reporter.progress(f"step {step}/{steps}{known}", step, steps)

    def _numbers(self, row: LogRow) -> dict[str, float]:
        """What loggers are told; the pressure is left out where the potential gives none."""
        found = dict(zip(("temperature [K]", "E_pot [eV/atom]", "pressure [GPa]"), self._means(row), strict=True))
        return {name: value for name, value in found.items() if math.isfinite(value)}

    def _means(self, row: LogRow) -> tuple[float, float, float]:
        """Temperature (K), potential energy (eV/atom) and pressure (GPa), averages over the living structures."""
        living = row.alive if bool(row.alive.any()) else torch.ones_like(row.alive)
        some = table([row], self.options.dt)[0][living]
        each = (some[:, 4] / self.counts[living]).mean()
        return float(some[:, 3].mean()), float(each), float(some[:, 8].mean())

    def _averages(self, row: LogRow) -> str:
        self.kelvin, each, pressure = self._means(row)
        line = f"{row.step * self.options.dt * 1e-3:.3f} ps  T {self.kelvin:.1f} K"
        line += f" (target {row.target:g})" if math.isfinite(row.target) else ""
        line += f"  E_pot {each:.5f} eV/atom"
        return line if pressure != pressure else f"{line}  P {pressure:.3f} GPa"  # noqa: PLR0124 - NaN

    def tensors(self) -> dict[str, Tensor]:
        """The open window, for the restart record."""
        return {"window": torch.stack([v for _, v in self.window])} if self.window else {}

    def facts(self) -> dict[str, Any]:
        """The plain part of the same."""
        return {"steps": [s for s, _ in self.window], "worst": self.windows, "beyond": list(self.beyond)}

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Inverse of :meth:`tensors` and :meth:`facts`."""
        self.windows, self.beyond = facts["worst"], list(facts["beyond"])
        self.window = list(zip(facts["steps"], tensors["window"].unbind(0), strict=True)) if facts["steps"] else []
