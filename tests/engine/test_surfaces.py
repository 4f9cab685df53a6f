"""A model that offers a surface: every relaxer finds its minimum, which is the prediction; nothing else takes it."""

from collections.abc import Iterator
from pathlib import Path

import ase
import ase.io
import asked
import numpy as np
import pytest
import torch
import toy_parts
import toy_slabs
from ase.constraints import FixAtoms

from crystalcli import load_model, load_potential
from crystalcli.contracts.dynamics import frozen
from crystalcli.contracts.host import Host
from crystalcli.contracts.records import Statistics
from crystalcli.engine.model import model_file
from crystalcli.engine.model.ensemble import Ensemble
from crystalcli.engine.model.model import CrystalModel
from crystalcli.engine.model.model_spec import ModelSpec, PartChoice
from crystalcli.engine.potential.model_potential import ModelSurface
from crystalcli.engine.potential.potentials import named
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.nouns.structures.site_fields import of_atoms
from crystalcli.nouns.systems import Systems
from crystalcli.vocabulary.errors import InputError, NothingUsable, UsageError


@pytest.fixture(scope="module", autouse=True)
def plugin() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CRYSTAL_PLUGINS", str(toy_slabs.PLUGIN))
        registry.cache_clear()
        yield
    registry.cache_clear()


def model(strength: float = 2.0, head: str = "tethers") -> CrystalModel:
    torch.manual_seed(0)
    statistics = Statistics(elements=(1, 8, 28, 29, 47), target_scale={"relaxed_positions": 0.1})
    options = {"strength": strength} if head == "tethers" else {}
    spec = ModelSpec(
        graph=PartChoice("radius", {"cutoff": 4.0}),
        embedding=PartChoice("radius"),
        architecture=PartChoice("held"),
        head=PartChoice(head, options),
        targets=(toy_parts.PLACE,),
        statistics=statistics,
    )
    return CrystalModel(spec).double().eval()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("springs") / "springs.safetensors"
    model_file.save(path, model(), {})
    return path


def molecules() -> list[ase.Atoms]:
    """A chain whose ends see each other, a triangle with one atom held, a pair across the border of its cell."""
    chain = ase.Atoms("OHO", [[0, 0, 0], [1.0, 0.2, 0], [1.9, 0.0, 0.4]], info={"id": "chain"})
    triangle = ase.Atoms("CuHO", [[0, 0, 0], [1.2, 0, 0.3], [0.4, 1.4, 0]], info={"id": "triangle"})
    triangle.set_constraint(FixAtoms([0]))
    pair = ase.Atoms("NiO", [[0.2, 3, 3], [8.6, 3.1, 3]], cell=[9, 9, 9], pbc=True, info={"id": "pair"})
    return [chain, triangle, pair]


def rest(a: int, b: int) -> float:
    return 1.0 + 0.01 * (a + b)


def lengths(atoms: ase.Atoms) -> list[float]:
    z, d = atoms.numbers, atoms.get_all_distances(mic=any(atoms.pbc))
    pairs = [(i, j) for i in range(len(atoms)) for j in range(i)]
    return [float(d[i, j] - rest(z[i], z[j])) for i, j in pairs]


@pytest.mark.parametrize("relaxer", ["fire", "bfgs", "lbfgs"])
def test_every_relaxer_finds_the_minimum_that_is_the_prediction(saved, tmp_path, relaxer):
    source = toy_slabs.write(tmp_path / "in.extxyz", molecules())
    said: list[str] = []
    host = Host(say=said.append)
    report = asked.relax([source], saved, tmp_path / "run", host, relaxer=relaxer, fmax=1e-4, batch_size=2)
    assert report.data["converged"] == 3, report.data["rows"]
    assert any("its energies and forces are none of the crystals" in line for line in said)
    relaxed = ase.io.read(tmp_path / "run" / "relaxed.extxyz", ":")
    predicted = load_model(saved).predict(molecules())
    for atoms, given, found in zip(relaxed, molecules(), predicted, strict=True):
        assert np.abs(lengths(atoms)).max() < 2e-3
        there = found["relaxed_positions"].structure
        np.testing.assert_allclose(
            atoms.get_all_distances(mic=any(atoms.pbc)), there.get_all_distances(mic=any(atoms.pbc)), atol=4e-3
        )
        for constraint in given.constraints:
            assert np.array_equal(atoms.positions[constraint.index], given.positions[constraint.index])
        assert atoms.calc is None
        assert atoms.info["surface_energy"] == pytest.approx(0.0, abs=1e-6)


def test_the_surface_stays_where_it_was_asked_for():
    atoms = molecules()[0]
    systems = Systems.of([atoms], fields=[of_atoms(atoms, ("fixed", "tags"))])
    surface = frozen(ModelSurface(model(), "springs"), systems)
    far = systems.moved(positions=systems.positions * 4.0)  # beyond the cutoff: the springs are there all the same
    found = surface.evaluate(far)
    d = 4.0 * atoms.get_all_distances()
    z = atoms.numbers
    expected = sum((d[i, j] - rest(z[i], z[j])) ** 2 for i in range(3) for j in range(i))
    assert float(found.energy[0]) == pytest.approx(expected)


def slabs() -> Systems:
    some = toy_slabs.slabs(3)
    for atoms in some:
        atoms.pbc = True
        atoms.set_constraint()
    return Systems.of(some, fields=[of_atoms(a, ("fixed", "tags")) for a in some])


def test_forces_and_stress_are_derivatives():
    systems = slabs()
    surface = frozen(ModelSurface(model(), "springs"), systems)
    found = surface.evaluate(systems, stress=True)
    generator = torch.Generator().manual_seed(1)
    way = torch.randn(systems.positions.shape, generator=generator, dtype=torch.float64)
    h = 1e-4
    up, down = (surface.evaluate(systems.moved(positions=systems.positions + s * way)).energy for s in (h, -h))
    pull = torch.zeros(3, dtype=torch.float64).index_add(0, systems.structure_index, (found.forces * way).sum(1))
    torch.testing.assert_close(-(up - down) / (2 * h), pull, rtol=1e-6, atol=1e-6)
    strain = torch.tensor([[0.3, 0.1, 0.0], [0.1, -0.2, 0.4], [0.0, 0.4, 0.5]], dtype=torch.float64)

    def strained(e: float) -> torch.Tensor:
        f = torch.eye(3, dtype=torch.float64) + e * strain
        return surface.evaluate(systems.moved(positions=systems.positions @ f, cell=systems.cell @ f)).energy

    work = (strained(h) - strained(-h)) / (2 * h)
    volume = torch.linalg.det(systems.cell).abs()
    torch.testing.assert_close((found.stress * strain).sum((1, 2)) * volume, work, rtol=1e-6, atol=1e-6)


def test_some_structures_of_the_batch_and_no_others():
    systems = slabs()
    surface = frozen(ModelSurface(model(), "springs"), systems)
    moved = systems.moved(positions=systems.positions + 0.1 * torch.sin(torch.arange(systems.n_atoms))[:, None])
    whole = surface.evaluate(moved, stress=True)
    for which in ([2], [0, 2], [1]):
        part = surface.evaluate(moved.take(torch.tensor(which)), stress=True)
        atoms = torch.isin(systems.structure_index, torch.tensor(which))
        torch.testing.assert_close(part.energy, whole.energy[which])
        torch.testing.assert_close(part.forces, whole.forces[atoms])
        torch.testing.assert_close(part.stress, whole.stress[which])
    again = frozen(ModelSurface(model(), "springs"), moved.take(torch.tensor([1, 2])))
    assert again.evaluate(moved.take(torch.tensor([2]))).forces.shape == (int(systems.atom_counts[2]), 3)
    with pytest.raises(InputError, match="surface of other structures"):
        again.evaluate(moved.take(torch.tensor([0])))
    other = Systems.of(toy_slabs.slabs(4)[3:])
    with pytest.raises(InputError, match="surface of other structures"):
        surface.evaluate(other)


def test_an_ensemble_offers_the_mean():
    systems = slabs()
    both = Ensemble([model(1.0), model(3.0)], {})
    found = frozen(ModelSurface(both, "two"), systems).evaluate(systems)
    one, three = (frozen(ModelSurface(model(s), "one"), systems).evaluate(systems) for s in (1.0, 3.0))
    torch.testing.assert_close(found.energy, (one.energy + three.energy) / 2)
    torch.testing.assert_close(found.forces, (one.forces + three.forces) / 2)


def test_nothing_else_takes_a_surface(saved, tmp_path):
    source = toy_slabs.write(tmp_path / "in.extxyz", molecules())
    with pytest.raises(UsageError, match=r"offers a surface.*crystal relax --potential minimises it"):
        named(str(saved))
    with pytest.raises(UsageError, match="offers a surface"):
        load_potential(str(saved))
    with pytest.raises(UsageError, match="offers a surface"):
        asked.md([source], saved, tmp_path / "md", sampler="nve", steps=5)
    assert not (tmp_path / "md").exists()
    model_file.save(tmp_path / "mover.safetensors", model(head="mover"), {})
    with pytest.raises(UsageError, match="head 'mover' gives no energy"):
        named(str(tmp_path / "mover.safetensors"), surfaces=True)
    with pytest.raises(UsageError, match="head 'mover' offers no surface"):
        model(head="mover").surface(None)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="ask it once"):
        ModelSurface(model(), "springs").evaluate(slabs())


def test_a_structure_that_it_does_not_know_costs_itself_only(saved, tmp_path):
    unknown = ase.Atoms("AuO", [[0, 0, 0], [0, 0, 1.8]], info={"id": "gold"})
    source = toy_slabs.write(tmp_path / "in.extxyz", [molecules()[0], unknown, molecules()[2]])
    rows = asked.relax([source], saved, tmp_path / "run", fmax=1e-3).data["rows"]
    assert [r["converged"] for r in rows] == [True, False, True]
    assert rows[1]["reason"] == "element"
    only = toy_slabs.write(tmp_path / "gold.extxyz", [unknown])
    with pytest.raises(NothingUsable):
        asked.relax([only], saved, tmp_path / "none")


def test_cells_follow_its_stress(saved, tmp_path):
    atoms = ase.build.bulk("NiO", "rocksalt", a=2.6, cubic=True)
    atoms.rattle(0.02, seed=1)
    source = toy_slabs.write(tmp_path / "in.extxyz", [atoms])
    (row,) = asked.relax([source], saved, tmp_path / "run", cell="isotropic", steps=4).data["rows"]
    assert row["reason"] == "steps"
    assert 0.5 < row["volume"] / row["volume_start"] < 0.99  # its springs pull
    assert row["energy"] < row["energy_start"]
