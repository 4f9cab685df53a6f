"""Samplers against statistical mechanics, on springs between nearest neighbors."""

import ase.build
import crystal_samplers
import numpy as np
import pytest
import torch

from crystalcli.contracts import options as opt
from crystalcli.contracts.noise import StructureNoise
from crystalcli.nouns.systems import (
    Systems,
    degrees_of_freedom,
    kinetic_energy,
    per_structure,
    temperature,
    volume,
)
from crystalcli.testing.springs import Springs
from crystalcli.vocabulary.units import ACCELERATION, GPA, KB

PARTS = {p.name: p for p in crystal_samplers.crystal_parts()}


def crystal(copies: int = 1, cells: int = 2, stiffness: float = 4.0):
    atoms = [ase.build.bulk("Cu", "fcc", a=3.6, cubic=True).repeat(cells) for _ in range(copies)]
    return Springs(atoms, stiffness), Systems.of(atoms)


def heated(systems: Systems, kelvin: float, seed: int = 0) -> Systems:
    generator = torch.Generator().manual_seed(seed)
    width = (KB * kelvin * ACCELERATION / systems.masses).sqrt().unsqueeze(1)
    v = torch.randn(systems.n_atoms, 3, generator=generator, dtype=torch.float64) * width
    total = per_structure(systems, systems.masses.unsqueeze(1) * v) / per_structure(systems, systems.masses)[:, None]
    return systems.moved(velocities=v - total.index_select(0, systems.structure_index))


def run(name, potential, systems, steps, *, dt=1.0, kelvin=300.0, seed=1, skip=0, every=1, **options):
    """Yield (systems, evaluated, module, state) after each ``every`` steps beyond ``skip``."""
    part = PARTS[name]
    module = part.build(opt.make(part.options, options, owner=name))

    def force(moved):
        return potential.evaluate(moved, stress=module.needs_stress)

    target = torch.full((systems.n_structures,), kelvin, dtype=torch.float64)
    names = [str(k) for k in range(systems.n_structures)]
    noise = StructureNoise(seed, names, systems.atom_counts.tolist(), device=systems.cell.device)
    evaluated, state = force(systems), module.init(systems, target, noise)
    for k in range(steps):
        systems, evaluated, state = module.step(
            systems, evaluated, state, force, dt=dt, temperature=target, generator=noise.at(k)
        )
        if k >= skip and k % every == 0:
            yield systems, evaluated, module, state


def fluctuation(name, dt, time, **options):
    """Standard deviation of the conserved quantity over ``time`` fs, eV."""
    potential, systems = crystal()
    systems = heated(systems, 600.0)
    walk = run(name, potential, systems, int(time / dt), dt=dt, kelvin=300.0, **options)
    kept = torch.stack([m.conserved(s, e, st) for s, e, m, st in walk])
    return float(kept.std(0).mean()), kept


@pytest.mark.parametrize(
    ("name", "options"),
    [("nve", {}), ("nvt", {"damping": 50.0}), ("npt", {"damping": 50.0, "cell_damping": 500.0, "mode": "full"})],
)
def test_half_the_step_has_a_quarter_of_the_fluctuation(name, options) -> None:
    coarse, _ = fluctuation(name, 4.0, 1600.0, **options)
    fine, _ = fluctuation(name, 2.0, 1600.0, **options)
    assert 3.5 < coarse / fine < 4.5


@pytest.mark.parametrize("name", ["nve", "nvt", "npt", "langevin"])
def test_what_is_conserved_does_not_drift(name) -> None:
    """1e-3 meV/atom/ps at 1 fs for the deterministic ones; the heat of Langevin's noise is kept to O(dt²) too."""
    potential, systems = crystal()
    walk = run(name, potential, heated(systems, 600.0), 10000, every=10)
    kept = np.array([float(m.conserved(s, e, st)[0]) for s, e, m, st in walk])
    slope = np.polyfit(np.arange(len(kept)) * 0.01, kept, 1)[0] / systems.n_atoms
    assert abs(slope) < (1e-6 if name != "langevin" else 1e-4)


def check_kinetic_energy(name, options, *, copies, steps, skip) -> None:
    """Mean f k_B T / 2 and variance f (k_B T)² / 2, within four standard errors from independent copies.

    Soft springs at high temperature: a harmonic crystal exchanges no energy between its vibrations, and a
    deterministic thermostat rings in it for long.
    """
    kelvin = 900.0
    potential, systems = crystal(copies, stiffness=1.0)
    walk = run(
        name, potential, heated(systems, 2 * kelvin), steps, dt=2.0, kelvin=kelvin, skip=skip, every=5, **options
    )
    kinetic = torch.stack([kinetic_energy(s) for s, _, _, _ in walk])
    f = float(degrees_of_freedom(systems)[0])
    mean, var = kinetic.mean(0), kinetic.var(0)
    wanted = f * KB * kelvin / 2, f * (KB * kelvin) ** 2 / 2
    for found, true in ((mean, wanted[0]), (var, wanted[1])):
        error = float(found.std()) / copies**0.5
        assert error < 0.07 * true, "the test is too short to tell"
        assert abs(float(found.mean()) - true) < 4 * error + 0.005 * true  # O(dt²) of the integrator


@pytest.mark.parametrize(
    ("name", "options"),
    [
        pytest.param("nvt", {"damping": 30.0}, marks=pytest.mark.slow),  # quickly in test_thermostat_chain.py
        ("langevin", {"friction": 0.02}),
    ],
)
def test_kinetic_energy_is_that_of_the_canonical_ensemble(name, options) -> None:
    check_kinetic_energy(name, options, copies=16, steps=8000, skip=3000)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["isotropic", "axes", "full"])
def test_kinetic_energy_at_constant_pressure(mode) -> None:
    options = {"damping": 30.0, "cell_damping": 300.0, "mode": mode}
    check_kinetic_energy("npt", options, copies=16, steps=8000, skip=3000)


def test_potential_energy_of_springs() -> None:
    """Equipartition: half k_B T for each of the 3N − 3 vibrations, but for the softening at finite amplitude."""
    potential, systems = crystal(8, stiffness=20.0)
    walk = run(
        "langevin", potential, heated(systems, 100.0), 6000, dt=1.0, kelvin=50.0, skip=2000, every=5, friction=0.02
    )
    found = torch.stack([e.energy for _, e, _, _ in walk]).mean(0)
    f = float(degrees_of_freedom(systems)[0])
    error = float(found.std()) / 8**0.5
    assert abs(float(found.mean()) - f * KB * 50.0 / 2) < 4 * error + 0.01 * f * KB * 50.0 / 2


@pytest.mark.slow
@pytest.mark.parametrize("pressure", [0.0, 5.0])
def test_pressure_and_fluctuation_of_volume(pressure) -> None:
    """Mean pressure is the one asked for; var V = k_B T V / B with B = (2/3) N k d² / V of springs."""
    copies, kelvin = 8, 100.0
    potential, systems = crystal(copies, stiffness=10.0)
    walk = run(
        "npt", potential, heated(systems, 2 * kelvin), 20000, dt=2.0, kelvin=kelvin, skip=5000, every=4,
        damping=50.0, cell_damping=500.0, pressure=pressure,
    )  # fmt: skip
    sizes, pressures = [], []
    for s, e, _, _ in walk:
        size = volume(s)
        stress = e.stress.diagonal(dim1=1, dim2=2).mean(1)
        pressures.append((2 * kinetic_energy(s) / (3 * size) - stress) / GPA)
        sizes.append(size)
    found = torch.stack(pressures).mean(0)
    error = float(found.std()) / copies**0.5
    # k_B T / V, what one degree of freedom presses with: the O(dt²) of the integrator is about that
    own = float((KB * kelvin / torch.stack(sizes).mean()) / GPA)
    assert abs(float(found.mean()) - pressure) < 4 * error + 2 * own
    spread = torch.stack(sizes).var(0)
    if pressure == 0.0:
        n, d = 32, 3.6 / 2**0.5
        size = float(torch.stack(sizes).mean())
        bulk = 2 / 3 * n * 10.0 * d**2 / size
        wanted = KB * kelvin * size / bulk
        assert abs(float(spread.mean()) - wanted) < 4 * float(spread.std()) / copies**0.5 + 0.05 * wanted


@pytest.mark.parametrize("mode", ["isotropic", "axes", "full"])
def test_few_atoms_feel_the_trace_term_of_the_barostat(mode) -> None:
    """2 E_kin/f in the drive of the cell and tr g/f in the drag of the atoms: a third of the pressure of two atoms.

    Without either of them the conserved energy is none. The cell is skew, its atoms differ.
    """
    atoms = ase.Atoms(
        "CuAg", [(0, 0, 0), (1.9, 1.6, 1.5)], cell=[(3.9, 0, 0), (0.5, 3.6, 0), (0.2, 0.4, 3.3)], pbc=True
    )
    potential, systems = Springs([atoms], 2.0, factor=1.4), heated(Systems.of([atoms]), 900.0)
    ripples = []
    for dt in (2.0, 1.0):
        walk = run(
            "npt", potential, systems, int(400 / dt), dt=dt, kelvin=300.0, mode=mode, cell_damping=100.0, damping=80.0
        )
        kept = [float(m.conserved(s, e, st)) for s, e, m, st in walk]
        ripples.append(np.ptp(kept))
    assert 3.0 < ripples[0] / ripples[1] < 5.0
    assert ripples[1] < 0.01 * KB * 900.0


def test_a_push_of_the_barostat_is_that_of_its_equation() -> None:
    """W dg = ½ dt (Σ m v v − V (stress + P) + 2 E_kin/f), element by element, from plain sums over atoms."""
    atoms = ase.Atoms(
        "CuAg", [(0, 0, 0), (1.9, 1.6, 1.5)], cell=[(3.9, 0, 0), (0.5, 3.6, 0), (0.2, 0.4, 3.3)], pbc=True
    )
    atoms.rattle(0.1, seed=1)
    systems = heated(Systems.of([atoms]), 900.0)
    part = PARTS["npt"]
    module = part.build(opt.make(part.options, {"mode": "full", "pressure": 3.0}, owner="npt"))
    evaluated = Springs([atoms], 2.0, factor=1.4).evaluate(systems, stress=True)
    state = module.init(systems, torch.tensor([300.0], dtype=torch.float64), torch.Generator())
    rate = module._push(systems, evaluated, state, 2.0)["strain_rate"][0].numpy()
    v, m = systems.velocities.numpy(), systems.masses.numpy()
    kinetic = sum(m[i] * np.outer(v[i], v[i]) for i in range(2)) / ACCELERATION
    drive = kinetic - atoms.get_volume() * (evaluated.stress[0].numpy() + 3.0 * GPA * np.eye(3))
    drive += np.trace(kinetic) / 3.0 * np.eye(3)  # f = 3 · 2 − 3
    np.testing.assert_allclose(rate, drive / ((3 + 3) * KB * 300.0 * 1000.0**2), rtol=1e-12)


def test_full_cell_shears_and_stays_upright() -> None:
    """All six strains move, the cell does not turn: strain rates stay symmetric."""
    potential, systems = crystal(1)
    walk = list(
        run("npt", potential, heated(systems, 600.0), 500, dt=2.0, mode="full", cell_damping=200.0, damping=50.0)
    )
    state = walk[-1][3]
    assert (state["strain_rate"].abs() > 0).all()
    torch.testing.assert_close(state["strain_rate"], state["strain_rate"].transpose(1, 2))


def test_ramps_keep_the_account() -> None:
    """The conserved quantity counts the heat of a thermostat whose target changes."""
    potential, systems = crystal()
    part = PARTS["nvt"]
    module = part.build(opt.make(part.options, {"damping": 50.0}, owner="nvt"))
    systems = heated(systems, 600.0)
    evaluated, state = (
        potential.evaluate(systems),
        module.init(systems, torch.tensor([300.0]).double(), torch.Generator()),
    )
    kept, kelvins = [], []
    for k in range(4000):
        target = torch.tensor([300.0 + 0.1 * k], dtype=torch.float64)
        systems, evaluated, state = module.step(
            systems, evaluated, state, potential.evaluate, dt=1.0, temperature=target, generator=torch.Generator()
        )
        kept.append(float(module.conserved(systems, evaluated, state)))
        kelvins.append(float(temperature(systems)))
    assert np.ptp(kept) < 0.01 * float(kinetic_energy(systems))
    assert abs(np.mean(kelvins[-1000:]) - 650) < 80
