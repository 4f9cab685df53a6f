"""How many graphs a second does the cache give, beside one HDF5 group per graph?

The twin keeps every graph in a group of its own (positions, cell, numbers, edges, shifts), reads it with h5py and joins
the batch with collate, as is usual. Same graphs, same random batches, same process, turn by turn. And what do the
checksums cost: reading everything once in a cache just opened, beside reading it again. JSON on stdout::

    python benchmarks/cache_reads.py --structures 4000 --atoms 20 --batch 256
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import ase
import h5py
import numpy as np
import torch

from crystalcli.engine.cache.cache import GraphRecipe
from crystalcli.engine.cache.cache_writer import write_cache
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.nouns.arrays import GraphArrays
from crystalcli.nouns.graph import CrystalGraph, collate
from crystalcli.nouns.neighbors import build_graph


def crystals(count: int, atoms: int, seed: int) -> list[GraphArrays]:
    """Random crystals of about ``atoms`` atoms at 15 Å³ each."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        n = int(rng.integers(max(1, atoms // 2), atoms * 3 // 2 + 1))
        cell = np.eye(3) * (15 * n) ** (1 / 3)
        structure = ase.Atoms(rng.integers(1, 90, n), positions=rng.random((n, 3)) @ cell, cell=cell, pbc=True)
        made.append(build_graph(structure, cutoff=8.0, max_neighbors=12))
    return made


def write_groups(path: Path, graphs: list[GraphArrays]) -> None:
    """The twin's file."""
    with h5py.File(path, "w") as h:
        for k, graph in enumerate(graphs):
            group = h.create_group(str(k))
            for name in ("positions", "cell", "pbc", "atomic_numbers", "edge_index", "cell_shifts"):
                group[name] = getattr(graph, name)


def read_groups(h: h5py.File, index: np.ndarray) -> CrystalGraph:
    """One batch of the twin."""
    return collate([GraphArrays(**{name: values[()] for name, values in h[str(k)].items()}) for k in index])


def rate(read, batches: list[np.ndarray]) -> float:
    """Graphs per second over ``batches``."""
    start = time.perf_counter()
    for index in batches:
        read(index)
    return sum(map(len, batches)) / (time.perf_counter() - start)


def first_and_again(path: Path, batches: list[np.ndarray]) -> tuple[float, float]:
    """Processor time, µs a graph, in a cache just opened, whose blocks are compared with their checksums; and again."""
    data, times = GraphDataset.open([path]), [time.process_time()]
    for _ in range(2):
        for index in batches:
            data.batch(index)
        times.append(time.process_time())
    first, again = np.diff(times) * 1e6 / len(data)
    return first, again


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--structures", type=int, default=4000)
    parser.add_argument("--atoms", type=int, default=20)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    graphs = crystals(chosen.structures, chosen.atoms, chosen.seed)
    rng = np.random.default_rng(chosen.seed)
    with tempfile.TemporaryDirectory() as folder:
        ids = [str(k) for k in range(len(graphs))]
        write_cache(Path(folder, "graphs.h5"), GraphRecipe("benchmark"), ids, ids, graphs, [])
        write_groups(Path(folder, "groups.h5"), graphs)
        data = GraphDataset.open([Path(folder, "graphs.h5")])
        with h5py.File(Path(folder, "groups.h5")) as h:
            check = rng.integers(0, len(graphs), chosen.batch)
            if not torch.equal(data.batch(check).graph.edge_index, read_groups(h, check).edge_index):
                raise SystemExit("the two readers disagree")
            every = np.array_split(rng.permutation(len(graphs)), max(1, len(graphs) // chosen.batch))
            twice = [first_and_again(Path(folder, "graphs.h5"), every) for _ in range(chosen.rounds)]
            ours, theirs = [], []
            for _ in range(chosen.rounds):
                many = [rng.integers(0, len(graphs), chosen.batch) for _ in range(20)]
                ours.append(rate(lambda index: data.batch(index).graph, many))
                theirs.append(rate(lambda index: read_groups(h, index), many[:1]))
        result = {
            "question": "graphs per second: flat cache against one HDF5 group per graph",
            "structures": len(graphs),
            "mean_atoms": float(data.atom_counts().mean()),
            "mean_edges": float(data.edge_counts().mean()),
            "batch": chosen.batch,
            "cache_graphs_per_s": statistics.median(ours),
            "groups_graphs_per_s": statistics.median(theirs),
            "ratio": statistics.median(a / b for a, b in zip(ours, theirs, strict=True)),
            "read_us_per_graph": statistics.median(again for _, again in twice),
            "checksums_us_per_graph": statistics.median(first - again for first, again in twice),
            "cache_bytes": Path(folder, "graphs.h5").stat().st_size,
            "groups_bytes": Path(folder, "groups.h5").stat().st_size,
            "torch": torch.__version__,
            "h5py": h5py.__version__,
        }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
