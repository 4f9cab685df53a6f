"""Limits of a run of molecular dynamics, at them and just beyond: drift in its unit, temperature, steps too far."""

import math
from dataclasses import replace

import ase.build
import numpy as np
import pytest
import torch

from crystalcli.contracts.dynamics import Evaluated
from crystalcli.contracts.host import Reporter
from crystalcli.md.guards import GuardLimits, Guards
from crystalcli.md.monitor import Monitor
from crystalcli.md.options import MdOptions
from crystalcli.nouns.systems import Systems, temperature
from crystalcli.vocabulary.units import ACCELERATION, KB


def two_crystals() -> Systems:
    """32 atoms of copper and 3 of an alloy in a skew cell."""
    copper = ase.build.bulk("Cu", "fcc", a=3.6, cubic=True).repeat(2)
    alloy = ase.Atoms(
        "AuCuAl",
        [(0, 0, 0), (2.2, 1.9, 0.3), (0.4, 2.4, 2.6)],
        cell=[(4.4, 0, 0), (0.6, 4.7, 0), (0.3, 0.2, 5.1)],
        pbc=True,
    )
    return Systems.of([copper, alloy])


def at(systems: Systems, kelvins: list[float]) -> Systems:
    """Velocities with exactly these temperatures."""
    v = torch.randn(systems.n_atoms, 3, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    v = v * (KB * 100.0 * ACCELERATION / systems.masses).sqrt().unsqueeze(1)
    now = temperature(systems.moved(velocities=v))
    factor = (torch.tensor(kelvins, dtype=torch.float64) / now).sqrt()
    return systems.moved(velocities=v * factor.index_select(0, systems.structure_index).unsqueeze(1))


@pytest.mark.parametrize("target", [300.0, 2000.0, 0.0, 100.0, 60.0])
def test_the_guard_of_the_temperature(target: float) -> None:
    """Ten times the target (100 K if that is less) and five standard deviations, T √(2/f), of it."""
    systems = two_crystals()
    guards, alive = Guards(systems), torch.tensor([True, True])
    nothing = Evaluated(torch.zeros(2, dtype=torch.float64), torch.zeros(systems.n_atoms, 3, dtype=torch.float64))
    limits = [10.0 * max(target, 100.0) * (1.0 + 5.0 * math.sqrt(2.0 / f)) for f in (93, 6)]
    for k in range(2):
        for factor, stopped in ((0.999, False), (1.001, True)):
            kelvins = [0.5 * limits[0], 0.5 * limits[1]]
            kelvins[k] = factor * limits[k]
            moving = at(systems, kelvins)
            assert guards.fine(moving, nothing, target) is not stopped
            found = guards.look(moving, nothing, target, 0.1, alive)
            assert set(found) == ({k} if stopped else set())
            if stopped:
                assert f"temperature {kelvins[k]:.0f} K at a target of {target:.0f} K" in found[k].reason


def test_limits_of_temperature_force_and_contacts_are_those_asked_for() -> None:
    """Cu–Cu may come to 0.7 × 2 × 1.12 Å, Au–Al to 0.7 × (1.24 + 1.26) Å (Pyykkö); the message names pair and cause."""
    systems = two_crystals()
    nothing = Evaluated(torch.zeros(2, dtype=torch.float64), torch.zeros(systems.n_atoms, 3, dtype=torch.float64))
    alive = torch.tensor([True, True])
    for hotter, stopped in ((3.0, {0}), (4.0, set())):
        moving = at(systems, [3.5 * 1000.0 * (1.0 + 5.0 * math.sqrt(2.0 / 93)), 500.0])
        guards = Guards(systems, GuardLimits(hotter=hotter))
        assert set(guards.look(moving, nothing, 1000.0, 0.1, alive)) == stopped
        assert guards.fine(moving, nothing, 1000.0) is not bool(stopped)
    forces = nothing.forces.clone()
    forces[33] = torch.tensor([60.0, -60.0, 60.0])  # 103.9 eV/Å
    pushed = replace(nothing, forces=forces)
    for limit, stopped in ((103.0, {1}), (104.0, set()), (0.0, set())):
        found = Guards(systems, GuardLimits(force=limit)).look(systems, pushed, 300.0, 0.1, alive)
        assert set(found) == stopped
        assert not stopped or found[1].reason == "a force of 104 eV/Å on Cu 1, more than 103"
    guards = Guards(systems, GuardLimits(force=103.0))
    assert not guards.fine(systems, pushed, 300.0)


@pytest.mark.parametrize(("pair", "limit"), [((0, 1), 2 * 1.12), ((32, 34), 1.24 + 1.26)])
def test_contacts_are_found_however_atoms_came_there(pair: tuple[int, int], limit: float) -> None:
    systems = two_crystals()
    nothing = Evaluated(torch.zeros(2, dtype=torch.float64), torch.zeros(systems.n_atoms, 3, dtype=torch.float64))
    alive, structure = torch.tensor([True, True]), int(pair[0] >= 32)
    for factor, stopped in ((1.001, False), (0.999, True)):
        guards = Guards(systems, GuardLimits(closest=0.7))
        places = systems.positions.clone()
        along = places[pair[1]] - places[pair[0]]
        goal = places[pair[0]] + along / along.norm() * (0.7 * limit * factor)
        for share in np.linspace(0.1, 1.0, 10):  # in small steps: the bound of the guard has to notice
            moved = systems.positions.clone()
            moved[pair[1]] += float(share) * (goal - places[pair[1]])
            now = systems.moved(positions=moved)
            found = guards.look(now, nothing, 300.0, 1.0, alive)
            assert not found or (stopped and share == 1.0)
        assert set(found) == ({structure} if stopped else set())
        assert not stopped or found[structure].reason.endswith("less than 0.7 of their covalent radii together")
        squeezed = systems.moved(positions=systems.positions * 0.6, cell=systems.cell * 0.6)
        assert set(Guards(systems, GuardLimits(closest=0.7)).look(squeezed, nothing, 300.0, 1.0, alive)) == {0, 1}


def test_contacts_are_found_where_only_the_cell_shrinks() -> None:
    """Cu–Cu at 2.546 Å with a limit of 2.24 Å: at 0.885 of all lengths they are still beyond it, at 0.875 not."""
    systems = two_crystals().take(torch.tensor([0]))
    nothing = Evaluated(torch.zeros(1, dtype=torch.float64), torch.zeros(systems.n_atoms, 3, dtype=torch.float64))
    for factor, stopped in ((0.885, set()), (0.875, {0})):
        guards = Guards(systems, GuardLimits(closest=1.0))
        smaller = systems.moved(positions=systems.positions * factor, cell=systems.cell * factor)
        found = guards.look(smaller, nothing, 300.0, 1.0, torch.tensor([True]))
        assert {k: v.code for k, v in found.items()} == dict.fromkeys(stopped, "overlap")


def test_no_contacts_are_looked_for_in_a_cell_that_has_collapsed() -> None:
    """A flat cell has no neighbors that could be found; the other structure is looked at all the same."""
    systems = two_crystals()
    nothing = Evaluated(torch.zeros(2, dtype=torch.float64), torch.zeros(systems.n_atoms, 3, dtype=torch.float64))
    cell, places = systems.cell.clone(), systems.positions.clone()
    cell[0, 2], places[34] = cell[0, 1], places[32] + 0.1
    guards = Guards(systems, GuardLimits(closest=0.7))
    found = guards.look(systems.moved(positions=places, cell=cell), nothing, 300.0, 1.0, torch.tensor([True, True]))
    assert {k: v.code for k, v in found.items()} == {0: "cell", 1: "overlap"}


def test_no_limit_of_contacts_is_below_half_an_angstrom() -> None:
    """Whatever part of the radii is asked for: 0.1 of them would be 0.25 Å."""
    systems = two_crystals()
    nothing = Evaluated(torch.zeros(2, dtype=torch.float64), torch.zeros(systems.n_atoms, 3, dtype=torch.float64))
    for closest in (0.0, 0.1):
        for distance, stopped in ((0.45, {1}), (0.55, set())):
            places = systems.positions.clone()
            places[34] = places[32] + torch.tensor([0.0, 0.0, distance], dtype=torch.float64)
            guards = Guards(systems, GuardLimits(closest=closest))
            found = guards.look(systems.moved(positions=places), nothing, 300.0, 1.0, torch.tensor([True, True]))
            assert set(found) == stopped
            assert not stopped or found[1].reason.endswith("are 0.45 Å apart")


@pytest.mark.parametrize(("dt", "every"), [(0.5, 10), (2.0, 40)])
def test_a_drift_is_in_meV_per_atom_and_picosecond(dt: float, every: int) -> None:  # noqa: N802 - the unit
    """Energies that rise by known slopes, in batches of unequal structures; limits at the slope and beyond."""
    slopes = torch.tensor([3.0, -7.0], dtype=torch.float64)
    counts = torch.tensor([32, 3])
    drift_every = 4 * every * dt * 1e-3  # ps
    plan = MdOptions(steps=4 * every, dt=dt, drift_every=drift_every, log_every=every)

    def watched(limit: float):
        warned: list[str] = []
        watch = Monitor(replace(plan, max_drift=limit), ["a", "b"], counts, Reporter(warn=warned.append))
        found: dict = {}
        for step in range(0, 4 * every + 1, every):
            picoseconds = step * dt * 1e-3
            found |= watch.drift(step, slopes * picoseconds * 1e-3 * counts - 5.0 * counts, torch.tensor([True, True]))
        return watch, found, warned

    watch, found, warned = watched(0.0)
    assert found == {}
    assert watch.worst == pytest.approx(7.0)
    assert [w.split(" up to")[0] for w in warned] == [
        "a: conserved energy drifts by 3 meV/atom/ps",
        "b: conserved energy drifts by -7 meV/atom/ps",
    ]
    assert set(watched(6.99)[1]) == {1}
    assert set(watched(7.01)[1]) == set()
    assert set(watched(2.99)[1]) == {0, 1}
    assert np.isfinite(watch.worst)


@pytest.mark.parametrize(("dt", "every", "ends"), [(1.0, 10, [1000, 2000]), (3.0, 10, [340, 680]), (1.0, 700, [1400])])
def test_windows_of_the_drift_need_not_end_on_a_row(dt: float, every: int, ends: list[int]) -> None:
    """A picosecond is 333.3 steps of 3 fs, of which every tenth has a row; a window has three rows at least."""
    warned: list[str] = []
    watch = Monitor(
        MdOptions(steps=10000, dt=dt, log_every=every), ["a"], torch.tensor([1]), Reporter(warn=warned.append)
    )
    for step in range(0, ends[-1] + 1, every):
        energy = torch.tensor([7e-3 * step * dt * 1e-3], dtype=torch.float64)
        assert watch.drift(step, energy, torch.tensor([True])) == {}
    assert [int(w.split("up to step ")[1].split(";")[0]) for w in warned] == ends
