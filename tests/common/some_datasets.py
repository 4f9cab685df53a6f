"""Small data sets for tests of models and baselines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import ase
import numpy as np

from crystalcli.engine.cache.cache import Column, GraphRecipe
from crystalcli.engine.cache.cache_writer import write_cache
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.nouns.neighbors import build_graph
from crystalcli.vocabulary.quantities import Quantity


def dataset(folder: Path, atoms: Sequence[ase.Atoms], labels: dict[str, np.ndarray], **kinds: Quantity) -> GraphDataset:
    """Cache of ``atoms`` with labels by name; NaN is missing; ``kinds`` say what a label is."""
    graphs = [build_graph(a, cutoff=8.0, max_neighbors=12) for a in atoms]
    columns = [Column(kinds.get(n, Quantity(n, "eV")), np.nan_to_num(v), np.isfinite(v)) for n, v in labels.items()]
    ids = [f"c{k}" for k in range(len(atoms))]
    write_cache(folder / "graphs.h5", GraphRecipe("cgcnn", {}), ids, [f"{i}.cif" for i in ids], graphs, columns)
    return GraphDataset.open([folder / "graphs.h5"])
