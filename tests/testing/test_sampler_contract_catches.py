"""The contract of samplers fails a sampler that breaks it: one with one deliberate fault each."""

import pytest
import torch

from crystalcli.contracts.records import Sampler
from crystalcli.nouns.systems import kinetic_energy, temperature
from crystalcli.testing import SamplerContract
from crystalcli.vocabulary.units import ACCELERATION


class Walker:
    """Velocity Verlet with a crude thermostat, sound but for the fault."""

    needs_stress = False

    def __init__(self, fault: str) -> None:
        self.fault, self.hidden = fault, 0

    def init(self, systems, temperature, generator):  # noqa: ARG002
        return {"heat": torch.zeros(systems.n_structures, dtype=torch.float64)}

    def step(self, systems, evaluated, state, force, *, dt, temperature, generator):
        self.hidden += 1
        free = (~systems.fixed).double() if self.fault != "fixed" else torch.ones(systems.n_atoms, dtype=torch.float64)
        pull = (ACCELERATION / systems.masses * free).unsqueeze(1)
        half = systems.velocities + 0.5 * dt * pull * evaluated.forces
        if self.fault == "asymmetric":
            half = half + 0.5 * dt * pull * evaluated.forces
        x = systems.positions + dt * half * (0.0 if self.fault == "stands" else 1.0)
        if self.fault == "float32":
            x = x.float()
        if self.fault == "in place":
            systems.positions.copy_(x)
        found = force(systems.moved(positions=x.double() if self.fault == "float32" else x))
        if self.fault == "twice":
            found = force(systems.moved(positions=x))
        v = half if self.fault == "asymmetric" else half + 0.5 * dt * pull * found.forces
        after = systems.moved(positions=x, velocities=v)
        if self.fault == "stale":
            found = evaluated
        return self._thermostat(after, found, state, dt, temperature, generator)

    def _thermostat(self, after, found, state, dt, target, generator):
        before = kinetic_energy(after)
        now = temperature(after)
        if self.fault == "mixes":
            now = now.mean().expand_as(now)
        wish = target if self.fault != "deaf" else now.clone().mul_(0.5)
        factor = (1 + 0.02 * dt * (wish / now - 1)).clamp(0.5, 1.5).sqrt()
        if self.fault == "hidden":
            factor = factor * (1 + 1e-6 * self.hidden)
        v = after.velocities * factor.index_select(0, after.structure_index).unsqueeze(1)
        if self.fault == "drifts":
            v = v + 1e-5 * torch.randn(1, 3, generator=generator, dtype=torch.float64)
        after = after.moved(velocities=v)
        heat = state["heat"] + before - kinetic_energy(after)
        return after, found, {"heat": heat * (0.0 if self.fault == "forgets heat" else 1.0)}

    def conserved(self, systems, evaluated, state):
        return evaluated.energy + kinetic_energy(systems) + state["heat"]


class Verlet(Walker):
    """Without the thermostat: reversible, unless the fault is in it."""

    def _thermostat(self, after, found, state, *_):
        return after, found, state


def contract(fault: str, made: type = Walker, **facts) -> SamplerContract:
    broken = type(
        "Broken",
        (SamplerContract,),
        {"part": Sampler(name="broken", summary="", build=lambda _o: made(fault)), **facts},
    )
    return broken()


FAULTS = {
    "stands": "test_moves_what_it_is_given",
    "float32": "test_moves_what_it_is_given",
    "twice": "test_evaluates_once_a_step",
    "stale": "test_evaluates_once_a_step",
    "in place": "test_changes_no_input",
    "hidden": "test_restart_is_exact",
    "mixes": "test_batch",
    "fixed": "test_fixed_atoms_stay",
    "drifts": "test_centre_of_mass_rests",
    "forgets heat": "test_conserved",
    "deaf": "test_temperature_is_heard",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_samplers(fault: str) -> None:
    with pytest.raises(AssertionError):
        getattr(contract(fault), FAULTS[fault])()
    getattr(contract(""), FAULTS[fault])()


def test_one_that_cannot_go_back() -> None:
    contract("", Verlet, reversible=True).test_reversible()
    with pytest.raises(AssertionError):
        contract("asymmetric", Verlet, reversible=True).test_reversible()
