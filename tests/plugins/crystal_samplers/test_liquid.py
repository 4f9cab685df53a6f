"""A liquid: density, compressibility and energy beside numbers that others have published; diffusion beside ASE.

The published ones are those of the Lennard-Jones fluid by NIST's Standard Reference Simulation Website, Monte Carlo at
T* = 0.85 with all pairs (long-range corrections): ρ*, p*, U*/N.
"""

from __future__ import annotations

from typing import Any, ClassVar

import ase.units
import crystal_samplers
import numpy as np
import pytest
import torch
from ase.calculators.calculator import Calculator
from ase.md.nose_hoover_chain import NoseHooverChainNVT
from reference.lennard_jones import EPSILON, MASS, SIGMA, LennardJones, boxes, reduced_pressure, tail, tail_energy
from scipy.stats import chi2, gamma

from crystalcli.contracts import options as opt
from crystalcli.contracts.noise import StructureNoise
from crystalcli.md.velocities import maxwell_boltzmann
from crystalcli.nouns.systems import Systems, degrees_of_freedom, kinetic_energy, volume
from crystalcli.vocabulary.units import GPA, KB

NIST = np.array([
    (0.776, 6.7714e-3, -5.5121), (0.780, 4.7924e-2, -5.5386), (0.820, 0.55355, -5.7947), (0.860, 1.2660, -6.0305),
    (0.900, 2.2314, -6.2391),
])  # fmt: skip
KELVIN = 0.85 * EPSILON / KB
CELLS, COPIES = 5, 8
PARTS = {p.name: p for p in crystal_samplers.crystal_parts()}


def walk(name: str, copies: int, steps: int, skip: int, every: int, **options: Any) -> Any:
    """Yield (systems, evaluated) of boxes of 125 atoms that begin at ρ* = 0.82 and half again as hot, dt 8 fs."""
    part = PARTS[name]
    module = part.build(opt.make(part.options, options, owner=name))
    potential = LennardJones(CELLS**3)
    systems = Systems.of(boxes(copies, CELLS, 0.82))
    systems = maxwell_boltzmann(systems, 1.5 * KELVIN, 0, [str(k) for k in range(copies)])
    target = torch.full((copies,), KELVIN, dtype=torch.float64)
    noise = StructureNoise(0, [str(k) for k in range(copies)], systems.atom_counts.tolist(), device=systems.cell.device)
    evaluated, state = potential.evaluate(systems), module.init(systems, target, noise)
    for k in range(steps):
        systems, evaluated, state = module.step(
            systems, evaluated, state, potential.evaluate, dt=8.0, temperature=target, generator=noise.at(k)
        )
        if k >= skip and k % every == 0:
            yield systems, evaluated


def test_the_fluid_is_that_of_its_formula() -> None:
    """Forces and stress are what the energy says, in a box that no symmetry has."""
    (atoms,) = boxes(1, CELLS, 0.82)
    atoms.rattle(0.3, seed=9)
    potential, step = LennardJones(len(atoms)), 1e-5

    def energy(moved: ase.Atoms) -> float:
        return float(potential.evaluate(Systems.of([moved])).energy[0])

    found = potential.evaluate(Systems.of([atoms]))
    d = atoms.get_all_distances(mic=True)[np.triu_indices(len(atoms), 1)] / SIGMA
    d = d[d < 2.5]
    assert float(found.energy[0]) == pytest.approx(4 * EPSILON * float((d**-12 - d**-6).sum()))
    ends = []
    for sign in (1, -1):
        moved = atoms.copy()
        moved.positions[7, 1] += sign * step
        ends.append(energy(moved))
    assert float(found.forces[7, 1]) == pytest.approx(-(ends[0] - ends[1]) / (2 * step), abs=1e-6)
    ends = []
    for sign in (1, -1):
        moved = atoms.copy()
        moved.set_cell(atoms.cell * (1 + sign * 1e-7), scale_atoms=True)
        ends.append(energy(moved))
    trace = float(found.stress[0].trace())
    assert trace == pytest.approx((ends[0] - ends[1]) / 2e-7 / atoms.get_volume(), rel=1e-3)


@pytest.mark.slow
def test_density_compressibility_and_energy_of_a_liquid_are_the_published_ones() -> None:
    density, pressure, energy = NIST[2]
    asked = (pressure - tail(density)) * EPSILON / SIGMA**3 / GPA
    sizes, energies = [], []
    for systems, evaluated in walk(
        "npt", COPIES, 7000, 1500, 5, pressure=float(asked), damping=400.0, cell_damping=2000.0
    ):
        sizes.append(volume(systems))
        energies.append(evaluated.energy)
    v = torch.stack(sizes).numpy() / SIGMA**3
    n = CELLS**3
    densities = n / v.mean(0)
    error = densities.std(ddof=1) / COPIES**0.5
    assert error < 0.004, "the test is too short to tell"
    assert densities.mean() == pytest.approx(density, abs=4 * error + 0.002)  # 1/N, and the tail at the mean density
    mine = torch.stack(energies).numpy().mean(0) / n / EPSILON + tail_energy(density)
    assert mine.mean() == pytest.approx(energy, abs=4 * mine.std(ddof=1) / COPIES**0.5 + 0.02)
    curve = np.polynomial.Polynomial.fit(NIST[:, 0], NIST[:, 1], 4)
    slope = float(curve.deriv()(density))
    slope -= 2 * tail(density) / density  # the truncated fluid is asked for a pressure without its tail
    expected = 1 / (density * slope)
    found = v.var(0) / (0.85 * v.mean(0))
    error = found.std(ddof=1) / COPIES**0.5
    assert error < 0.15 * expected, "the test is too short to tell"
    assert found.mean() == pytest.approx(expected, abs=4 * error + 0.05 * expected)


@pytest.mark.slow
def test_pressure_and_kinetic_energy_of_a_liquid_in_a_box() -> None:
    """Pressure at ρ* = 0.82; kinetic energies in twelve bins of the Gamma distribution with f = 3N − 3: chi²."""
    pressures, kinetic = [], []
    for k, (systems, evaluated) in enumerate(walk("nvt", COPIES, 6000, 1500, 5, damping=400.0)):
        mine = kinetic_energy(systems)
        pressures.append(reduced_pressure(evaluated, mine, volume(systems)))
        if k % 40 == 0:  # 1.6 ps, four times the damping
            kinetic.append(mine)
    found = torch.stack(pressures).mean(0).numpy() + tail(0.82)
    assert found.mean() == pytest.approx(NIST[2, 1], abs=4 * found.std(ddof=1) / COPIES**0.5 + 0.02)
    f = float(degrees_of_freedom(systems)[0])
    assert f == 3 * CELLS**3 - 3
    samples = torch.cat(kinetic).numpy()
    edges = gamma.ppf(np.linspace(0, 1, 13), f / 2, scale=KB * KELVIN)
    counts = np.histogram(samples, edges)[0]
    wanted = len(samples) / 12
    assert chi2.sf(float(((counts - wanted) ** 2 / wanted).sum()), 11) > 1e-3
    # so many samples see 24 degrees of freedom more, 12 k_B T where the width is 14
    others = np.histogram(samples, gamma.ppf(np.linspace(0, 1, 13), (f + 24) / 2, scale=KB * KELVIN))[0]
    assert chi2.sf(float(((others - wanted) ** 2 / wanted).sum()), 11) < 1e-3


class Fluid(Calculator):
    """The same for ASE."""

    implemented_properties: ClassVar[list[str]] = ["energy", "forces"]

    def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = None) -> None:
        super().calculate(atoms, properties, system_changes)
        found = LennardJones(len(atoms)).evaluate(Systems.of([atoms]))
        self.results = {"energy": float(found.energy[0]), "forces": found.forces.numpy()}


def diffusion(positions: np.ndarray, every: float) -> float:
    """Å²/fs, from the mean square displacement between 1.6 and 4 ps, over all starts; (F, N, 3) every so many fs."""
    lags = np.arange(int(1600 / every), int(4000 / every) + 1)
    free = positions - positions.mean(1, keepdims=True)
    square = [((free[lag:] - free[:-lag]) ** 2).sum(2).mean() for lag in lags]
    return float(np.polyfit(lags * every, square, 1)[0] / 6)


@pytest.mark.slow
def test_diffusion_is_that_of_ase() -> None:
    """Ours in eight boxes, theirs in two, each from velocities of its own."""
    n = CELLS**3
    places = torch.stack([s.positions for s, _ in walk("nvt", COPIES, 4500, 1500, 10, damping=400.0)])
    ours = [diffusion(p.numpy(), 80.0) for p in places.reshape(len(places), COPIES, n, 3).unbind(1)]
    theirs = []
    for k, atoms in enumerate(boxes(2, CELLS, 0.82)):
        atoms.calc = Fluid()
        kicks = np.random.default_rng(k).normal(0.0, (1.5 * KELVIN * ase.units.kB * MASS) ** 0.5, (n, 3))
        atoms.set_momenta(kicks - kicks.mean(0))
        dynamics = NoseHooverChainNVT(atoms, 8 * ase.units.fs, temperature_K=KELVIN, tdamp=400 * ase.units.fs)
        dynamics.run(1500)
        kept: list[np.ndarray] = []
        dynamics.attach(lambda kept=kept, atoms=atoms: kept.append(atoms.positions.copy()), interval=10)
        dynamics.run(3000)
        theirs.append(diffusion(np.array(kept), 80.0))
    spread = float(np.std(ours, ddof=1))
    assert spread < 0.3 * np.mean(ours), "the test is too short to tell"
    assert np.mean(theirs) == pytest.approx(np.mean(ours), abs=4 * spread * (1 / 2 + 1 / COPIES) ** 0.5)
    reduced = np.mean(ours) * 1e3 / (SIGMA**2 / 2.156)  # σ (m/ε)^½ is 2.156 ps
    assert 0.02 < reduced < 0.06  # a liquid near its triple point
