"""The contract of relaxers fails for each fault that it is there to find, and for no sound relaxer."""

import pytest
import torch

from crystalcli.contracts.records import Relaxer
from crystalcli.testing import RelaxerContract


class Descent:
    """Sound steepest descent with a clock for each structure, and a switch for each fault."""

    def __init__(self, fault: str) -> None:
        self.fault, self.calls = fault, 0

    def init(self, x, index, n_structures):
        return {
            "index": index,
            "best": torch.full((n_structures,), torch.inf, dtype=x.dtype),
            "rate": torch.full((n_structures,), 0.01, dtype=x.dtype),
            "x": x,
            "forces": torch.zeros_like(x),
        }

    def step(self, state, x, energy, forces, active):
        index = state["index"]
        better = energy <= state["best"]
        rate = torch.where(better, state["rate"] * 1.2, state["rate"] * 0.3)
        if self.fault == "one clock":
            rate = rate.min().expand_as(rate)
        worse = (~better).index_select(0, index).unsqueeze(1)
        x_good, f_good = torch.where(worse, state["x"], x), torch.where(worse, state["forces"], forces)
        step = rate.index_select(0, index).unsqueeze(1) * f_good
        if self.fault == "uphill":
            step = -step
        if self.fault == "stuck":
            step = 0.0 * step
        if self.fault == "noise":
            step = step + 1e-9 * torch.randn_like(step) * (forces != 0)
        if self.fault == "drift":
            step = step - step.mean(0)
        rows = active.index_select(0, index).unsqueeze(1) | (self.fault == "all move")
        new = torch.where(rows, x_good + step, x)
        if self.fault == "in place":
            x += torch.where(rows, step, 0.0)
            new = x
        best = torch.where(active & better, energy, state["best"])
        return new, {
            "index": index,
            "best": best,
            "rate": torch.where(active, rate, state["rate"]),
            "x": torch.where(rows, x_good, state["x"]),
            "forces": torch.where(rows, f_good, state["forces"]),
        }


def relaxer(fault: str) -> RelaxerContract:
    class Broken(RelaxerContract):
        part = Relaxer(name="broken", summary="", build=lambda _o: Descent(fault))
        steps = 3000

    return Broken()


FAULTS = {
    "uphill": "test_quadratic",
    "stuck": "test_lennard_jones_cluster",
    "one clock": "test_batch",
    "all move": "test_inactive_structures_rest",
    "drift": "test_fixed_rows_rest",
    "noise": "test_repeats",
    "in place": "test_repeats",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_relaxers(fault: str) -> None:
    with pytest.raises(AssertionError):
        getattr(relaxer(fault), FAULTS[fault])()
    getattr(relaxer(""), FAULTS[fault])()
