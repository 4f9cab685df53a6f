"""What every sampler must do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import ase
import ase.build
import numpy as np
import pytest
import safetensors.torch
import torch
from ase.constraints import FixAtoms
from torch import Tensor

from crystalcli.contracts import options as opt
from crystalcli.contracts.dynamics import Evaluated, SamplerModule, State
from crystalcli.contracts.noise import StructureNoise
from crystalcli.contracts.records import Sampler
from crystalcli.nouns.systems import Systems, kinetic_energy, per_structure
from crystalcli.testing.compare import same
from crystalcli.testing.elsewhere import elsewhere
from crystalcli.testing.springs import Springs
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.units import ACCELERATION, KB

SEED = 7
Point = tuple[Systems, Evaluated, State]


class SamplerContract:
    """Inherit, name the class ``Test…`` and set ``part``; pytest finds the rest.

    Attributes:
        options: of the part.
        temperature: K.
        dt: fs.
        stochastic: noise is drawn for the batch, so that a structure alone sees another one; none of ours does that.
        reversible: time can be turned round, with :meth:`turned`.
        drift: what the conserved quantity may change in 40 steps, as a share of the kinetic energy.
    """

    part: ClassVar[Sampler]
    options: ClassVar[Mapping[str, Any]] = {}
    temperature: ClassVar[float] = 300.0
    dt: ClassVar[float] = 1.0
    stochastic: ClassVar[bool] = False
    reversible: ClassVar[bool] = False
    drift: ClassVar[float] = 0.01

    def build(self) -> SamplerModule:
        """A fresh module."""
        options: Any = opt.make(self.part.options, self.options, owner=self.part.name)
        return self.part.build(options)

    def structures(self) -> list[ase.Atoms]:
        """Crystals of different sizes and masses, at rest."""
        copper = ase.build.bulk("Cu", "fcc", a=3.6, cubic=True)
        silver = ase.build.bulk("Ag", "fcc", a=4.1).repeat((2, 2, 2))
        alloy = ase.build.bulk("Au", "fcc", a=4.0, cubic=True).repeat((1, 1, 2))
        alloy.numbers[::3] = 13
        return [copper, silver, alloy]

    def turned(self, state: State) -> State:
        """The state with time turned round; velocities are turned by the test."""
        return state

    def begin(self, structures: list[ase.Atoms]) -> tuple[Springs, Systems]:
        """Potential, and systems with random velocities without momentum."""
        at_rest = Systems.of(structures)
        generator = torch.Generator().manual_seed(SEED)
        width = (KB * self.temperature * ACCELERATION / at_rest.masses).sqrt().unsqueeze(1)
        v = torch.randn(at_rest.n_atoms, 3, generator=generator, dtype=torch.float64) * width
        v = v.masked_fill(at_rest.fixed.unsqueeze(1), 0.0)
        mass = per_structure(at_rest, at_rest.masses)
        drift = per_structure(at_rest, at_rest.masses.unsqueeze(1) * v) / mass.unsqueeze(1)
        free = per_structure(at_rest, at_rest.fixed.double()) == 0
        v = v - (drift * free.unsqueeze(1)).index_select(0, at_rest.structure_index)
        return Springs(structures), at_rest.moved(velocities=v)

    def walk(
        self, potential: Springs, systems: Systems, steps: int, *, first: int = 0, point: Point | None = None
    ) -> Point:
        """Take ``steps`` steps from ``systems``, or on from ``point`` after its step ``first``."""
        module = self.build()
        stress = module.needs_stress

        def force(moved: Systems) -> Evaluated:
            return potential.evaluate(moved, stress=stress)

        target = torch.full((systems.n_structures,), self.temperature, dtype=torch.float64)
        noise = _noise(systems)
        point = point or (systems, force(systems), module.init(systems, target, noise.at(0)))
        for k in range(first + 1, first + steps + 1):
            point = module.step(*point, force, dt=self.dt, temperature=target, generator=noise.at(k))
        return point

    def draws(self) -> bool:
        """Whether a step takes random numbers for the batch as a whole."""
        potential, systems = self.begin(self.structures())
        (at, evaluated, state), generator = self.walk(potential, systems, 0), _noise(systems).at(1)
        module, target = self.build(), torch.full((at.n_structures,), self.temperature, dtype=torch.float64)
        before = generator.get_state()

        def force(moved: Systems) -> Evaluated:
            return potential.evaluate(moved, stress=module.needs_stress)

        module.step(at, evaluated, state, force, dt=self.dt, temperature=target, generator=generator)
        return not torch.equal(before, generator.get_state())

    def energy(self, point: Point) -> Tensor:
        """(S,) eV, what the sampler says is conserved."""
        return self.build().conserved(*point)

    def test_moves_what_it_is_given(self) -> None:
        """Positions change, everything stays float64 in its shape, and the state is named tensors."""
        potential, systems = self.begin(self.structures())
        after, evaluated, state = self.walk(potential, systems, 3)
        assert not torch.equal(after.positions, systems.positions), "nothing moves"
        for name in ("positions", "velocities", "cell"):
            value, before = getattr(after, name), getattr(systems, name)
            assert value.dtype == torch.float64, f"{name} are {value.dtype}"
            assert value.shape == before.shape, f"{name} have changed their shape"
            assert torch.isfinite(value).all(), f"{name} are not finite"
        assert all(isinstance(v, Tensor) for v in state.values()), "the state holds what is no tensor"
        assert self.energy((after, evaluated, state)).shape == (systems.n_structures,), "conserved() is not (S,)"

    def test_evaluates_once_a_step(self) -> None:
        """Forces are the dear part: one evaluation a step, and its result is handed on."""
        potential, systems = self.begin(self.structures())
        self.walk(potential, systems, 5)
        assert potential.calls == 6, f"{potential.calls - 1} evaluations in 5 steps"
        after, evaluated, _ = self.walk(potential, systems, 2)
        found = potential.evaluate(after)
        assert torch.equal(found.forces, evaluated.forces), "the forces handed on are not those of the positions"

    def test_changes_no_input(self) -> None:
        """A host may keep what it gave."""
        potential, systems = self.begin(self.structures())
        point = self.walk(potential, systems, 2)
        kept = _copied(point)
        self.walk(potential, systems, 2, first=2, point=point)
        for name, value in _tensors(point).items():
            assert torch.equal(value, kept[name]), f"{name} was changed in place"

    def test_restart_is_exact(self) -> None:
        """State saved and loaded by another instance: the same bits as without interruption."""
        potential, systems = self.begin(self.structures())
        whole = self.walk(potential, systems, 6)
        at, evaluated, state = self.walk(potential, systems, 3)
        saved = safetensors.torch.load(safetensors.torch.save({k: v.contiguous() for k, v in state.items()}))
        rest = self.walk(potential, systems, 3, first=3, point=(at, evaluated, saved))
        for name, value in _tensors(whole).items():
            assert torch.equal(value, _tensors(rest)[name]), (
                f"{name} differs after a restart: the state lacks something"
            )

    def test_same_elsewhere(self) -> None:
        """The same walk with other threads and where decompositions come out otherwise."""
        potential, systems = self.begin(self.structures())
        here = self.walk(potential, systems, 5)[0]
        with elsewhere():
            there = self.walk(potential, systems, 5)[0]
        for name in ("positions", "velocities", "cell"):
            same(getattr(there, name), getattr(here, name), f"{name} on another machine")

    def test_batch(self) -> None:
        """Structures do not see each other."""
        if self.stochastic or self.draws():
            pytest.skip("noise is drawn for the batch")
        structures = self.structures()
        potential, systems = self.begin(structures)
        together = self.walk(potential, systems, 10)[0]
        for k, atoms in enumerate(structures):
            index = torch.tensor([k])
            alone = self.walk(Springs([atoms]), systems.take(index), 10)[0]
            torch.testing.assert_close(together.take(index).positions, alone.positions, rtol=0, atol=1e-11)
            torch.testing.assert_close(together.take(index).cell, alone.cell, rtol=0, atol=1e-11)

    def test_fixed_atoms_stay(self) -> None:
        """Neither position nor velocity of a fixed atom changes; a sampler that cannot keep it says so."""
        structures = self.structures()
        structures[1].set_constraint(FixAtoms([0, 5]))
        potential, systems = self.begin(structures)
        try:
            after = self.walk(potential, systems, 5)[0]
        except UsageError:
            return
        assert torch.equal(after.positions[systems.fixed], systems.positions[systems.fixed]), "a fixed atom moved"
        assert not after.velocities[systems.fixed].any(), "a fixed atom has a velocity"

    def test_centre_of_mass_rests(self) -> None:
        """The 3N − 3 degrees of freedom that temperatures are counted with."""
        potential, systems = self.begin(self.structures())
        after = self.walk(potential, systems, 20)[0]
        momentum = per_structure(after, after.masses.unsqueeze(1) * after.velocities)
        size = (after.masses.unsqueeze(1) * after.velocities).abs().max()
        assert momentum.abs().max() < 1e-9 * size, "the centre of mass moves"

    def test_conserved(self) -> None:
        """What is said to be conserved is, to the order of dt²."""
        potential, systems = self.begin(self.structures())
        before, after = self.walk(potential, systems, 0), self.walk(potential, systems, 40)
        change = (self.energy(after) - self.energy(before)).abs()
        assert (change < self.drift * kinetic_energy(systems)).all(), f"conserved() changes by {change.tolist()} eV"

    def test_reversible(self) -> None:
        """Turned round, it comes back to where it began."""
        if not self.reversible:
            pytest.skip("not reversible")
        potential, systems = self.begin(self.structures())
        there, evaluated, state = self.walk(potential, systems, 10)
        turned = replace(there, velocities=-there.velocities)
        back = self.walk(potential, systems, 10, point=(turned, evaluated, self.turned(state)))[0]
        torch.testing.assert_close(back.positions, systems.positions, rtol=0, atol=1e-9)

    def test_temperature_is_heard(self) -> None:
        """Thermostats pull towards the target: a cold start warms up. Skipped for samplers that have none."""
        potential, systems = self.begin(self.structures())
        after = self.walk(potential, systems, 30)
        if np.allclose(self.energy(after), (after[1].energy + kinetic_energy(after[0])), atol=1e-9):
            pytest.skip("keeps the energy: no thermostat")
        cold = systems.moved(velocities=systems.velocities * 0.3)
        before, later = self.walk(potential, cold, 0), self.walk(potential, cold, 100)
        total = [p[1].energy + kinetic_energy(p[0]) for p in (before, later)]
        assert (total[1] > total[0]).all(), "a cold start is not warmed"


def _noise(systems: Systems) -> StructureNoise:
    """Noise of structures that are called by the places that they had at first."""
    return StructureNoise(
        SEED, [str(k) for k in systems.places.tolist()], systems.atom_counts.tolist(), device=systems.cell.device
    )


def _tensors(point: Point) -> dict[str, Tensor]:
    systems, evaluated, state = point
    named = {n: getattr(systems, n) for n in ("positions", "velocities", "cell")}
    return (
        named | {"energy": evaluated.energy, "forces": evaluated.forces} | {f"state {k}": v for k, v in state.items()}
    )


def _copied(point: Point) -> dict[str, Tensor]:
    return {k: v.clone() for k, v in _tensors(point).items()}
