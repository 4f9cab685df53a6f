"""What is made: lattices, orders, layers, adsorbates; and that it depends on the seed and the number alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import ase
import ase.build
import numpy as np
import pytest
from ase.data import atomic_numbers, covalent_radii, reference_states
from ase.neighborlist import neighbor_list
from crystal_slabs import facets, making, options, sites
from crystal_slabs.making import ADSORBATE, FREE, HELD, Maker
from crystal_slabs.options import SlabsOptions

from crystalcli.vocabulary.errors import UsageError

PLAIN = SlabsOptions(elements="Pt", kinds="pure", strain=0.0, rattle=0.0, vacuum=10.0, tilt=0.0)
METALS = {"fcc": "Pt", "bcc": "W", "hcp": "Ru"}
# neighbors of an atom of the uppermost plane at the nearest distance
COORDINATION = {"fcc111": 9, "fcc100": 8, "fcc110": 7, "fcc211": 7, "bcc110": 6, "bcc100": 4, "hcp0001": 9}


def maker(**more: Any) -> Maker:
    return Maker(replace(PLAIN, **more))


@pytest.mark.parametrize("name", facets.FACETS)
def test_facets_are_those_of_ase(name: str) -> None:
    metal = METALS[name[:3]]
    state = reference_states[atomic_numbers[metal]]
    made = maker(elements=metal, facets=name, layers="4", repeat="3").make(5).atoms
    size = (9, 3, 4) if name == "fcc211" else (3, 3, 4)
    more = {"c": state["a"] * state["c/a"]} if name == "hcp0001" else {}
    ours = np.sort(made.get_all_distances(mic=True), axis=None)
    theirs = getattr(ase.build, name)(metal, size, a=state["a"], vacuum=5.0, **more)
    np.testing.assert_allclose(ours, np.sort(theirs.get_all_distances(mic=True), axis=None), atol=1e-6)
    np.testing.assert_allclose(made.cell.array, theirs.cell.array, atol=1e-9)
    nearest = ours[ours > 0.1].min() * (1.05 if metal == "Ru" else 1.01)
    counts = np.bincount(neighbor_list("i", made, nearest), minlength=len(made))
    top = made.positions[:, 2] > made.positions[:, 2].max() - 0.1
    assert set(counts[top]) == {COORDINATION[name]}
    assert made.pbc.tolist() == [True, True, False]
    assert len(np.unique(made.positions[:, 2].round(3))) == 4 * facets.FACETS[name].planes


@pytest.mark.parametrize("name", [f for f in facets.FACETS if f.startswith("fcc")])
@pytest.mark.parametrize(("order", "axis"), [("L1_0", 0), ("L1_0", 2), ("L1_2", 1)])
def test_ordered_alloys_have_the_neighbors_of_their_order(name: str, order: str, axis: int) -> None:
    slab = facets.ideal(name, (2, 4), 6)
    assert slab.cubic is not None
    second = facets.ordered(slab.cubic, order, axis, np.array([1, 0, 1]))
    cell = np.vstack([slab.cell, [0, 0, 90]])
    atoms = ase.Atoms(["Cu" if s else "Au" for s in second], slab.positions, cell=cell, pbc=(True, True, False))
    i, j = neighbor_list("ij", atoms, 0.72 * facets.A)
    inner = np.bincount(i) == 12
    unlike = np.bincount(i, second[i] != second[j])
    assert inner.sum() > 10
    expected = {"L1_0": {(True, 8), (False, 8)}, "L1_2": {(True, 12), (False, 4)}}[order]
    if order == "L1_0":
        assert len(set(zip(slab.cubic[:, axis] % 2, second, strict=True))) == 2
    assert set(zip(second[inner].tolist(), unlike[inner].astype(int).tolist(), strict=True)) == expected


def test_alloys_have_the_mean_of_the_lattice_constants() -> None:
    options = {"elements": "Cu,Au", "facets": "fcc100", "repeat": "2", "layers": "3"}
    made = [maker(**options, kinds=kinds).make(k).atoms for kinds in ("ordered", "random") for k in range(6)]
    for atoms in made:
        a = np.mean([reference_states[z]["a"] for z in atoms.numbers])
        assert atoms.cell.lengths()[0] == pytest.approx(2 * a / np.sqrt(2), abs=1e-9)
    assert len({round(float(a.cell.lengths()[0]), 6) for a in made}) > 4


@pytest.mark.parametrize(("layers", "free", "held_layers"), [(2, 2, 1), (3, 2, 1), (5, 2, 3), (4, 1, 3), (3, 9, 1)])
@pytest.mark.parametrize("facet", ["fcc110", "fcc211"])
def test_the_lower_layers_are_held_and_tagged(facet: str, layers: int, free: int, held_layers: int) -> None:
    options = {"facets": facet, "layers": str(layers), "free_layers": free, "adsorbates": "CO"}
    made = maker(**options, rattle=0.1, strain=0.03).make(2).atoms
    still = maker(**options, rattle=0.0, strain=0.03).make(2).atoms
    tags = made.get_tags()
    slab = len(made) - 2
    assert list(tags[slab:]) == [ADSORBATE, ADSORBATE]
    assert (tags == HELD).sum() == slab * held_layers // layers
    assert (tags == FREE).sum() == slab - slab * held_layers // layers
    assert made.constraints[0].index.tolist() == np.flatnonzero(tags == HELD).tolist()
    assert still.positions[tags == HELD, 2].max() < still.positions[tags == FREE, 2].min()
    moved = np.abs(made.positions - still.positions).max(axis=1)
    assert (moved[tags == HELD] == 0).all()
    assert (moved[tags != HELD] > 0).all()


def test_strain_is_of_each_axis_and_bounded() -> None:
    lengths = np.array(
        [
            maker(facets="fcc100", layers="2", repeat="2", strain=0.04).make(k).atoms.cell.lengths()[:2]
            for k in range(40)
        ]
    )
    ratio = lengths / (2 * reference_states[78]["a"] / np.sqrt(2)) - 1
    assert 0.03 < np.abs(ratio).max() < 0.04
    assert abs(np.corrcoef(ratio.T)[0, 1]) < 0.4


@pytest.mark.parametrize(
    ("facet", "site", "touching"),
    [
        ("fcc111", "top", 1),
        ("fcc111", "bridge", 2),
        ("fcc111", "hollow", 3),
        ("fcc100", "hollow", 4),
        ("fcc100", "bridge", 2),
    ],
)
def test_an_adsorbate_touches_as_many_atoms_as_its_site_has(facet: str, site: str, touching: int) -> None:
    seen = set()
    for k in range(8):
        atoms = maker(elements="Ni", facets=facet, adsorbates="O", sites=site, layers="3").make(k).atoms
        d = atoms.get_distances(-1, range(len(atoms) - 1), mic=True)
        touch = covalent_radii[28] + covalent_radii[8]
        assert d.min() == pytest.approx(touch, abs=1e-3)
        assert (d < touch + 2e-3).sum() == touching
        assert atoms.positions[-1, 2] > atoms.positions[:-1, 2].max() + sites.LOWEST - 1e-9
        seen.add(tuple(atoms.positions[-1, :2].round(2)))
    assert len(seen) > 2


@pytest.mark.parametrize(("facet", "kinds"), [("fcc111", (4, 12, 8)), ("fcc100", (4, 8, 4)), ("fcc110", (4, 8, 4))])
def test_a_surface_has_so_many_sites(facet: str, kinds: tuple[int, int, int]) -> None:
    """Of 2 x 2 atoms: fcc and hcp hollows and three bridges an atom; of squares one hollow, two bridges."""
    slab = facets.ideal(facet, (2, 2), 3)
    noise = np.random.default_rng(1).normal(0, 1e-5, slab.positions.shape)  # a square has no edge across, noisy or not
    found = sites.places((slab.positions + noise)[slab.layer == 2][:, :2], slab.cell[:, :2])
    assert tuple(len(found[k]) for k in ("top", "bridge", "hollow")) == kinds


@pytest.mark.parametrize("facet", facets.FACETS)
def test_nothing_lies_closer_than_it_may(facet: str) -> None:
    for k in range(12):
        metal = METALS[facet[:3]]
        atoms = maker(elements=metal, facets=facet, adsorbates="H,CO,O", tilt=30.0, layers="2-4").make(k).atoms
        guest = np.flatnonzero(atoms.get_tags() == ADSORBATE)
        d = atoms.get_distances(guest[0], np.flatnonzero(atoms.get_tags() != ADSORBATE), mic=True)
        assert d.min() > covalent_radii[atoms.numbers[0]] + covalent_radii[atoms.numbers[guest[0]]] - 1e-6
        if len(guest) == 2:
            axis = atoms.positions[guest[1]] - atoms.positions[guest[0]]
            assert np.linalg.norm(axis) == pytest.approx(1.15)
            assert axis[2] > 1.15 * np.cos(np.deg2rad(30.0)) - 1e-9
        assert atoms.positions[:, 2].min() == pytest.approx(5.0)
        assert atoms.cell[2, 2] - atoms.positions[:, 2].max() == pytest.approx(5.0)


def test_a_structure_depends_on_seed_and_number_alone() -> None:
    options = SlabsOptions(elements="Cu,Ag,Ti,Fe,Ni,Zr", adsorbates="H,CO,none")
    one, other = Maker(options), Maker(replace(options, count=7, fmax=0.3, jobs=3))
    for k in (3, 0, 11):
        a, b = one.make(k), other.make(k)
        assert a.facts == b.facts
        assert (a.atoms.positions == b.atoms.positions).all()
        assert (a.atoms.numbers == b.atoms.numbers).all()
    assert Maker(replace(options, seed=1)).make(3).facts != one.make(3).facts
    facts = [one.make(k).facts for k in range(80)]
    assert len({f["id"] for f in facts}) == 80
    assert {f["facet"] for f in facts} == set(facets.FACETS)
    assert {f["config_type"] for f in facts} == {"H", "CO", "bare"}
    assert {f["kind"] for f in facts} == {"pure", "ordered", "random"}
    assert all(set(f["group"].split("-")) <= {"Cu", "Ag", "Ni"} for f in facts if f["facet"].startswith("fcc"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"elements": ""}, "--elements"),
        ({"elements": "Cu,Xx"}, "no 'Xx'"),
        ({"elements": "Cu,Si"}, "Si is neither fcc, bcc nor hcp"),
        ({"facets": "bcc110"}, "none of --elements Pt has that lattice"),
        ({"elements": "Pt,W", "facets": "bcc110"}, "has none of fcc"),
        ({"kinds": "random"}, "name more elements"),
        ({"kinds": "perfect"}, "no 'perfect'"),
        ({"elements": "Fe,W", "kinds": "ordered"}, "no alloy of bcc"),
        ({"adsorbates": ","}, "names nothing"),
        ({"layers": "5-2"}, "the smaller one first"),
        ({"layers": "1-2"}, "within 2-20"),
        ({"repeat": "2-x"}, "neither a number"),
    ],
)
def test_what_cannot_be_made_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        maker(**options)


def test_options_name_what_can_be_made() -> None:
    assert tuple(facets.FACETS) == options.FACETS
    assert {*making.MOLECULES, "none"} == set(options.ADSORBATES)
