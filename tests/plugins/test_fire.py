"""FIRE 2.0 step by step against ASE's, on a cluster without symmetry."""

from types import SimpleNamespace

import ase
import numpy as np
import pytest
import torch
from ase.calculators.emt import EMT
from ase.optimize import FIRE2
from crystal_relaxers.fire import DELAY, SHRINK, Fire
from crystal_relaxers.options import FireOptions

STEPS = 150


def cluster(seed: int) -> ase.Atoms:
    """Nine atoms of three elements somewhere near each other."""
    rng = np.random.default_rng(seed)
    grid = np.array([(x, y, z) for x in range(3) for y in range(3) for z in range(1)], dtype=float) * 2.6
    atoms = ase.Atoms("Cu4Pd3Al2", grid + rng.normal(0, 0.25, grid.shape))
    atoms.calc = EMT()
    return atoms


class Published(FIRE2):
    """ASE's, with the three things in which it is not Algorithm 2 as its authors run it in LAMMPS.

    For the first steps uphill does not shorten the time step. Back goes half of the step that was made, not half of
    one with the shortened time step. The forces are those of before: they are not evaluated once more on the way.
    """

    taken = 0
    events = 0

    def step(self):
        forces = self.atoms.get_forces().ravel()
        self.fdec = SHRINK if self.taken >= DELAY else 1.0
        if self.v is not None and np.vdot(forces, self.v) <= 0.0:
            self.v /= self.fdec
            self.events += 1
        self.taken += 1
        here = self.optimizable
        self.optimizable = SimpleNamespace(
            get_gradient=lambda: -forces, get_x=here.get_x, set_x=here.set_x, ndofs=here.ndofs
        )
        super().step()
        self.optimizable = here


@pytest.mark.parametrize(("seed", "dt", "dt_max"), [(0, 0.1, 1.0), (1, 0.05, 0.4), (2, 0.25, 0.6)])
def test_every_step_is_that_of_ase(seed, dt, dt_max):
    theirs, atoms = cluster(seed), cluster(seed)
    published = Published(theirs, logfile=None, dt=dt, dtmax=dt_max, maxstep=1e9)
    ours = Fire(FireOptions(dt=dt, dt_max=dt_max, max_step=1e9))
    x, index = torch.as_tensor(atoms.positions), torch.zeros(len(atoms), dtype=torch.int64)
    state, active, steps = ours.init(x, index, 1), torch.tensor([True]), []
    for _ in range(STEPS):
        atoms.positions = x.numpy()
        energy = torch.tensor([atoms.get_potential_energy()], dtype=torch.float64)
        x, state = ours.step(state, x, energy, torch.as_tensor(atoms.get_forces()), active)
        published.step()
        steps.append(float(state.dt[0]))
        np.testing.assert_allclose(x.numpy(), theirs.positions, atol=1e-9)
        assert steps[-1] == pytest.approx(published.dt)
        assert float(state.mixing[0]) == pytest.approx(published.a)
    assert published.events >= 3
    assert steps[DELAY] == dt
    assert max(steps) > 1.2 * dt


def test_uphill_at_the_start_does_not_shorten_the_step():
    """Forces that turn at every step: the time step is halved from step 21 on, velocities forgotten from the first."""
    ours = Fire(FireOptions(dt=0.1))
    x, index = torch.zeros(1, 3, dtype=torch.float64), torch.zeros(1, dtype=torch.int64)
    state, places, lengths = ours.init(x, index, 1), [], []
    for k in range(DELAY + 3):
        force = torch.tensor([[(-1.0) ** k, 0.0, 0.0]], dtype=torch.float64)
        x, state = ours.step(state, x, torch.zeros(1, dtype=torch.float64), force, torch.tensor([True]))
        places.append(float(x[0, 0]))
        lengths.append(float(state.dt[0]))
    assert lengths == pytest.approx([0.1] * DELAY + [0.05, 0.025, 0.0125])
    # dt² forward; then half of it back and dt² the other way, and so on
    assert places[:4] == pytest.approx([0.01, -0.005, 0.01, -0.005])


@pytest.mark.parametrize("max_step", [1e9, 0.05])
def test_no_step_is_longer_than_allowed_half_a_step_back_included(max_step):
    """Two structures of two atoms, one of which is thrown to and fro: uphill at every step."""
    ours = Fire(FireOptions(dt=1.0, max_step=max_step))
    x, index = torch.zeros(4, 3, dtype=torch.float64), torch.tensor([0, 0, 1, 1])
    state, longest = ours.init(x, index, 2), 0.0
    for k in range(6):
        pulls = [[(-1.0) ** k, 0.0, 0.0], [0.0, 0.3, 0.0], [1e-3, 0.0, 0.0], [0.0, 0.0, 0.0]]
        force = torch.tensor(pulls, dtype=torch.float64)
        new, state = ours.step(state, x, torch.zeros(2).double(), force, torch.tensor([True, True]))
        steps = (new - x).norm(dim=1)
        longest, x = max(longest, float(steps[:2].max())), new
        assert float(steps[2]) == pytest.approx(1e-3 * (1 + k), rel=1e-9)  # the other structure knows nothing of it
    assert longest == pytest.approx(min(max_step, 1.5))
