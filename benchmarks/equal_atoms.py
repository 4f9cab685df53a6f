"""What does it cost to train and to ask ``threebody``, with and without equal atoms, with and without angles?

    python benchmarks/equal_atoms.py CACHE [--crystals 1024] [--model formation-energy]

CACHE is of ``--featurizer symmetry`` and has a label of numbers. Printed are, in processor time of one thread, the
training step (features, network, gradients, no optimizer) per edge that is computed, and predictions read from the
cache, crystals a second; how many atoms and edges are computed of how many; and by how much predictions of a trained
model differ where every atom is computed: in the mean, at most, and the share of those that differ by more than 0.001
of its unit.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from crystalcli.contracts import options as opt
from crystalcli.contracts.modules import shape_of
from crystalcli.contracts.records import Architecture, Featurizer, Head, Statistics
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.model import model_file
from crystalcli.engine.model.model_names import named_by
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.engine.run.devices import prepare_cpu
from crystalcli.nouns.graph import CrystalGraph, distinct_atoms
from crystalcli.nouns.orbits import ORBIT

BATCH = 64


def network(channels: int, data: GraphDataset) -> Any:
    """Untrained features, architecture and head as a function of a graph."""
    reg, statistics = registry(), Statistics()
    featurizer = cast(Featurizer, reg.get("featurizer", "symmetry"))
    part = cast(Architecture, reg.get("architecture", "threebody"))
    head = cast(Head, reg.get("head", "crystal"))
    torch.manual_seed(0)
    edges: Any = opt.make(featurizer.options, data.recipe.options, owner="cache")
    features: Any = featurizer.embed(opt.make(featurizer.embed_options, {}, owner="features"), edges, statistics)
    options: Any = opt.make(part.options, {"angle_channels": channels}, owner=part.name)
    body: Any = part.build(options, features.node_dim, features.edge_dim, statistics)
    quantity = next(iter(data.columns.values())).quantity
    end: Any = head.build(opt.make(head.options, {}, owner=head.name), shape_of(body), (quantity,), statistics)
    return lambda graph: end(graph, body(graph, features(graph)))[quantity.name].value


def every_atom(graph: CrystalGraph) -> CrystalGraph:
    """The graph without what is known of its symmetry."""
    return replace(graph, fields={k: v for k, v in graph.fields.items() if k != ORBIT})


def differences(name: Path, pieces: list[Any], data: GraphDataset) -> dict[str, float]:
    """Of what a model says with and without equal atoms."""
    model = model_file.load(named_by(name))[0].eval()
    target = model.spec.targets[0].name

    def said(graph: CrystalGraph) -> torch.Tensor:
        return model.joined(model.each(graph), graph)[target].value

    with torch.no_grad():
        graphs = (data.batch(piece, []).graph for piece in pieces)
        each = torch.cat([(said(g) - said(every_atom(g))).abs() for g in graphs])
    return {
        "mean": float(each.mean()),
        "largest": float(each.max()),
        "above 0.001": float((each > 1e-3).double().mean()),
    }


def step(of: Any, graphs: list[CrystalGraph]) -> float:
    """Seconds of the training steps of all."""
    for _ in range(2):  # the first is to get warm
        start = time.process_time()
        for graph in graphs:
            of(graph).square().mean().backward()
        spent = time.process_time() - start
    return spent


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("cache", type=Path)
    parser.add_argument("--crystals", type=int, default=1024)
    parser.add_argument("--model", type=Path, help="trained, for differences of what it predicts")
    wish = parser.parse_args()
    torch.set_num_threads(1)
    prepare_cpu()
    data = GraphDataset.open([wish.cache])
    index = np.arange(min(wish.crystals, len(data)))
    pieces = [index[k : k + BATCH] for k in range(0, len(index), BATCH)]
    graphs = [data.batch(piece, []).graph for piece in pieces]
    few = [distinct_atoms(g) for g in graphs]
    atoms = sum(len(f.atoms) if f else g.n_atoms for f, g in zip(few, graphs, strict=True))
    edges = sum(len(f.edges) if f else g.n_edges for f, g in zip(few, graphs, strict=True))
    found: dict[str, Any] = {
        "crystals": len(index),
        "atoms": [atoms, sum(g.n_atoms for g in graphs)],
        "edges": [edges, sum(g.n_edges for g in graphs)],
    }
    for channels in (0, 8):
        of = network(channels, data)
        found[f"{channels} angle channels"] = {
            "us_per_edge": round(1e6 * step(of, graphs) / edges, 2),
            "gain_of_equal_atoms": round(step(of, [every_atom(g) for g in graphs]) / step(of, graphs), 2),
        }
    of = network(0, data)
    with torch.no_grad():
        for _ in range(2):
            start = time.process_time()
            for piece in pieces:
                of(data.batch(piece, []).graph)
            found["crystals_per_second"] = round(len(index) / (time.process_time() - start))
    if wish.model is not None:
        found["differences"] = differences(wish.model, pieces, data)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
