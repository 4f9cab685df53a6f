"""The Nosé–Hoover chain: against ASE's, under a ramp, and against the canonical distribution; skew cells of alloys."""

import ase
import ase.build
import numpy as np
import pytest
import safetensors.torch
import torch
from ase import units
from ase.calculators.calculator import Calculator
from ase.md.nose_hoover_chain import NoseHooverChainNVT
from crystal_samplers import crystal_parts
from crystal_samplers.chain import WEIGHTS, Chain
from crystal_samplers.options import ChainOptions
from scipy import stats

from crystalcli.contracts import options as opt
from crystalcli.contracts.dynamics import Evaluated
from crystalcli.md.velocities import maxwell_boltzmann
from crystalcli.nouns.systems import Systems, degrees_of_freedom, kinetic_energy
from crystalcli.testing.springs import Springs
from crystalcli.vocabulary.units import KB

PARTS = {p.name: p for p in crystal_parts()}


def alloy(seed: int = 0) -> ase.Atoms:
    """Six atoms of three elements in a skew cell, none where another could be."""
    rng = np.random.default_rng(seed)
    places = np.array([(0, 0, 0), (0.5, 0, 0.1), (0, 0.5, 0), (0.5, 0.5, 0.4), (0.1, 0, 0.6), (0.4, 0.6, 0.8)])
    atoms = ase.Atoms("Cu2AgAl3", cell=[(5.4, 0, 0), (0.8, 5.0, 0), (0.3, 0.6, 4.9)], pbc=True)
    atoms.set_scaled_positions(places + rng.normal(0, 0.02, places.shape))
    return atoms


class Atomistic(Calculator):
    """Springs for ASE."""

    implemented_properties = ["energy", "free_energy", "forces"]

    def __init__(self, potential: Springs) -> None:
        super().__init__()
        self.potential = potential

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        found = self.potential.evaluate(Systems.of([atoms]))
        self.results = {
            "energy": float(found.energy),
            "free_energy": float(found.energy),
            "forces": found.forces.numpy(),
        }


def sampler(name: str = "nvt", **options):
    part = PARTS[name]
    return part.build(opt.make(part.options, options, owner=name))


@pytest.mark.parametrize(("chain", "substeps", "damping"), [(5, 2, 40.0), (3, 1, 100.0), (1, 3, 15.0)])
def test_every_step_is_that_of_ase(chain, substeps, damping) -> None:
    """ASE counts 3N degrees of freedom; with these in our state, the trajectories are the same to rounding."""
    atoms, dt, kelvin = alloy(), 2.0, 400.0
    potential = Springs([atoms], 3.0, factor=1.3)
    systems = maxwell_boltzmann(Systems.of([atoms]), 900.0, 1, ["a"])
    (theirs,) = systems.to_atoms()
    theirs.calc = Atomistic(potential)
    dynamics = NoseHooverChainNVT(
        theirs, dt * units.fs, temperature_K=kelvin, tdamp=damping * units.fs, tchain=chain, tloop=substeps
    )
    ours = sampler(damping=damping, chain=chain, substeps=substeps, suzuki_yoshida="3")
    target = torch.tensor([kelvin], dtype=torch.float64)
    evaluated, state = potential.evaluate(systems), ours.init(systems, target, torch.Generator())
    state["degrees"] = torch.tensor([3.0 * len(atoms)], dtype=torch.float64)
    state |= ours.chain.start(state["degrees"], target)
    begun = float(ours.conserved(systems, evaluated, state)), dynamics.get_conserved_energy()
    for _ in range(200):
        systems, evaluated, state = ours.step(
            systems, evaluated, state, potential.evaluate, dt=dt, temperature=target, generator=torch.Generator()
        )
        dynamics.step()
    # constants of ASE are of another year: 1e-8 in the time unit
    np.testing.assert_allclose(systems.positions.numpy(), theirs.positions, atol=2e-5)
    changes = [
        float(ours.conserved(systems, evaluated, state)) - begun[0], dynamics.get_conserved_energy() - begun[1]
    ]  # fmt: skip
    assert changes[0] == pytest.approx(changes[1], abs=1e-6)
    assert abs(changes[0]) < 0.01 * KB * kelvin * len(atoms)


@pytest.mark.parametrize(("points", "fourth"), [("1", False), ("3", True), ("5", True), ("7", True)])
def test_weights_of_suzuki_and_yoshida(points: str, fourth: bool) -> None:
    w = np.array(WEIGHTS[points])
    assert len(w) == int(points)
    assert w.sum() == pytest.approx(1.0, abs=1e-14)
    assert bool(abs((w**3).sum()) < 1e-12) is fourth
    assert bool(abs((w**5).sum()) < 1e-12) is (points == "7")
    np.testing.assert_array_equal(w, w[::-1])
    published = {
        "3": [1.351207191959658, -1.702414383919315],
        "5": [0.414490771794376, 0.414490771794376, -0.657963087177503],
        "7": [0.784513610477560, 0.235573213359357, -1.177679984178870, 1.315186320683906],
    }
    if points in published:
        np.testing.assert_allclose(w[: len(published[points])], published[points], atol=1e-13)


@pytest.mark.parametrize(("points", "order"), [("1", 2), ("3", 4), ("5", 4), ("7", 6)])
def test_the_chain_is_integrated_to_its_order(points: str, order: int) -> None:
    """The chain alone, for a finite time: half the step, 2^order less of the error. Also so by more substeps."""
    degrees, target = torch.tensor([15.0], dtype=torch.float64), torch.tensor([300.0], dtype=torch.float64)

    def walked(steps: int, points: str = points, substeps: int = 1) -> float:
        chain = Chain("chain", 20.0, ChainOptions(chain=4, substeps=substeps, suzuki_yoshida=points))
        state, twice = chain.start(degrees, target), 2.5 * degrees * KB * target
        for _ in range(steps):
            factor, state = chain.half_step(state, twice, degrees, target, 2 * 20.0 / steps)
            twice = twice * factor.square()
        return float(twice)

    true = walked(1024, "7")
    errors = [abs(walked(n) - true) for n in ((16, 32) if order == 6 else (64, 128))]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.4)
    assert walked(8, substeps=2) == pytest.approx(walked(16), rel=1e-12)


def cooled(module, systems, force, program, dt, steps, *, at=0, point=None):
    """Walk through ``program(step)``; yields (kelvin, systems, evaluated, state)."""
    target = torch.full((systems.n_structures,), program(0), dtype=torch.float64)
    evaluated, state = point or (force(systems), module.init(systems, target, torch.Generator()))
    for k in range(at, at + steps):
        target = torch.full((systems.n_structures,), program(k + 1), dtype=torch.float64)
        systems, evaluated, state = module.step(
            systems, evaluated, state, force, dt=dt, temperature=target, generator=torch.Generator()
        )
        yield program(k + 1), systems, evaluated, state


def free(systems: Systems) -> Evaluated:
    """No forces at all."""
    return Evaluated(systems.positions.new_zeros(systems.n_structures), torch.zeros_like(systems.positions))


def period(kinetic: np.ndarray, dt: float) -> float:
    """Mean time between maxima."""
    peaks = 1 + np.flatnonzero((kinetic[1:-1] > kinetic[:-2]) & (kinetic[1:-1] >= kinetic[2:]))
    assert len(peaks) > 4
    return float(np.diff(peaks).mean() * dt)


def test_the_period_of_the_thermostat_is_the_same_after_a_ramp() -> None:
    """Free particles and one thermostat ring with √2 π τ for small amplitudes, at 3000 K and after cooling to 300 K."""
    atoms, damping, dt = alloy().repeat(2), 40.0, 2.0
    systems = maxwell_boltzmann(Systems.of([atoms]), 3000.0 * 1.1, 2, ["a"])
    module = sampler(damping=damping, chain=1)

    def program(step: int) -> float:
        return float(np.clip(3000.0 - 2700.0 * (step - 1500) / 2500, 300.0, 3000.0))

    walk = list(cooled(module, systems, free, program, dt, 5500))
    kinetic = np.array([float(kinetic_energy(s)) for _, s, _, _ in walk])

    hot, cold = period(kinetic[:1500], dt), period(kinetic[4000:], dt)
    assert hot == pytest.approx(2**0.5 * np.pi * damping, rel=0.03)
    assert cold == pytest.approx(hot, rel=0.03)
    f = float(degrees_of_freedom(systems))
    assert float(walk[-1][3]["chain_mass"][0, 0]) == pytest.approx(f * KB * 300.0 * damping**2)


@pytest.mark.parametrize(("name", "options"), [("nvt", {}), ("npt", {"cell_damping": 200.0, "mode": "full"})])
def test_what_is_conserved_counts_a_quench_and_its_masses(name, options) -> None:
    """From 3000 to 300 K: what the heat and the changing masses took is in the account, to O(dt²)."""
    atoms = alloy()
    potential, module = Springs([atoms], 3.0, factor=1.3), sampler(name, damping=25.0, **options)
    systems = maxwell_boltzmann(Systems.of([atoms]), 3000.0, 3, ["a"])

    def force(moved: Systems) -> Evaluated:
        return potential.evaluate(moved, stress=module.needs_stress)

    ripples = []
    for dt in (2.0, 1.0):
        walk = cooled(module, systems, force, lambda k, dt=dt: max(300.0, 3000.0 - 5.0 * k * dt), dt, int(700 / dt))
        kept = np.array([float(module.conserved(s, e, st)) for _, s, e, st in walk])
        ripples.append(np.ptp(kept))
    assert 3.0 < ripples[0] / ripples[1] < 5.0
    assert ripples[1] < 0.05 * KB * 3000.0


def test_a_restart_within_a_ramp_has_the_same_bits() -> None:
    atoms = [alloy(0), alloy(1).repeat((2, 1, 1))]
    for structures in (atoms[:1], atoms):
        potential = Springs(structures, 3.0, factor=1.3)
        systems = maxwell_boltzmann(Systems.of(structures), 3000.0, 3, ["a", "b"][: len(structures)])

        def program(step: int) -> float:
            return 3000.0 - 20.0 * step

        whole = list(cooled(sampler(), systems, potential.evaluate, program, 1.0, 60))
        _, middle, evaluated, state = whole[29]
        saved = safetensors.torch.load(safetensors.torch.save({k: v.contiguous() for k, v in state.items()}))
        rest = list(cooled(sampler(), middle, potential.evaluate, program, 1.0, 30, at=30, point=(evaluated, saved)))
        for mine, theirs in zip(whole[30:], rest, strict=True):
            assert torch.equal(mine[1].positions, theirs[1].positions)
            assert all(torch.equal(mine[3][k], theirs[3][k]) for k in mine[3])


def test_kinetic_energies_of_unlike_atoms_have_the_canonical_histogram() -> None:
    """Skew cells of six atoms, f = 15: the distribution is Gamma(f/2, k_B T), mean, variance and all of it."""
    kelvin, copies, dt = 600.0, 48, 2.0
    structures = [alloy(k) for k in range(copies)]
    potential = Springs(structures, 1.0, factor=1.35)
    systems = maxwell_boltzmann(Systems.of(structures), 1200.0, 5, [str(k) for k in range(copies)])
    walk = cooled(sampler(damping=30.0), systems, potential.evaluate, lambda _: kelvin, dt, 6000)
    kinetic = np.array([kinetic_energy(s).numpy() for k, (_, s, _, _) in enumerate(walk) if k >= 1500 and k % 10 == 0])
    f = 15
    wanted = stats.gamma(f / 2, scale=KB * kelvin)
    for found, true in ((kinetic.mean(0), wanted.mean()), (kinetic.var(0), wanted.var())):
        error = found.std() / copies**0.5
        assert error < 0.06 * true, "the test is too short to tell"
        assert abs(found.mean() - true) < 4 * error + 0.01 * true
    deciles = wanted.ppf(np.linspace(0, 1, 11))
    shares = np.array([np.histogram(k, deciles)[0] / len(k) for k in kinetic.T])
    assert np.abs(shares.mean(0) - 0.1).max() < 4 * (shares.std(0) / copies**0.5).max() + 0.003


@pytest.mark.parametrize("structures", [1, 2])
def test_a_chain_begins_in_double_precision_where_its_structures_are(structures: int) -> None:
    degrees = torch.full((structures,), 9.0, dtype=torch.float64)
    state = Chain("chain", 100.0, ChainOptions()).start(degrees, torch.full_like(degrees, 300.0))
    assert {v.dtype for v in state.values()} == {torch.float64}
    assert {v.device for v in state.values()} == {degrees.device}


def test_the_mass_of_the_cell() -> None:
    """W = (f + 3) k_B T τ²."""
    systems = Systems.of([alloy()])
    state = sampler("npt", cell_damping=500.0).init(systems, torch.tensor([300.0]).double(), torch.Generator())
    torch.testing.assert_close(state["cell_mass"], (degrees_of_freedom(systems) + 3) * KB * 300.0 * 500.0**2)


def test_a_structure_alone_has_the_bits_of_one_among_many() -> None:
    """One is computed with plain numbers, many with arrays."""
    rng = np.random.default_rng(6)
    chain = Chain("t", 40.0, ChainOptions())
    kinetic, degrees = torch.as_tensor(rng.uniform(1.0, 9.0, 300)), torch.as_tensor(rng.integers(3, 90, 300) * 1.0)
    kelvin = torch.as_tensor(rng.uniform(100.0, 3000.0, 300))
    state = chain.start(degrees, kelvin)
    state["t_rate"] = torch.as_tensor(rng.normal(0.0, 0.02, state["t_rate"].shape))
    factor, after = chain.half_step(state, kinetic, degrees, 0.99 * kelvin, 2.0)
    for k in range(300):
        one = slice(k, k + 1)
        alone = {name: value[one] for name, value in state.items()}
        found, then = chain.half_step(alone, kinetic[one], degrees[one], 0.99 * kelvin[one], 2.0)
        assert torch.equal(found, factor[one])
        assert all(torch.equal(then[name], after[name][one]) for name in after)
