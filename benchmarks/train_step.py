"""How long is one training step of cgcnn, beside a plain twin that concatenates z and pads N × 12?

Same batch, same weights, the three ways in turn within one run: ours, the twin as it is, and the twin with denormal
numbers flushed to zero. Crystals are rattled perovskites and oxides made here, 20 atoms on average.

    python benchmarks/train_step.py [--crystals 128] [--repeats 7] [--threads 1] [-o FILE]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import ase
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from reference.cgcnn import gaussians, like

from crystalcli.contracts.modules import Labels
from crystalcli.contracts.records import Statistics
from crystalcli.engine.model.model import CrystalModel
from crystalcli.engine.model.model_spec import ModelSpec, PartChoice
from crystalcli.nouns.arrays import GraphArrays
from crystalcli.nouns.graph import collate, edge_lengths
from crystalcli.nouns.neighbors import build_graph
from crystalcli.vocabulary.quantities import Quantity


def crystals(count: int, seed: int = 0) -> list[ase.Atoms]:
    """Perovskite supercells of 5 to 40 atoms, with elements of the periodic table at random.

    Half of them are ideal, as most entries of the databases are; half are rattled.
    """
    rng = np.random.default_rng(seed)
    scaled = np.array([[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    made = []
    for k in range(count):
        numbers = [*rng.integers(3, 84, 2), *[int(rng.choice([7, 8, 9, 16]))] * 3]
        cell = np.eye(3) * rng.uniform(3.6, 4.4) + (rng.normal(0, 0.1, (3, 3)) if k % 2 else 0)
        atoms = ase.Atoms(numbers, scaled_positions=scaled, cell=cell, pbc=True)
        atoms = atoms.repeat([(1, 1, 1), (2, 1, 1), (2, 2, 1), (2, 2, 2)][rng.integers(4)])
        if k % 2:
            atoms.rattle(0.08, seed=int(rng.integers(1 << 30)))
        made.append(atoms)
    return made


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--crystals", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    torch.manual_seed(0)
    arrays: list[GraphArrays] = [build_graph(a, cutoff=8.0, max_neighbors=12) for a in crystals(chosen.crystals)]
    result = measure(arrays, chosen.repeats)
    result |= {"threads": chosen.threads, "torch": torch.__version__, "machine": platform.processor()}
    text = json.dumps(result, indent=1)
    print(text)
    if chosen.output:
        chosen.output.write_text(text + "\n", encoding="utf-8")


def measure(arrays: list[GraphArrays], repeats: int) -> dict[str, object]:
    """Times in ms of the three ways, and how many times faster ours is; the first step of each does not count.

    Ours starts from the graph: distances, basis and the plan of the edges are part of the step; the twin is given its
    tables. Processor time tells more than the clock where other programs run.
    """
    graph = collate(arrays)
    spec = ModelSpec(
        PartChoice("cgcnn"), PartChoice("cgcnn"), PartChoice("cgcnn"), PartChoice("crystal"),
        (Quantity("target"),), Statistics(),
    )  # fmt: skip
    model = CrystalModel(spec)
    twin = like(model)
    target = torch.randn(graph.n_structures, dtype=torch.float64)
    labels = {"target": Labels(target, torch.ones(graph.n_structures, dtype=torch.bool))}
    optimizers = [torch.optim.AdamW(m.parameters(), 1e-3) for m in (model, twin)]
    table = graph.edge_index[1].view(-1, 12)
    # the released code makes its Gaussians in float64 and stores them as float32: tiny ones become denormal
    u = gaussians(edge_lengths(graph).double()).float().view(len(table), 12, -1)
    counts = graph.atom_counts.tolist()

    def ours() -> None:
        optimizers[0].zero_grad()
        model.loss(graph, labels, "l1")[1].backward()
        optimizers[0].step()

    def plain() -> None:
        optimizers[1].zero_grad()
        found = twin(model.features.elements(graph.atomic_numbers), table, u, counts)
        (found - target.float()).abs().mean().backward()
        optimizers[1].step()

    ways: dict[str, tuple[Callable[[], None], bool]] = {
        "ours": (ours, False), "twin": (plain, False), "twin, denormals flushed": (plain, True)
    }  # fmt: skip
    times: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, (step, flush) in ways.items():
            torch.set_flush_denormal(flush)
            start, used = time.perf_counter(), time.process_time()
            step()
            times[name].append(1e3 * (time.perf_counter() - start))
            cpu[name].append(1e3 * (time.process_time() - used))
            torch.set_flush_denormal(False)
    median = {name: statistics.median(t[1:] or t) for name, t in times.items()}
    best = {name: min(t[1:] or t) for name, t in times.items()}
    busy = {name: statistics.median(t[1:] or t) for name, t in cpu.items()}
    names = list(ways)[1:]
    return {
        "question": "one training step of cgcnn against a plain twin",
        "crystals": graph.n_structures,
        "atoms": graph.n_atoms,
        "edges": graph.n_edges,
        "median_ms": {k: round(v, 1) for k, v in median.items()},
        "best_ms": {k: round(v, 1) for k, v in best.items()},
        "times_faster_median": {n: round(median[n] / median["ours"], 2) for n in names},
        "cpu_ms": {k: round(v, 1) for k, v in busy.items()},
        "times_faster_cpu": {n: round(busy[n] / busy["ours"], 2) for n in names},
        "times_faster_best": {n: round(best[n] / best["ours"], 2) for n in names},
    }


if __name__ == "__main__":
    main()
