"""Kernel ridge regression on sine Coulomb matrices: against naive twins, invariances, limits."""

import os
from pathlib import Path

import ase
import ase.build
import numpy as np
import pytest
from common.some_datasets import dataset
from reference import sine_matrix as reference

from crystalcli.engine.baselines import extra_baselines, sine_krr, sine_matrix
from crystalcli.engine.baselines.extra_baselines import Extra
from crystalcli.engine.baselines.sine_matrix import Cell
from crystalcli.testing import crystals
from crystalcli.vocabulary.errors import InputError, UsageError
from crystalcli.vocabulary.quantities import Quantity


def cell_of(atoms: ase.Atoms) -> Cell:
    return Cell(atoms.numbers.astype(np.int64), atoms.get_scaled_positions(wrap=False), atoms.cell.array)


def vector(cell: Cell, kind: str = "rows") -> np.ndarray:
    return sine_matrix.vectors([sine_matrix.sine_matrix(cell)], len(cell.numbers) + 2, kind)[0]  # type: ignore[arg-type]


def solids() -> list[ase.Atoms]:
    return [a for a in crystals.all_crystals() if a.pbc.all() and len(a) > 1]


@pytest.mark.parametrize("k", range(len(solids())))
def test_the_matrix_is_that_of_the_paper(k: int) -> None:
    cell = cell_of(solids()[k])
    expected = reference.matrix(cell.numbers.tolist(), cell.fractional, cell.lattice)
    np.testing.assert_allclose(sine_matrix.sine_matrix(cell), expected, rtol=1e-9)
    angstrom = sine_matrix.sine_matrix(cell, "angstrom")
    off = ~np.eye(len(angstrom), dtype=bool)
    np.testing.assert_allclose(angstrom[off] / expected[off], 1 / reference.BOHR, rtol=1e-8)


def test_two_atoms_by_hand() -> None:
    """Half a lattice vector of 4 Å apart: sin² is 1, the length 4 Å = 7.559 bohr."""
    cell = Cell(np.array([11, 17]), np.array([[0, 0, 0], [0.5, 0, 0]]), np.diag([4.0, 5.0, 6.0]))
    found = sine_matrix.sine_matrix(cell)
    assert found[0, 1] == pytest.approx(11 * 17 / 7.55890, rel=1e-5)
    assert found[0, 0] == pytest.approx(0.5 * 11**2.4)


@pytest.mark.parametrize("kind", ["rows", "eigenvalues"])
def test_atoms_moved_by_lattice_vectors_and_named_in_another_order(kind: str) -> None:
    rng = np.random.default_rng(0)
    symmetric = ase.build.bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    for atoms in (*solids(), symmetric):
        whole = cell_of(atoms)
        moved = Cell(whole.numbers, whole.fractional + rng.integers(-3, 4, whole.fractional.shape), whole.lattice)
        np.testing.assert_allclose(vector(moved, kind), vector(whole, kind), rtol=1e-8, atol=1e-8)
        for _ in range(3):
            p = rng.permutation(len(atoms))
            permuted = Cell(whole.numbers[p], whole.fractional[p], whole.lattice)
            np.testing.assert_allclose(vector(permuted, kind), vector(whole, kind), rtol=1e-8, atol=1e-8)


def test_a_supercell_is_the_crystal_that_it_repeats() -> None:
    rng = np.random.default_rng(1)
    for _ in range(5):
        lattice = np.eye(3) * [3.0, 3.7, 4.6] + rng.normal(0, 0.3, (3, 3))
        atoms = ase.Atoms("NaCl2", scaled_positions=rng.random((3, 3)), cell=lattice, pbc=True)
        expected = vector(sine_matrix.primitive(cell_of(atoms)))
        for shape in (
            [[2, 0, 0], [0, 1, 0], [0, 0, 1]],
            [[1, 1, 0], [0, 1, 1], [1, 0, 2]],
            [[1, 2, 0], [0, 1, 0], [0, 3, 1]],
        ):
            repeated = ase.build.make_supercell(atoms, shape)
            found = sine_matrix.primitive(cell_of(repeated))
            assert len(found.numbers) == 3
            np.testing.assert_allclose(vector(found), expected, rtol=1e-6, atol=1e-6)


def test_sites_at_one_place_are_refused_with_their_crystal(tmp_path: Path) -> None:
    twice = ase.Atoms("NaCl", scaled_positions=[[0, 0, 0], [1, 2, -1]], cell=np.eye(3) * 4, pbc=True)
    with pytest.raises(InputError, match="sites 0 and 1 coincide"):
        sine_matrix.sine_matrix(cell_of(twice))
    slab = ase.Atoms("NaCl", positions=[[0, 0, 0], [2, 0, 0]], cell=np.eye(3) * 4, pbc=[True, True, False])
    data = dataset(tmp_path, [slab] * 6, {"e": np.arange(6.0)})
    with pytest.raises(InputError, match="structure c0 is not periodic in three directions"):
        extra_baselines.predict(Extra.parse("krr"), data, "e", np.arange(4), np.arange(4, 6))


@pytest.mark.parametrize("kernel", ["laplacian", "gaussian"])
def test_the_fit_is_that_of_the_normal_equations(kernel: sine_krr.Kernel) -> None:
    rng = np.random.default_rng(2)
    points, values, asked = rng.normal(size=(20, 4)), rng.normal(size=20), rng.normal(size=(5, 4))
    found = sine_krr.fit(points, values, kernel, 3.0, 1e-2).predict(asked)
    expected = reference.kernel_ridge(points, values, asked, 3.0, 1e-2, kernel)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("kernel", ["laplacian", "gaussian"])
def test_without_penalty_it_goes_through_all_points_and_with_a_large_one_through_none(
    kernel: sine_krr.Kernel,
) -> None:
    rng = np.random.default_rng(3)
    points, values = rng.normal(size=(30, 5)), rng.normal(size=30)
    errors = [
        np.abs(sine_krr.fit(points, values, kernel, 2.0, p).predict(points) - values).max() for p in (1e-3, 1e-6, 1e-10)
    ]
    assert errors[0] > 100 * errors[1] > 1e4 * errors[2]
    assert errors[2] < 1e-7
    np.testing.assert_allclose(
        sine_krr.fit(points, values, kernel, 2.0, 1e12).predict(points), values.mean(), atol=1e-9
    )


def test_the_choice_has_the_error_that_the_folds_have() -> None:
    """Chosen ℓ and λ, refitted by hand on four of five folds at a time, give the error that was told."""
    rng = np.random.default_rng(4)
    points = rng.uniform(-2, 2, (80, 2))
    values = np.sin(points[:, 0]) + 0.5 * points[:, 1]
    groups = [str(k // 4) for k in range(80)]
    found = sine_krr.fit_choosing(points, values, groups, "gaussian")
    folds = sine_krr.folds_of(groups)
    assert all(len({int(f) for f, g in zip(folds, groups, strict=True) if g == name}) == 1 for name in set(groups))
    assert sorted(set(folds.tolist())) == [0, 1, 2, 3, 4]
    errors = []
    for fold in range(5):
        kept = folds != fold
        part = sine_krr.fit(points[kept], values[kept], "gaussian", found.length, found.penalty)
        errors += np.abs(part.predict(points[~kept]) - values[~kept]).tolist()
    assert found.error == pytest.approx(np.mean(errors), rel=1e-3)
    assert found.error < 0.02
    assert np.abs(values - values.mean()).mean() > 0.5


def test_points_that_are_all_one_get_the_mean() -> None:
    found = sine_krr.fit_choosing(np.ones((8, 3)), np.arange(8.0), list("aabbccdd"), "laplacian")
    assert found.predict(np.ones((2, 3))) == pytest.approx([3.5, 3.5], abs=0.5)


def salts(n: int) -> list[ase.Atoms]:
    """One composition in cells of many volumes."""
    rng = np.random.default_rng(5)
    places = [[0, 0, 0], [0.5, 0.5, 0.45]]
    cells = rng.uniform(3.5, 4.5, (n, 3))
    return [ase.Atoms("NaCl", scaled_positions=places, cell=np.diag(c), pbc=True) for c in cells]


def binaries(n: int) -> list[ase.Atoms]:
    rng = np.random.default_rng(6)
    made = salts(n)
    for atoms in made:
        atoms.symbols[:] = rng.choice(["Na", "K", "Cl", "Br"], 2)
    return made


def test_what_depends_on_the_structure_is_learned_and_totals_come_per_atom(tmp_path: Path) -> None:
    atoms = salts(80)
    values = np.array([a.cell.volume / 20 for a in atoms])
    data = dataset(tmp_path, atoms, {"e": values * 2}, e=Quantity("e", "eV", extensive=True))
    for text in ("krr", "krr:kernel=gaussian,matrix=eigenvalues,length_unit=angstrom"):
        guess = extra_baselines.predict(Extra.parse(text), data, "e", np.arange(60), np.arange(60, 80))
        assert np.abs(guess.values - values[60:]).mean() < 0.25 * np.abs(values[60:] - values[:60].mean()).mean()
        assert guess.facts["length"] > 0


def test_missing_labels_do_not_count(tmp_path: Path) -> None:
    atoms = salts(40)
    values = np.arange(40.0)
    holes = values.copy()
    holes[:10] = np.nan
    asked = np.arange(30, 40)
    one = extra_baselines.predict(Extra.parse("krr"), dataset(tmp_path, atoms, {"e": holes}), "e", np.arange(30), asked)
    (tmp_path / "b").mkdir()
    two = extra_baselines.predict(
        Extra.parse("krr"), dataset(tmp_path / "b", atoms, {"e": values}), "e", np.arange(10, 30), asked
    )
    np.testing.assert_array_equal(one.values, two.values)


def test_compositions_are_boosted(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    atoms = binaries(200)
    values = np.array([a.numbers.mean() for a in atoms])
    data = dataset(tmp_path, atoms, {"e": values})
    guess = extra_baselines.predict(Extra.parse("boosting:rounds=50"), data, "e", np.arange(150), np.arange(150, 200))
    assert np.abs(guess.values - values[150:]).mean() < 0.2 * np.abs(values[150:] - values.mean()).mean()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kr", "no baseline 'kr' to ask for; did you mean 'krr'"),
        ("krr:kernel=linear", "kernel of baseline krr cannot be 'linear'"),
        ("krr:lenght=2", "no option 'lenght'"),
        ("boosting:rounds=0", "outside"),
        ("boosting:rounds=many", "must be int"),
    ],
)
def test_wishes_that_mean_nothing_are_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Extra.parse(text)


@pytest.mark.skipif("CRYSTAL_DATA" not in os.environ, reason="CRYSTAL_DATA is not set")
def test_matrices_of_real_crystals_against_the_twin() -> None:
    import gzip

    path = Path(os.environ["CRYSTAL_DATA"]) / "si-nmr-shielding" / "test.extxyz.gz"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    import io

    import ase.io

    with gzip.open(path, "rt") as file:
        text = io.StringIO(file.read())
    for atoms in ase.io.read(text, ":10", format="extxyz"):
        cell = sine_matrix.primitive(cell_of(atoms))
        expected = reference.matrix(cell.numbers.tolist(), cell.fractional, cell.lattice)
        np.testing.assert_allclose(sine_matrix.sine_matrix(cell), expected, rtol=1e-9)
        assert atoms.cell.volume / np.abs(np.linalg.det(cell.lattice)) == pytest.approx(
            len(atoms) / len(cell.numbers), rel=1e-6
        )


def test_options_have_the_defaults_of_the_paper() -> None:
    assert Extra.parse("krr").options == sine_krr.KrrOptions("laplacian", "rows", "bohr")
