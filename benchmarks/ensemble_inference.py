"""How long does an ensemble of five take, beside one of its members?

The same graphs, one after the other in every repeat of one run, for batches of 256 crystals and of one. Graphs are
made before; what is timed is the model.

    python benchmarks/ensemble_inference.py [--members 5] [--repeats 7] [--threads 1] [-o FILE]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from train_step import crystals

from crystalcli.contracts.records import Statistics
from crystalcli.engine.model.ensemble import Ensemble
from crystalcli.engine.model.model import CrystalModel
from crystalcli.engine.model.model_spec import ModelSpec, PartChoice
from crystalcli.engine.run.devices import prepare_cpu
from crystalcli.nouns.graph import CrystalGraph, collate
from crystalcli.nouns.neighbors import build_graph
from crystalcli.vocabulary.quantities import Quantity


def member(seed: int) -> CrystalModel:
    """A cgcnn with its default options."""
    torch.manual_seed(seed)
    parts = [PartChoice("cgcnn"), PartChoice("cgcnn"), PartChoice("cgcnn"), PartChoice("crystal")]
    statistics_ = Statistics(12.0, (), {"e": 0.0}, {"e": 1.0})
    return CrystalModel(ModelSpec(*parts, (Quantity("e", "eV/atom"),), statistics_)).eval()


def batches(size: int, count: int) -> list[CrystalGraph]:
    """``count`` batches of ``size`` crystals."""
    graphs = [build_graph(a, cutoff=8.0, max_neighbors=12) for a in crystals(size * count)]
    return [collate(graphs[k * size : (k + 1) * size]) for k in range(count)]


@torch.no_grad()
def seconds(model: Callable[[CrystalGraph], object], graphs: list[CrystalGraph]) -> float:
    """Time of one pass over ``graphs``, s."""
    start = time.perf_counter()
    for graph in graphs:
        model(graph)
    return time.perf_counter() - start


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--members", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path)
    wish = parser.parse_args()
    torch.set_num_threads(wish.threads)
    prepare_cpu()
    members = [member(k) for k in range(wish.members)]
    ensemble = Ensemble(members, {"e": 0.1}).eval()
    found = {}
    for size, count in ((256, 1), (1, 64)):
        graphs = batches(size, count)
        times: dict[str, list[float]] = {"member": [], "ensemble": []}
        for repeat in range(wish.repeats + 1):
            for name, model in (("member", members[repeat % len(members)]), ("ensemble", ensemble)):
                spent = seconds(model, graphs)
                if repeat:  # the first warms up
                    times[name].append(spent / count)
        ratios = [e / m for e, m in zip(times["ensemble"], times["member"], strict=True)]
        found[f"batch {size}"] = {
            **{f"{name} [ms]": round(1000 * statistics.median(t), 3) for name, t in times.items()},
            "ratio": round(statistics.median(ratios), 3),
            "ratios": [round(r, 3) for r in ratios],
        }
    result = {**found, "members": wish.members, "threads": wish.threads, "torch": torch.__version__}
    text = json.dumps({**result, "machine": platform.processor() or platform.machine()}, indent=1)
    print(text)
    if wish.output:
        wish.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
