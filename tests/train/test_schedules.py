import itertools

import pytest
import torch

from crystalcli.train.optimizers import Plateau, Schedule


@pytest.mark.parametrize("steps", [10, 77, 400])
def test_one_cycle_is_that_of_torch(steps: int) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=steps, cycle_momentum=False)
    ours = Schedule("one-cycle", steps)
    for step in range(steps):
        assert ours.factor(step) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9, abs=1e-12)
        optimizer.step()
        if step + 1 < steps:
            theirs.step()


def test_one_cycle_of_very_few_steps_is_finite() -> None:
    for steps in (1, 2, 3):
        assert all(0 < Schedule("one-cycle", steps).factor(k) <= 1 for k in range(steps))


def test_cosine_falls_from_one_to_zero() -> None:
    cosine = Schedule("cosine", 100)
    values = [cosine.factor(k) for k in range(101)]
    assert values[0] == 1
    assert values[50] == pytest.approx(0.5)
    assert values[100] == pytest.approx(0, abs=1e-15)
    assert all(a > b for a, b in itertools.pairwise(values))


def test_step_drops_after_whole_epochs() -> None:
    drops = Schedule("step", 60, steps_per_epoch=10, step_epochs=2, gamma=0.1)
    assert [drops.factor(k) for k in (0, 19, 20, 39, 40)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])


def test_plateau_waits_then_drops() -> None:
    state, factors = Plateau(), []
    for score in (3.0, 2.0, 2.5, 2.4, 2.3, 1.9, 2.0):
        state = state.after(score, patience=2, gamma=0.5)
        factors.append(state.factor)
    assert factors == [1, 1, 1, 0.5, 0.5, 0.5, 0.5]
    assert state.best == 1.9
