"""What frames are: steps of a run, or configurations of several kinds; tried on sets of our own making."""

from collections.abc import Callable
from pathlib import Path

import ase
import numpy as np
import pytest
from ase.build import bulk, fcc111
from common import small_cache

from crystalcli.engine.cache.cache import Column
from crystalcli.engine.data import frames
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.data.splits import Split
from crystalcli.vocabulary.quantities import Quantity

FORCES = Quantity("forces", "eV/Å", "site", shape=(3,))
RNG = np.random.default_rng(5)


def copper(repeats: int = 2) -> ase.Atoms:
    return bulk("Cu", cubic=True).repeat(repeats)


def shaken(size: float, memory: float = 0.0, n: int = 24) -> list[ase.Atoms]:
    """Frames of a crystal that vibrates; each remembers the one before by ``memory``."""
    out, shift = [], np.zeros((32, 3))
    for _ in range(n):
        shift = memory * shift + RNG.normal(0, size, (32, 3))
        atoms = copper()
        atoms.positions += shift
        out.append(atoms)
    return out


def across_the_boundary() -> list[ase.Atoms]:
    """A run whose atoms are wrapped back into the cell."""
    drift = np.linspace(0, 3.0, 24)
    out = shaken(0.05)
    for atoms, x in zip(out, drift, strict=True):
        atoms.positions += (x, 0, 0)
        atoms.wrap()
    return out


def breathing() -> list[ase.Atoms]:
    """A run at constant pressure."""
    out = shaken(0.05)
    for k, atoms in enumerate(out):
        atoms.set_cell(atoms.cell * (1 + 0.01 * np.sin(k)), scale_atoms=True)
    return out


def strained() -> list[ase.Atoms]:
    out = []
    for e in np.linspace(-0.1, 0.1, 24):
        atoms = copper()
        atoms.set_cell(atoms.cell @ np.diag([1 + e, 1, 1]), scale_atoms=True)
        out.append(atoms)
    return out


def unlike() -> list[ase.Atoms]:
    """Vacancies at other places, slabs, crystals."""
    out = []
    for k in range(8):
        vacancy = copper()
        del vacancy[k]
        out += [copper(), fcc111("Cu", (2, 2, 3), vacuum=5.0), vacancy]
    return out


def swapped() -> list[ase.Atoms]:
    """One lattice, its two elements at other places every time."""
    out = []
    for _ in range(24):
        atoms = copper()
        atoms.symbols[RNG.permutation(32)[:16]] = "Au"
        out.append(atoms)
    return out


def dataset(
    path: Path, atoms: list[ase.Atoms], tags: list[dict[str, str]] | None = None, **labels: np.ndarray
) -> GraphDataset:
    columns = [Column(small_cache.ENERGY, np.arange(len(atoms), dtype=float), np.ones(len(atoms), dtype=bool))]
    columns += [Column(FORCES, v, np.isfinite(v).all(1)) for v in labels.values()]
    sources = [f"file.xyz:{k}" for k in range(len(atoms))]
    return GraphDataset.open([small_cache.write(path, structures=atoms, sources=sources, columns=columns, tags=tags)])


@pytest.mark.parametrize(
    ("make", "lengths"),
    [
        (lambda: shaken(0.12), [24]),
        (lambda: shaken(0.03, memory=0.9), [24]),
        (across_the_boundary, [24]),
        (breathing, [24]),
        (lambda: [*shaken(0.1), *[fcc111("Cu", (2, 4, 4), vacuum=5.0)] * 3], [24, 1, 1, 1]),
        (strained, [1] * 24),
        (unlike, [1] * 24),
        (swapped, [1] * 24),
    ],
    ids=["vibrations", "slow", "wrapped", "breathing", "a run and slabs", "strained", "unlike", "swapped"],
)
def test_frames_of_a_run_continue_each_other(
    tmp_path: Path, make: Callable[[], list[ase.Atoms]], lengths: list[int]
) -> None:
    data = dataset(tmp_path / "g.h5", make())
    run, _ = frames.series(data, np.arange(len(data)))
    assert np.unique(run, return_counts=True)[1].tolist() == lengths
    backwards, _ = frames.series(data, np.arange(len(data))[::-1])
    assert np.array_equal(backwards[::-1], run)


def test_two_files_are_two_runs_whatever_the_order(tmp_path: Path) -> None:
    atoms = shaken(0.05)
    sources = [f"{'ab'[k % 2]}.xyz:{k // 2}" for k in range(24)]
    data = GraphDataset.open([small_cache.write(tmp_path / "g.h5", structures=atoms, sources=sources)])
    run, place = frames.series(data, np.arange(24))
    assert [run[::2].tolist(), run[1::2].tolist()] == [[run[0]] * 12, [run[1]] * 12]
    assert run[0] != run[1]
    assert place.tolist() == [k // 2 for k in range(24)]


def test_kinds_are_told_by_words_size_and_composition(tmp_path: Path) -> None:
    atoms = [copper(), copper(), copper(1), bulk("NaCl", "rocksalt", a=5.6), copper()]
    tags = [{"config_type": t, "note": str(k)} for k, t in enumerate(["a", "b", "a", "a", "a"])]
    data = dataset(tmp_path / "g.h5", atoms, tags)
    words, by = frames.kinds(data, np.arange(5))
    assert words == ["a, Cu, 32 atoms", "b, Cu, 32 atoms", "a, Cu, 4 atoms", "a, ClNa, 2 atoms", "a, Cu, 32 atoms"]
    assert by == "'config_type' and composition and number of atoms"


def test_a_part_without_forces_or_of_one_kind_is_said(tmp_path: Path) -> None:
    atoms = [*shaken(0.1, n=6), *strained()[:3], copper(1)]
    forces = np.concatenate([RNG.normal(0, 1, (6 * 32, 3)), RNG.normal(0, 1e-6, (3 * 32 + 4, 3))])
    data = dataset(tmp_path / "g.h5", atoms, forces=forces)
    train = np.array([0, 1, 2, 9])

    def said(val: list[int], test: list[int]) -> list[str]:
        return frames.poor_parts(data, Split(train, np.array(val), np.array(test), ""), ["forces"])

    assert said([3, 9], [4, 9]) == []
    poor = said([6, 7], [3, 8])
    assert len(poor) == 3
    assert poor[0].startswith("2 of 2 structures of the validation part have no forces")
    assert "one kind of configuration only (Cu, 32 atoms)" in poor[1]
    assert poor[2].startswith("the test part holds one kind")
