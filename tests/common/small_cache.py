"""A small graph cache with labels that depend on the structure, for tests of training and prediction."""

from collections.abc import Sequence
from pathlib import Path

import ase.build
import numpy as np

from crystalcli.engine.cache.cache import Column, GraphRecipe
from crystalcli.engine.cache.cache_writer import write_cache
from crystalcli.nouns.neighbors import build_graph
from crystalcli.vocabulary.quantities import Quantity

OPTIONS = {"cutoff": 8.0, "max_neighbors": 12, "ties": "cut"}
ENERGY = Quantity("energy_per_atom", "eV/atom")
PAIRS = [("NaCl", 5.64), ("KCl", 6.29), ("LiF", 4.03), ("MgO", 4.21), ("CaO", 4.81), ("NaF", 4.63), ("KBr", 6.6)]


def crystals(n: int, seed: int = 0) -> list[ase.Atoms]:
    """Rocksalts with slightly different lattice constants and shaken atoms."""
    rng = np.random.default_rng(seed)
    made = []
    for k in range(n):
        name, a = PAIRS[k % len(PAIRS)]
        atoms = ase.build.bulk(name, "rocksalt", a=a * (0.95 + 0.1 * rng.random()))
        atoms.positions += rng.normal(0, 0.05, atoms.positions.shape)
        made.append(atoms)
    return made


def energies(structures: Sequence[ase.Atoms]) -> np.ndarray:
    """A smooth made-up energy per atom, eV/atom."""
    return np.array([0.01 * a.numbers.mean() + 0.002 * (a.get_volume() / len(a) - 15) ** 2 / 15 for a in structures])


def write(
    path: Path,
    n: int = 42,
    *,
    columns: Sequence[Column] | None = None,
    sources: Sequence[str] | None = None,
    tags: Sequence[dict[str, str]] = (),
    options: dict[str, object] = OPTIONS,
    structures: Sequence[ase.Atoms] | None = None,
    stem: str = "salt",
) -> Path:
    """Write a cache of ``n`` rocksalts; ids hold commas, quotes and spaces."""
    atoms = list(structures or crystals(n))
    ids = [f'{stem} "{k:02d}", {a.get_chemical_formula()}' for k, a in enumerate(atoms)]
    graphs = [build_graph(a, cutoff=options["cutoff"], max_neighbors=options["max_neighbors"]) for a in atoms]  # type: ignore[arg-type]
    if columns is None:
        columns = [Column(ENERGY, energies(atoms), np.ones(len(atoms), dtype=bool))]
    where = list(sources or [f"{k}.cif" for k in range(len(atoms))])
    write_cache(path, GraphRecipe("cgcnn", options), ids, where, graphs, columns, tags=tags)
    return path
