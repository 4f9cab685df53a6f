"""Energies of elements in a potential: isolated atoms pin them, least squares finds the others."""

import json
from pathlib import Path

import ase
import numpy as np
import pytest
from ase.build import bulk
from common import small_cache
from common.some_trainings import asked

from crystalcli.contracts.host import Host, Reporter
from crystalcli.contracts.records import Statistics
from crystalcli.engine.cache.cache import Column
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.data.normalisers import isolated_atoms, with_references, with_shortest
from crystalcli.engine.data.splits import made as parted
from crystalcli.train import setup
from crystalcli.train.labels import check_values
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity

ENERGY = Quantity("energy", "eV", extensive=True)
TRUE = {"Cu": -3.0, "Au": -5.0, "Al": -1.5}


def atom(symbol: str) -> ase.Atoms:
    return ase.Atoms(symbol, cell=[30, 31, 32], pbc=True)


def dataset(path: Path, atoms: list[ase.Atoms], energies: list[float]) -> Path:
    columns = [Column(ENERGY, np.array(energies), np.ones(len(atoms), dtype=bool))]
    return small_cache.write(path, structures=atoms, columns=columns)


def alloys() -> tuple[list[ase.Atoms], list[float]]:
    """Crystals of three elements, bound by 1 eV an atom."""
    rng = np.random.default_rng(2)
    made = []
    for _ in range(30):
        crystal = bulk("Cu", cubic=True)
        crystal.symbols[:] = rng.choice(list(TRUE), 4)
        crystal.rattle(0.05, rng=rng)
        made.append(crystal)
    return made, [sum(TRUE[s] for s in a.symbols) - len(a) for a in made]


@pytest.mark.parametrize("pinned", [["Cu"], ["Cu", "Al"], ["Al", "Au", "Cu"], []])
def test_isolated_atoms_pin_and_the_rest_is_fitted(tmp_path: Path, pinned: list[str]) -> None:
    atoms, energies = alloys()
    atoms += [atom(s) for s in pinned] + [atom(s) for s in pinned[:1]]
    energies += [TRUE[s] for s in pinned] + [TRUE[s] + 2.0 for s in pinned[:1]]  # an excited one
    data = GraphDataset.open([dataset(tmp_path / "g.h5", atoms, energies)])
    every = np.arange(len(data))
    found = isolated_atoms(data, every)
    assert found == {ase.Atom(s).number: TRUE[s] for s in pinned}
    elements = tuple(data.elements())
    given = Statistics(elements=elements, target_mean={"energy": 0.0}, target_scale={"energy": 1.0})
    made = with_references(given, data, every)
    of = dict(zip(elements, made.references, strict=True))
    for symbol, energy in TRUE.items():
        z = ase.Atom(symbol).number
        assert of[z] == (energy if symbol in pinned else pytest.approx(energy - (not pinned)))
    assert made.target_mean["energy"] == pytest.approx(-1.0 if pinned else 0.0)
    assert made.target_scale["energy"] == 1.0  # nothing is left: not a scale of rounding errors


def test_heads_of_energies_are_told_where_edges_end(tmp_path: Path) -> None:
    options = small_cache.OPTIONS | {"cutoff": 4.0}
    path = small_cache.write(tmp_path / "g.h5", structures=alloys()[0][:3], options=options)
    data = GraphDataset.open([path])
    assert with_shortest(Statistics(), data, np.arange(3)).cutoff == 4.0


def test_every_structure_counts_per_atom(tmp_path: Path) -> None:
    """Cells of 1, 4 and 32 atoms with energies that no references fit: least squares on shares, per atom."""
    rng = np.random.default_rng(3)
    atoms, energies = [], []
    for k in range(24):
        crystal = bulk("Cu", cubic=k % 3 > 0).repeat(2 if k % 3 == 2 else 1)
        crystal.symbols[:] = rng.choice(list(TRUE), len(crystal), p=[0.6, 0.3, 0.1])
        crystal.rattle(0.02, rng=rng)
        atoms.append(crystal)
        energies.append(sum(TRUE[s] for s in crystal.symbols) + len(crystal) * rng.normal(-1.0, 0.3))
    data = GraphDataset.open([dataset(tmp_path / "g.h5", atoms, energies)])
    train = np.arange(18)
    elements = tuple(data.elements(train))
    shares = np.array([[(a.numbers == z).mean() for z in elements] for a in atoms])
    sizes = np.array([len(a) for a in atoms])
    wanted = np.linalg.lstsq(shares[train], (energies / sizes)[train], rcond=None)[0]
    given = Statistics(elements=elements, target_mean={"energy": 7.0}, target_scale={"energy": 7.0})
    made = with_references(given, data, train)
    left = (energies / sizes - shares @ wanted)[train]
    assert made.references == pytest.approx(tuple(wanted))
    assert made.target_mean["energy"] == pytest.approx(left.mean())
    assert made.target_scale["energy"] == pytest.approx(left.std())


@pytest.mark.parametrize("seed", range(4))
def test_isolated_atoms_are_there_to_learn_from(tmp_path: Path, seed: int) -> None:
    atoms, energies = alloys()
    cache = dataset(tmp_path / "g.h5", [*atoms, atom("Au"), atom("Cu")], [*energies, -5.0, -3.0])
    for split in ({}, {"split": "random"}, {"split": "stratified", "folds": 3, "fold": 1}):
        said: list[str] = []
        plan = asked(
            arch="lcgcn",
            head="energy",
            output=str(tmp_path / "run"),
            caches=(str(cache),),
            seed=seed,
            **split,
        )
        prepared = setup.prepare(plan, Host(said.append))
        assert {30, 31} <= set(prepared.split.train.tolist())
        assert any("2 isolated atoms in training" in line for line in said)
        assert any("energies of Cu, Au in the references" in line for line in said)


@pytest.mark.parametrize(
    ("known", "warned", "refused"),
    [
        (range(30), 0, ""),
        ([24, 28], 1, ""),  # validation and test only: other theories measured by them, as energies teach the forces
        ([], 1, ""),
        ([24, 28], 0, "no structure of the training part has a label 'moment'"),  # of what nothing is the derivative
    ],
)
def test_a_training_part_without_a_target_is_told_of(
    tmp_path: Path, known: list[int], warned: int, refused: str
) -> None:
    atoms, energies = alloys()
    name = "moment" if refused else "forces"
    mask = np.isin(np.arange(30), known).repeat(4)
    forces = np.where(mask[:, None], np.random.default_rng(0).normal(size=(120, 3)), np.nan)
    vectors = Column(Quantity(name, "eV/Å", "site", shape=(3,)), forces, mask)
    columns = [Column(ENERGY, np.array(energies), np.ones(30, dtype=bool)), vectors]
    cache = small_cache.write(tmp_path / "g.h5", structures=atoms, columns=columns)
    data = GraphDataset.open([cache])
    parts = parted(np.arange(20), np.arange(20, 26), np.arange(26, 30), "")
    heard: list[str] = []
    if refused:
        with pytest.raises(UsageError, match=refused):
            check_values(data, vectors.quantity, parts, data.ids, Reporter(warn=heard.append))
        return
    (tmp_path / "s.json").write_text(json.dumps({n: [data.ids[i] for i in p] for n, p in parts.parts().items()}))
    wish = asked(arch="lcgcn", head="energy", output=tmp_path / "r", caches=(cache,), split_file=tmp_path / "s.json")
    prepared = setup.prepare(wish, Host(warn=heard.append))
    assert prepared.names == ["energy", "forces"]
    assert sum("no structure of the training part has a label 'forces': only other" in h for h in heard) == warned
