"""The mean displacement along the normal: by hand, fallback by fallback, and what it leaves alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import ase
import numpy as np
import pytest
from common.some_datasets import dataset

from crystalcli.engine.baselines import position_baselines
from crystalcli.engine.baselines.position_baselines import Atoms
from crystalcli.vocabulary.errors import UsageError

UP = np.array([0.0, -0.6, 0.8])
"""A normal that is no axis."""


def atoms(*structures: list[tuple[str, float, int, bool]]) -> Atoms:
    """Structures of (symbol, height, tag, free)."""
    every = [atom for one in structures for atom in one]
    heights = np.array([h for _, h, _, _ in every])
    return Atoms(
        counts=np.array([len(one) for one in structures]),
        numbers=np.array([ase.Atom(s).number for s, *_ in every]),
        start=np.outer(heights, UP) + np.outer(np.arange(len(every)), [1.0, 0.8, 0.6]),  # and anywhere in the plane
        free=np.array([f for *_, f in every]),
        tags=np.array([t for _, _, t, _ in every], dtype=float),
        normal=np.tile(UP, (len(structures), 1)),
        height=heights,
        surface=np.ones(len(structures), dtype=bool),
    )


SLAB = [
    ("Cu", 0.0, 0, False),
    ("Cu", 2.1, 0, True),
    ("Ag", 2.9, 0, True),  # less than 1 Å above: the same level
    ("Cu", 4.2, 1, True),
    ("O", 5.5, 2, True),
]


def test_layers_are_levels_of_free_atoms_from_the_top():
    rumpled = [("Cu", z, 1, True) for z in (0.0, 0.9, 1.8, 2.7, 3.8, 4.8)]  # steps of 0.9 are one level, 1.1 are two
    found = position_baselines.layers(atoms(SLAB, rumpled, SLAB[::-1], [("Cu", 1.0, 0, False)]))
    assert found.tolist() == [0, 2, 2, 1, 0, 1, 1, 1, 1, 0, 0, 0, 1, 2, 2, 0, 0]


def test_a_held_atom_on_top_is_no_level():
    found = position_baselines.layers(atoms([("Cu", 0.0, 1, True), ("Cu", 3.0, 1, False), ("Cu", 1.5, 1, True)]))
    assert found.tolist() == [1, 0, 0]


def test_by_hand():
    train = atoms(SLAB, SLAB)
    along = np.array([9.0, 0.1, 0.2, 0.3, -0.4, 9.0, 0.2, 0.2, 0.5, -0.8])
    aside = np.outer(np.arange(10), [1.0, 0.8, 0.6])  # in the plane: does not count
    known = train.free & (np.arange(10) != 7)
    found = position_baselines.mean_displacements(train, np.outer(along, UP) + aside, known, atoms(SLAB))
    np.testing.assert_allclose(found @ UP, [0.0, 0.15, 0.2, 0.4, -0.6], atol=1e-12)
    np.testing.assert_allclose(found, np.outer(found @ UP, UP), atol=1e-12)


def test_layers_of_one_element_and_tag_are_told_apart():
    train = atoms([("Cu", 0.0, 1, True), ("Cu", 2.0, 1, True)], [("Cu", 0.0, 1, True)])
    found = position_baselines.mean_displacements(train, np.outer([0.3, -0.1, -0.2], UP), train.free, train)
    np.testing.assert_allclose(found @ UP, [0.3, -0.15, -0.15], atol=1e-12)


def test_fallbacks_from_fine_to_coarse():
    train = atoms(SLAB)
    moved = np.outer([0.0, 0.1, 0.2, 0.3, -0.4], UP)
    asked = [
        ("Cu", 0.0, 0, True),  # the fourth level, which training has not: copper of tag 0
        ("Pt", 1.5, 0, True),  # no such element: tag 0
        ("Cu", 3.0, 7, True),  # no such tag: everything
        ("O", 6.0, 2, False),  # held
        ("Cu", 4.5, 1, True),  # the top one, not the second; copper of tag 1
    ]
    found = position_baselines.mean_displacements(train, moved, train.free, atoms(asked))
    np.testing.assert_allclose(found @ UP, [0.1, 0.15, 0.05, 0.0, 0.3], atol=1e-12)


def test_element_and_tag_do_not_stand_for_one_another():
    """Al of tag 1 and Mg of tag 2 are other atoms, whatever sums they have."""
    train = atoms([("Al", 0.0, 1, True)], [("Mg", 0.0, 2, True)])
    found = position_baselines.mean_displacements(train, np.outer([0.2, -0.2], UP), train.free, train)
    np.testing.assert_allclose(found @ UP, [0.2, -0.2])


def test_nothing_known_is_no_move_and_no_tags_are_one_tag():
    train = atoms(SLAB)
    moved = np.outer([0.0, 0.1, 0.2, 0.3, -0.4], UP)
    nothing = position_baselines.mean_displacements(train, moved, np.zeros(5, dtype=bool), train)
    assert not nothing.any()
    bare = replace(train, tags=None)
    pt = replace(bare, numbers=np.full(5, 78))
    np.testing.assert_allclose(
        position_baselines.mean_displacements(bare, moved, train.free, pt) @ UP, [0.0, *[0.05] * 4], atol=1e-12
    )


def test_bulk_is_refused_and_stays():
    train = atoms(SLAB, SLAB, SLAB)
    moved = np.outer([0.0, 0.1, 0.2, 0.3, -0.4] * 3, UP)
    mixed = replace(train, surface=np.array([True, False, False]))
    with pytest.raises(UsageError, match=r"for surfaces only, .* 2 of 3 training structures are not"):
        position_baselines.mean_displacements(mixed, moved, train.free, train)
    found = position_baselines.mean_displacements(train, moved, train.free, mixed)
    assert found[:5].any()
    assert not found[5:].any()


def test_atoms_of_a_data_set(tmp_path: Path):
    """Normals point to the side of the third axis, in left-handed cells too; fields that are not there."""
    cells = [
        [[3, 0, 0], [1, 3, 0], [0.5, 0.2, 9]],
        [[1, 3, 0], [3, 0, 0], [0.5, 0.2, 6.5]],
        [[3, 0, 0], [0, 0.0, 4], [0, 9, 1]],
    ]
    made = [ase.Atoms("CuO", [[0, 0, 1], [0, 1, 2]], cell=c, pbc=(True, True, k == 1)) for k, c in enumerate(cells)]
    data = dataset(tmp_path, made, {"e": np.zeros(3)})
    found = position_baselines.atoms_of(data, np.array([2, 0, 1]))
    np.testing.assert_allclose(found.normal, [[0, 1, 0], [0, 0, 1], [0, 0, 1]], atol=1e-12)
    assert found.surface.tolist() == [True, True, False]
    assert found.free.all()
    assert found.tags is None
    assert found.numbers.tolist() == [29, 8] * 3
    assert found.owner.tolist() == [0, 0, 1, 1, 2, 2]


def test_a_slab_that_is_periodic_along_its_vacuum_is_a_slab_wherever_its_cell_is_cut(tmp_path: Path):
    cell = [[3, 0, 0], [0.4, 3, 0], [0.5, 0.2, 12]]
    heights = np.array([0.0, 2.0, 4.0, 5.5])

    def cut(at: float) -> ase.Atoms:
        found = ase.Atoms("Cu3O", [[0.1 * k, 0.2, h + at] for k, h in enumerate(heights)], cell=cell, pbc=True)
        found.wrap()
        return found

    bulk = ase.Atoms("Cu3O", [[0, 0, h] for h in (0.0, 2.0, 4.0, 6.5)], cell=cell, pbc=True)
    wire = cut(0.3)
    wire.pbc = (True, False, True)
    data = dataset(tmp_path, [cut(0.3), cut(9.0), bulk, wire], {"e": np.zeros(4)})
    found = position_baselines.atoms_of(data, np.arange(4))
    assert found.surface.tolist() == [True, True, False, False]
    for k in (0, 1):
        np.testing.assert_allclose(found.height[4 * k : 4 * k + 4], heights, atol=1e-6)
    assert position_baselines.layers(found)[:8].tolist() == [3, 2, 1, 0] * 2
