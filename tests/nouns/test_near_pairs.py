"""Pairs that come too near, against all images of all pairs, while atoms wander and cells shear, swell and turn."""

import itertools

import ase
import numpy as np
import pytest
import torch

from crystalcli.nouns.near_pairs import NEAREST, NearPairs
from crystalcli.nouns.systems import Systems


def nearest(atoms: ase.Atoms, radii: np.ndarray) -> tuple[float, tuple[int, int], float]:
    """Smallest distance beyond the limit, its atoms and their distance, over three images each way where periodic."""
    spans = [range(-3, 4) if p else (0,) for p in atoms.pbc]
    best = (np.inf, (-1, -1), np.inf)
    for shift in itertools.product(*spans):
        apart = atoms.positions[None] + np.array(shift) @ atoms.cell.array - atoms.positions[:, None]
        distance = np.sqrt((apart**2).sum(2))
        if not any(shift):
            np.fill_diagonal(distance, np.inf)
        gap = distance - np.maximum(radii[:, None] + radii[None], NEAREST)
        i, j = np.unravel_index(gap.argmin(), gap.shape)
        if gap[i, j] < best[0] - 1e-12:
            best = float(gap[i, j]), (min(i, j), max(i, j)), float(distance[i, j])
    return best


def crowd(seed: int) -> list[ase.Atoms]:
    """A skew crystal, a cell smaller than the reach, a slab, and a molecule without a cell."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(2)] * 3, indexing="ij"), -1).reshape(-1, 3) / 2
    skew = ase.Atoms("Cu8", cell=[(5.6, 0, 0), (1.1, 5.2, 0), (0.4, -0.7, 5.4)], pbc=True)
    skew.set_scaled_positions(grid + rng.normal(0, 0.01, (8, 3)))
    small = ase.Atoms("AlNi", cell=[(2.6, 0, 0), (0.3, 2.7, 0), (0, 0.2, 2.9)], pbc=True)
    small.set_scaled_positions([(0, 0, 0), (0.5, 0.5, 0.45)])
    slab = ase.Atoms("Cu8", cell=[(5.4, 0, 0), (0.5, 5.0, 0), (0, 0, 20)], pbc=(True, True, False))
    slab.positions = grid @ [(5.4, 0, 0), (0.5, 5.0, 0), (0, 0, 5.1)]
    molecule = ase.Atoms("OHH", [(0, 0, 0), (0.96, 0, 0), (-0.24, 0.93, 0)])
    return [skew, small, slab, molecule]


@pytest.mark.parametrize("part", [0.0, 0.6])
def test_the_nearest_pair_is_that_of_all_images(part: float) -> None:
    structures = crowd(0)
    systems = Systems.of(structures)
    radii = torch.as_tensor(np.where(systems.atomic_numbers.numpy() == 1, 0.3, 1.25) * part)
    alive = torch.tensor([True] * 4)
    watched, rng = NearPairs(systems, radii), np.random.default_rng(1)
    begun, seen, searched, glances = systems, 0, 0, 0
    for step in range(150):
        kick = torch.as_tensor(rng.normal(0, 0.12 if step < 120 else 0.01, systems.positions.shape))
        home = 0.02 * (begun.positions - systems.positions)
        strain = torch.as_tensor(np.eye(3) + rng.normal(0, 0.01, (4, 3, 3)))
        solid = systems.pbc.all(1)[:, None, None]
        strain = torch.where(solid, strain, torch.eye(3, dtype=torch.float64))
        cell = systems.cell
        if step % 3 == 0:
            cell = cell @ strain
            cell = torch.where(((cell.det() / begun.cell.det()) > 0.7)[:, None, None] | ~solid, cell, begun.cell)
        systems = systems.moved(positions=systems.positions + kick + home, cell=cell)
        lists, glance = list(watched.found), watched.far(systems)
        found = watched.nearer(systems, alive)
        searched += sum(a is not b for a, b in zip(lists, watched.found, strict=True))
        wanted = {}
        for k, atoms in enumerate(systems.to_atoms()):
            gap, pair, distance = nearest(atoms, radii[systems.structure_index == k].numpy())
            if gap < 0:
                wanted[k] = pair, distance
        assert found.keys() == wanted.keys()
        for k, (i, j, distance) in found.items():
            assert ((i, j), distance) == (wanted[k][0], pytest.approx(wanted[k][1], abs=1e-10))
        assert not (glance and wanted)
        seen, glances = seen + len(wanted), glances + glance
    assert seen > 1
    assert 0 < searched < 4 * 150 / 3  # most are answered from the list
    assert part or glances > 3


def test_what_is_stopped_is_not_asked() -> None:
    systems = Systems.of(crowd(0))
    watched = NearPairs(systems, torch.zeros(systems.n_atoms, dtype=torch.float64))
    places = systems.positions.clone()
    places[1], places[9] = places[0] + 0.1, torch.nan
    moved = systems.moved(positions=places)
    assert set(watched.nearer(moved, torch.tensor([True, False, True, True]))) == {0}
    assert watched.nearer(moved, torch.tensor([False, False, True, True])) == {}
    assert not watched.far(moved)


def test_a_cell_that_shrinks_brings_its_own_images_near() -> None:
    """Nothing moves but with the cell, and the pair was in no list."""
    systems = Systems.of([ase.Atoms("Cu", cell=[3.0, 4.0, 5.0], pbc=True)])
    watched, alive = NearPairs(systems, torch.zeros(1, dtype=torch.float64)), torch.tensor([True])
    for factor, found in ((0.18, {}), (0.15, {0: (0, 0, pytest.approx(0.45))})):
        assert watched.nearer(systems.moved(cell=systems.cell * factor), alive) == found
