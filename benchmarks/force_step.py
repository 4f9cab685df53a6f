"""How long is one training step on forces of lcgcn-ff's sums, beside the same sums in plain torch?

Energy, forces by autograd, a loss of the forces and its gradients of all weights, on random edges as many as four
crystals of 240 atoms have within 4.5 Å; ours and the plain twin
in turn within one run. The fastest of the repeats counts.

    python benchmarks/force_step.py [--atoms 960] [--degree 42] [--width 32] [--repeats 9] [--threads 1] [-o FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from reference import force_field as twin

from crystalcli.contracts.nn.edge_blocks import Gates
from crystalcli.contracts.nn.edge_plan import EdgePlan
from crystalcli.contracts.nn.gate_sum import gate_sum


def planned(centre: Tensor, neighbor: Tensor, n_atoms: int) -> EdgePlan:
    """Plan of the edges of one crystal."""
    n_edges = len(centre)
    pointers = np.concatenate([[0], np.cumsum(np.bincount(centre.numpy(), minlength=n_atoms))])
    ends = np.array([[n_atoms, n_atoms, n_edges, n_edges, n_edges]])
    gates = Gates(centre.numpy(), neighbor.numpy(), None, None, pointers, ends)
    return EdgePlan(None, gates, n_atoms, n_edges, spread=None, make_sums=None)


def step(messages: Callable[[Tensor, Tensor, Tensor], Tensor], leaves: list[Tensor], distances: Tensor) -> Tensor:
    """One step; gradients stay in the leaves (addends, weights of the distances)."""
    addends, weight = leaves
    x = distances.detach().requires_grad_()
    centers = torch.linspace(0.0, 1.0, len(weight))
    basis = torch.exp(-(((x.unsqueeze(1) - centers) * len(weight)) ** 2))
    energy = messages(addends, basis @ weight, (1.0 - x * x) ** 3).square().sum()
    (forces,) = torch.autograd.grad(energy, x, create_graph=True)
    loss = forces.square().mean() + energy
    for leaf in leaves:
        leaf.grad = None
    torch.autograd.backward(loss, inputs=leaves)
    return loss.detach()


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in (("atoms", 960), ("degree", 42), ("width", 32), ("repeats", 9), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    centre = torch.arange(args.atoms).repeat_interleave(args.degree)
    neighbor = (centre + torch.randint(-100, 100, centre.shape)) % args.atoms
    distances = 0.3 + 0.7 * torch.rand(len(centre))
    leaves = [0.5 * torch.randn(args.atoms, 4 * args.width), 0.5 * torch.randn(15, 2 * args.width)]
    leaves = [leaf.requires_grad_() for leaf in leaves]

    def ours(a: Tensor, c: Tensor, f: Tensor) -> Tensor:
        return gate_sum(a, c, planned(centre, neighbor, args.atoms), f)

    def plain(a: Tensor, c: Tensor, f: Tensor) -> Tensor:
        return twin.gated_messages(a, c, f, centre, neighbor)

    ways, seconds, losses = {"ours": ours, "plain": plain}, {"ours": [], "plain": []}, {}
    for _ in range(args.repeats + 1):
        for name, way in ways.items():
            start = time.process_time()
            losses[name] = float(step(way, leaves, distances))
            seconds[name].append(time.process_time() - start)
    best = {name: min(values[1:] or values) for name, values in seconds.items()}
    report = {
        "edges": len(centre),
        "cpu_ms": {name: round(1e3 * value, 2) for name, value in best.items()},
        "gain": round(best["plain"] / best["ours"], 2),
        "relative_difference_of_losses": abs(losses["ours"] / losses["plain"] - 1.0),
        "settings": {k: v for k, v in vars(args).items() if k != "output"},
    }
    text = json.dumps(report, indent=1)
    print(text)
    if args.output:
        args.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
