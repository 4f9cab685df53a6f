"""The neighbor search against brute force, for every kind of cell."""

import itertools

import ase
import ase.build
import ase.neighborlist
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import neighbors as twin

from crystalcli.nouns.neighbors import TIE_TOLERANCE, build_graph, nearest_neighbors, neighbor_list
from crystalcli.nouns.structures.check import check
from crystalcli.vocabulary.errors import InputError

KINDS = ("random", "tiny", "needle", "plate", "skewed", "left", "crystal")
ALL_PBC = list(itertools.product([False, True], repeat=3))


def cell_of(kind: str, rng: np.random.Generator) -> np.ndarray:
    """A cell of one kind, Å."""
    if kind == "tiny":
        return rng.normal(size=(3, 3)) * 0.1 + np.eye(3) * rng.uniform(0.6, 1.2)
    if kind == "needle":
        return np.diag([0.9, 1.1, rng.uniform(15, 60)]) + rng.normal(size=(3, 3)) * 0.05
    if kind == "plate":
        return np.diag([rng.uniform(10, 25), rng.uniform(10, 25), 0.9])
    if kind == "skewed":
        cell = np.diag(rng.uniform(2, 4, size=3))
        cell[1, 0], cell[2, 0], cell[2, 1] = rng.uniform(-12, 12, size=3)
        return cell
    cell = rng.normal(size=(3, 3)) + np.eye(3) * rng.uniform(1.5, 4)
    if kind == "left":
        cell = cell[[1, 0, 2]] * np.sign(np.linalg.det(cell))
    return cell


def crystal(rng: np.random.Generator) -> ase.Atoms:
    """A perfect crystal, where many distances are equal, turned and moved so that they are equal but for noise."""
    name, lattice = [("Cu", "fcc"), ("Fe", "bcc"), ("Mg", "hcp"), ("NaCl", "rocksalt")][rng.integers(4)]
    atoms = ase.build.bulk(name, lattice, a=rng.uniform(2.6, 4.0))
    atoms.rotate(rng.uniform(0, 360), rng.normal(size=3), rotate_cell=True)
    atoms.positions += rng.normal(size=3)
    return atoms


def random_atoms(rng: np.random.Generator) -> ase.Atoms:
    """Atoms in and far outside a cell of any kind, with any pbc."""
    kind = KINDS[rng.integers(len(KINDS))]
    pbc = ALL_PBC[rng.integers(8)]
    if kind == "crystal":
        atoms = crystal(rng)
        atoms.pbc = pbc
    else:
        cell = cell_of(kind, rng)
        if abs(np.linalg.det(cell)) < 0.2:
            cell = cell + 3 * np.eye(3)
        count = int(rng.integers(1, 6))
        fractions = rng.uniform(-3, 4, size=(count, 3)) if rng.random() < 0.5 else rng.random((count, 3))
        atoms = ase.Atoms(["H"] * count, positions=fractions @ cell, cell=cell, pbc=pbc)
    if rng.random() < 0.3:
        atoms.cell = np.where(np.array(pbc)[:, None], atoms.cell.array, 0.0)
    return atoms


def check_one(atoms: ase.Atoms, cutoff: float, count: int) -> None:
    pairs = twin.all_pairs(atoms, cutoff)
    index, shifts, lengths = neighbor_list(atoms, cutoff)
    found = list(zip(*index.tolist(), *shifts.T.tolist(), strict=True))
    assert len(found) == len(set(found))
    off_edge = {e for e, r in pairs.items() if abs(r - cutoff - TIE_TOLERANCE) > 1e-9}
    assert off_edge <= set(found) <= set(pairs)
    vectors = atoms.positions[index[1]] - atoms.positions[index[0]] + shifts @ complete(atoms)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), lengths, atol=1e-9)
    assert (np.diff(index[0]) >= 0).all()
    for ties in ("keep", "cut"):
        near, near_shifts, _ = nearest_neighbors(atoms, cutoff, count, ties)
        got = [set() for _ in atoms]
        for edge in zip(*near.tolist(), *near_shifts.T.tolist(), strict=True):
            got[edge[0]].add(edge)
        assert sum(map(len, got)) == near.shape[1]
        assert got == twin.nearest(pairs, len(atoms), count, ties)


def complete(atoms: ase.Atoms) -> np.ndarray:
    return ase.cell.Cell(np.where(atoms.pbc[:, None], atoms.cell.array, 0.0)).complete().array


def volume(atoms: ase.Atoms) -> float:
    with np.errstate(invalid="ignore", divide="ignore"):  # parallel vectors have no complement
        return float(np.nan_to_num(abs(np.linalg.det(complete(atoms)))))


def check_many(seed: int, times: int) -> None:
    rng = np.random.default_rng(seed)
    for k in range(times):
        atoms = random_atoms(rng)
        cutoff, count = rng.uniform(0.8, 4.0), int(rng.integers(1, 16))
        if len(atoms) / max(volume(atoms), 0.1) * cutoff**3 > 400:
            cutoff = 1.5
        try:
            check_one(atoms, cutoff, count)
        except AssertionError as problem:
            raise AssertionError(f"crystal {k} of seed {seed}: {atoms}, {cutoff=}, {count=}: {problem}") from problem


def test_2000_random_crystals_equal_brute_force():
    check_many(seed=0, times=2000)


@pytest.mark.slow
def test_20000_random_crystals_equal_brute_force():
    check_many(seed=1, times=20_000)


number = st.floats(-6, 6, allow_nan=False, width=32)


@settings(max_examples=150, deadline=None)
@given(
    cell=st.lists(number, min_size=9, max_size=9),
    positions=st.lists(st.tuples(number, number, number), min_size=1, max_size=4),
    pbc=st.sampled_from(ALL_PBC),
    cutoff=st.floats(0.7, 3.5),
    count=st.integers(1, 14),
)
def test_any_cell_equals_brute_force(cell, positions, pbc, cutoff, count):
    cell = np.array(cell).reshape(3, 3)
    atoms = ase.Atoms(["H"] * len(positions), positions=positions, cell=cell, pbc=pbc)
    if not cell[list(pbc)].any(axis=1).all() or volume(atoms) < 0.5:
        cell = cell + 9 * np.eye(3)
        atoms.cell = cell
    if volume(atoms) > 0.5:
        check_one(atoms, cutoff, count)


@pytest.mark.parametrize("pbc", [(True, True, True), (True, True, False)])
@pytest.mark.parametrize("rows", [[[1, 0, 2], [2, 0, 4], [0, 3, 0]], [[3, 0, 0], [0, 0, 0], [0, 3, 0]]])
def test_parallel_or_missing_vectors_are_refused(rows, pbc):
    atoms = ase.Atoms("H", cell=rows, pbc=pbc)
    with pytest.raises(InputError, match=r"flat|zero length"):
        neighbor_list(atoms, 3.0)
    with pytest.raises(InputError, match=r"flat|zero"):
        check(atoms)


@pytest.mark.parametrize("pbc", ALL_PBC)
def test_agrees_with_ase_for_every_pbc(pbc):
    rng = np.random.default_rng(3)
    atoms = ase.Atoms(
        "H5", positions=rng.normal(size=(5, 3)) * 4, cell=rng.normal(size=(3, 3)) + 3 * np.eye(3), pbc=pbc
    )
    i, j, shift = ase.neighborlist.neighbor_list("ijS", atoms, 3.3)
    index, shifts, _ = neighbor_list(atoms, 3.3)
    assert set(zip(i, j, *shift.T, strict=True)) == set(zip(*index, *shifts.T, strict=True))


@pytest.mark.parametrize(("pbc", "size"), [(False, 1e5), (True, 1e5), (False, 30.0), (True, 30.0)])
def test_isolated_atoms_have_no_edges_and_stay(pbc, size):
    atoms = ase.Atoms("HOHe", positions=[[0, 0, 0], [0, 0, 1.0], [size / 2] * 3], cell=np.eye(3) * size, pbc=pbc)
    graph = build_graph(atoms, cutoff=8.0, max_neighbors=12)
    assert graph.n_atoms == 3
    assert graph.edge_index.tolist() == [[0, 1], [1, 0]]
    alone = build_graph(atoms[2:], cutoff=8.0)
    assert (alone.n_atoms, alone.n_edges) == (1, 0)


def test_a_sparse_corner_gets_its_neighbors_from_the_whole_sphere():
    """Nearest neighbors are exact where the density is far below the mean."""
    rng = np.random.default_rng(5)
    crowd = rng.random((200, 3)) * 6
    lonely = np.array([[15.0, 15, 15], [15, 15, 22], [11, 11, 11]])
    atoms = ase.Atoms("H203", positions=np.concatenate([crowd, lonely]), cell=np.eye(3) * 30, pbc=True)
    check_one(atoms, 8.0, 12)


@pytest.mark.parametrize(("lattice", "shells"), [("fcc", [12, 18]), ("bcc", [8, 14]), ("sc", [6, 18])])
def test_ties_of_perfect_crystals_do_not_depend_on_noise(lattice, shells):
    rng = np.random.default_rng(7)
    atoms = ase.build.bulk("Cu", lattice, a=3.0)
    expected = build_graph(atoms, cutoff=6.0, max_neighbors=shells[0] + 1, ties="keep")
    assert expected.n_edges == shells[1]
    cut = build_graph(atoms, cutoff=6.0, max_neighbors=shells[0] + 1, ties="cut")
    assert cut.n_edges == shells[0] + 1
    for _ in range(20):
        turned = atoms.copy()
        turned.rotate(rng.uniform(0, 360), rng.normal(size=3), rotate_cell=True)
        turned.positions += rng.normal(size=3) * 1e-9
        for ties, reference in (("keep", expected), ("cut", cut)):
            graph = build_graph(turned, cutoff=6.0, max_neighbors=shells[0] + 1, ties=ties)
            np.testing.assert_array_equal(graph.cell_shifts, reference.cell_shifts)


def test_a_shell_exactly_at_the_cutoff_is_kept_whole():
    atoms = ase.build.bulk("Cu", "sc", a=4.0)
    for angle in (0, 17, 61):
        atoms.rotate(angle, [1, 2, 3], rotate_cell=True)
        assert build_graph(atoms, cutoff=8.0).n_edges == 6 + 12 + 8 + 6


def test_a_cell_far_below_the_cutoff_is_exact():
    lengths = neighbor_list(ase.Atoms("H", cell=np.eye(3) * 0.5, pbc=True), 2.0)[2]
    assert len(lengths) == 256  # lattice points with 0 < |n| <= 4, as counted by hand in number theory: r3(1..16)


@pytest.mark.parametrize("bad", ["flat", "zero", "nan"])
def test_impossible_cells_are_refused(bad):
    atoms = ase.Atoms("H", cell=[3, 3, 3], pbc=True)
    if bad == "flat":
        atoms.cell[2] = atoms.cell[0] + atoms.cell[1]
    elif bad == "zero":
        atoms.cell[1] = 0
    else:
        atoms.positions[0, 1] = np.nan
    with pytest.raises(InputError, match={"flat": "flat", "zero": "zero length", "nan": "finite"}[bad]):
        build_graph(atoms, cutoff=5.0)


def test_memory_and_time_of_10648_atoms():
    atoms = ase.build.bulk("NaCl", "rocksalt", a=5.64, cubic=True) * (11, 11, 11)
    graph = build_graph(atoms, cutoff=8.0, max_neighbors=12)
    assert (graph.n_atoms, graph.n_edges) == (10648, 12 * 10648)
