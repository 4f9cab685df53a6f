"""The calculators: forces and stress are the derivatives of the energy, and nothing depends on what came before."""

from typing import Any

import ase
import ase.build
import numpy as np
import pytest
import torch

from crystalcli.engine.potential.potentials import named
from crystalcli.nouns.systems import Systems
from crystalcli.vocabulary.errors import InputError, UsageError

CASES = {"emt": ("Cu", 3.6, {}), "lj": ("Ar", 5.3, {}), "morse": ("Cu", 3.7, {"rc": 6.0})}


def rattled(symbol: str, a: float, seed: int = 0) -> ase.Atoms:
    atoms = ase.build.bulk(symbol, "fcc", a=a, cubic=True)
    rng = np.random.default_rng(seed)
    atoms.set_cell(atoms.cell.array + rng.normal(0, 0.1, (3, 3)), scale_atoms=True)
    atoms.positions += rng.normal(0, 0.1, (4, 3))
    return atoms


@pytest.mark.parametrize("name", CASES)
def test_forces_and_stress_are_derivatives(name: str) -> None:
    symbol, a, options = CASES[name]
    potential = named(name, options=options)
    systems = Systems.of([rattled(symbol, a)])
    found = potential.evaluate(systems, stress=True)
    rng, step = np.random.default_rng(1), 1e-4

    def energy(positions: torch.Tensor, cell: torch.Tensor) -> float:
        return float(potential.evaluate(systems.moved(positions=positions, cell=cell)).energy)

    direction = torch.as_tensor(rng.normal(size=(4, 3)))
    plus, minus = (energy(systems.positions + s * step * direction, systems.cell) for s in (1, -1))
    assert (minus - plus) / (2 * step) == pytest.approx(float((found.forces * direction).sum()), abs=2e-6)
    strain = torch.as_tensor(rng.normal(size=(3, 3)))
    strain = 0.5 * (strain + strain.T)
    eye = torch.eye(3, dtype=torch.float64)
    deformed = [eye + s * step * strain for s in (1, -1)]
    plus, minus = (energy(systems.positions @ f, systems.cell @ f) for f in deformed)
    volume = float(torch.linalg.det(systems.cell[0]))
    assert found.stress is not None
    assert (plus - minus) / (2 * step * volume) == pytest.approx(float((found.stress[0] * strain).sum()), abs=1e-6)
    assert found.energies is not None
    assert float(found.energies.sum()) == pytest.approx(float(found.energy[0]), rel=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_history_leaves_no_trace(name: str) -> None:
    symbol, a, options = CASES[name]
    potential = named(name, options=options)
    structures = [rattled(symbol, a, seed) for seed in range(3)]
    together = potential.evaluate(Systems.of(structures))
    drifting = Systems.of(structures[:1])
    for _ in range(3):  # less than a neighbor list's skin: an old list would still do
        potential.evaluate(drifting)
        drifting = drifting.moved(positions=drifting.positions + 0.01)
    for k, atoms in enumerate(structures):
        alone = named(name, options=options).evaluate(Systems.of([atoms]))
        assert torch.equal(alone.energy[0], together.energy[k])
        assert torch.equal(alone.forces, together.forces[4 * k : 4 * k + 4])
        again = potential.evaluate(Systems.of([atoms]))
        assert torch.equal(alone.forces, again.forces)


def test_what_cannot_be_evaluated_is_named() -> None:
    systems = Systems.of([ase.build.bulk("Cu"), ase.build.bulk("Na")])
    with pytest.raises(InputError, match="structure 1: emt does not know Na"):
        named("emt").evaluate(systems)
    molecule = ase.Atoms("Ar2", [[0, 0, 0], [0, 0, 3.8]])
    with pytest.raises(InputError, match="lj gives no stress; its cell has fewer than three vectors"):
        named("lj").evaluate(Systems.of([molecule]), stress=True)
    assert named("lj").evaluate(Systems.of([molecule])).stress is None


def test_atoms_at_one_place_are_no_crash() -> None:
    found = named("lj").evaluate(Systems.of([ase.Atoms("Ar2", [[0, 0, 0], [0, 0, 0]])]))
    assert not torch.isfinite(found.energy).all()


def test_names_that_mean_nothing(tmp_path) -> None:
    with pytest.raises(UsageError, match=r"no potential 'emmt': no model file .*no calculator; did you mean 'emt'"):
        named("emmt")
    with pytest.raises(UsageError, match="folder without a model"):
        named(str(tmp_path))
    with pytest.raises(UsageError, match=r"calculator lj has no option 'sigmo'; did you mean 'sigma'"):
        named("lj", options={"sigmo": 1.0})


def _many_kinds() -> list[ase.Atoms]:
    """Crystals, a slab, a wire, a cluster, small skew cells, a lone atom, more atoms than are looked at pairwise."""
    slab = ase.build.fcc111("Pt", (2, 3, 3), vacuum=5.0)
    slab.numbers[[1, 4, 7]] = 29
    ase.build.add_adsorbate(slab, ase.build.molecule("CO"), 1.7, offset=(0.3, 0.2))
    skew = ase.Atoms("AlNi", cell=[[2.4, 0.1, 0], [0.9, 2.5, 0.2], [0.3, -0.8, 2.9]], pbc=True)
    skew.set_scaled_positions([[0.1, 0.2, 0.3], [3.62, -1.3, 0.9]])
    wire = ase.Atoms(
        "AgPdCu", [[0, 0, 0], [2.4, 0.4, 0.1], [5.0, -0.3, 0.3]], cell=[7.3, 9, 8], pbc=(True, False, False)
    )
    cluster = ase.Atoms("AuCuAlH", [[0, 0, 0], [2.6, 0, 0], [1.2, 2.3, 0.2], [1.3, 0.9, 1.2]])
    lone = ase.Atoms("Ni", cell=[20, 21, 22], pbc=True)
    crowd = ase.build.bulk("Cu", cubic=True).repeat((4, 3, 4))
    crowd.numbers[::5] = 79
    found = [slab, skew, wire, cluster, lone, crowd]
    for k, atoms in enumerate(found):
        atoms.rattle(0.05, seed=k)
    return found


@pytest.mark.parametrize("together", [False, True])
def test_emt_is_that_of_ase(together: bool) -> None:
    from ase.calculators.emt import EMT

    structures, potential = _many_kinds(), named("emt")
    batches = [structures] if together else [[atoms] for atoms in structures]
    found = [potential.evaluate(Systems.of(batch)) for batch in batches]
    energies, forces = (torch.cat([getattr(f, k) for f in found]).numpy() for k in ("energies", "forces"))
    totals, first = torch.cat([f.energy for f in found]).numpy(), 0
    for k, atoms in enumerate(structures):
        theirs, span = EMT(), slice(first, first + len(atoms))
        theirs.calculate(atoms, ["energy", "forces"])
        np.testing.assert_allclose(totals[k], theirs.results["energy"], rtol=1e-10, atol=1e-11)
        np.testing.assert_allclose(energies[span], theirs.results["energies"], rtol=1e-10, atol=1e-11)
        np.testing.assert_allclose(forces[span], theirs.results["forces"], rtol=1e-10, atol=1e-11)
        if atoms.cell.rank == 3:
            stress = potential.evaluate(Systems.of([atoms]), stress=True).stress
            assert stress is not None
            voigt = stress[0].flatten()[[0, 4, 8, 5, 2, 1]].numpy()
            np.testing.assert_allclose(voigt, theirs.results["stress"], rtol=1e-10, atol=1e-11)
        first += len(atoms)


def test_a_batch_that_shrinks_keeps_its_neighbors() -> None:
    """A relaxation asks for fewer and fewer structures; the bits are those of a potential that is asked once."""
    potential: Any = named("emt")
    systems, rng = Systems.of(_many_kinds()), np.random.default_rng(0)
    for kept in ([0, 1, 2, 3, 4, 5], [0, 1, 3, 4, 5], [1, 3, 5], [1, 5], [5]):
        here = torch.as_tensor([systems.places.tolist().index(k) for k in kept])
        systems = systems.take(here)
        shift = torch.as_tensor(rng.normal(0, 0.005, systems.positions.shape))
        systems = systems.moved(positions=systems.positions + shift)
        one, other = potential.evaluate(systems), named("emt").evaluate(systems)
        assert torch.equal(one.energy, other.energy)
        assert torch.equal(one.forces, other.forces)
    assert potential.moving.builds == 1
    far = systems.moved(positions=systems.positions + torch.eye(3, dtype=torch.float64)[0])
    potential.evaluate(far)
    assert potential.moving.builds == 2
    strangers = Systems.of([_many_kinds()[0]])
    assert torch.equal(potential.evaluate(strangers).forces, named("emt").evaluate(strangers).forces)


def test_only_those_that_moved_far_are_searched_again() -> None:
    potential: Any = named("emt")
    searched: list[int] = []
    build = potential.moving.build
    potential.moving.build = lambda atoms: searched.append(len(atoms)) or build(atoms)
    systems = Systems.of(_many_kinds())
    potential.evaluate(systems)
    searched.clear()
    shift = torch.zeros_like(systems.positions)
    shift[systems.structure_index == 2, 1] = torch.tensor([0.4, 0.0, -0.1], dtype=torch.float64)
    moved = systems.moved(positions=systems.positions + shift)
    assert torch.equal(potential.evaluate(moved).forces, named("emt").evaluate(moved).forces)
    assert searched == [3]
    assert torch.equal(potential.evaluate(systems).forces, named("emt").evaluate(systems).forces)
    assert searched == [3, 3]


def test_a_cell_that_shrinks_with_its_atoms_is_searched_again() -> None:
    """Atoms that only follow their cell have not moved in it, and yet others come within the cutoff."""
    potential: Any = named("emt")
    systems = Systems.of([ase.build.bulk("Cu", cubic=True), ase.build.bulk("Au", cubic=True)])
    potential.evaluate(systems)
    factor = torch.tensor([0.85, 1.0], dtype=torch.float64)
    shrunk = systems.moved(
        positions=systems.positions * factor[systems.structure_index, None], cell=systems.cell * factor[:, None, None]
    )
    assert torch.equal(potential.evaluate(shrunk).forces, named("emt").evaluate(shrunk).forces)
    assert torch.equal(potential.evaluate(shrunk).energy, named("emt").evaluate(shrunk).energy)
    assert potential.moving.builds == 2
