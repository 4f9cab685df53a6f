"""What does a force call of ``nequip`` cost beside the package nequip at equal size, and what a training step?

Corundum, 5 Å, three layers, l ≤ 2, features as harmonics turn in a mirror, radial network 64-64, single precision,
random weights (they do not matter for the time), stress included in both. Turn by turn in one run; the smallest
processor time counts. Ours looks for neighbors where atoms have moved far enough; the package is given its graph ready.

    pip install nequip==0.19.1
    python benchmarks/nequip_package.py [--channels 32,64] [--atoms 30,120,240,960] [--turns 5] [--compiled] [-o FILE]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase
import numpy as np
import torch
from md_cost import STEP, corundum, potential

from crystalcli.engine.potential.model_potential import SKIN
from crystalcli.engine.run.devices import prepare_cpu
from crystalcli.nouns.systems import Systems

CUTOFF, WIDTH, LAYERS, L_MAX = 5.0, 64, 3, 2
LARGEST_STEP = 240
"""Atoms up to which a training step is taken: the package keeps all of it in memory."""


def ours(atoms: ase.Atoms, channels: int, frames: int) -> dict[str, Callable[[], object]]:
    """A force call on atoms that move, and a step of training on forces."""
    size: dict[str, Any] = {"channels": str(channels), "radial_width": WIDTH, "n_layers": LAYERS, "l_max": L_MAX}
    found = potential(torch.float32, SKIN, "nequip", CUTOFF, **size)
    rng, systems = np.random.default_rng(0), [Systems.of([atoms] * frames)]

    def call() -> object:
        moved = systems[0].positions + torch.as_tensor(rng.normal(0, STEP, (frames * len(atoms), 3)))
        systems[0] = systems[0].moved(positions=moved)
        return found.evaluate(systems[0], stress=True)

    model = potential(torch.float32, SKIN, "nequip", CUTOFF, **size).members[0]
    model.train().requires_grad_(True)
    weights, graph = [w for w in model.parameters() if w.requires_grad], found.moving.of(systems[0])

    def step() -> object:
        loss = model(graph)["forces"].value.square().mean()
        return torch.autograd.grad(loss, weights, allow_unused=True)

    return {"force call": call, "training step": step}


def theirs(atoms: ase.Atoms, channels: int, frames: int, mode: str) -> dict[str, Callable[[], object]]:
    """The same by the package."""
    from nequip.data import AtomicDataDict, compute_neighborlist_, from_ase
    from nequip.data.transforms import ChemicalSpeciesToAtomTypeMapper
    from nequip.model import NequIPGNNModel
    from nequip.utils.global_state import set_global_state

    set_global_state()
    model: Any = NequIPGNNModel(
        seed=0,
        model_dtype="float32",
        r_max=CUTOFF,
        type_names=["Al", "O"],
        num_layers=LAYERS,
        l_max=L_MAX,
        parity=False,
        num_features=channels,
        type_embed_num_features=2,  # the elements, as in our self-connections; by default as many as channels
        radial_mlp_depth=2,
        radial_mlp_width=WIDTH,
        avg_num_neighbors=45.0,
        compile_mode=mode,
    )
    one = ChemicalSpeciesToAtomTypeMapper(["Al", "O"])(compute_neighborlist_(from_ase(atoms), r_max=CUTOFF))
    graph = AtomicDataDict.batched_from_list([one] * frames)
    graph = {k: v.float() if v.is_floating_point() else v for k, v in graph.items()}
    weights = [w for w in model.parameters() if w.requires_grad]

    def call() -> object:
        model.eval()
        return model(dict(graph))[AtomicDataDict.FORCE_KEY]

    def step() -> object:
        model.train()
        loss = model(dict(graph))[AtomicDataDict.FORCE_KEY].square().mean()
        return torch.autograd.grad(loss, weights, allow_unused=True)

    return {"force call": call, "training step": step}


def side_by_side(pair: dict[str, Callable[[], object]], turns: int) -> dict[str, float]:
    """The smallest processor milliseconds of each, in turn."""
    best = dict.fromkeys(pair, np.inf)
    for turn in range(turns + 1):
        for name, does in pair.items():
            start = time.process_time()
            does()
            if turn:  # the first makes tables, or compiles
                best[name] = min(best[name], 1e3 * (time.process_time() - start))
    return best


def main() -> None:
    """Measure and print JSON, a row for each size."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--channels", default="32,64")
    parser.add_argument("--atoms", default="30,120,240,960")
    parser.add_argument("--turns", type=int, default=5)
    compiled = "the package's torch.compile form, of two boxes at a time (minutes to begin)"
    parser.add_argument("--compiled", action="store_true", help=compiled)
    parser.add_argument("--alone", action="store_true", help="ours only: how its cost and memory grow")
    parser.add_argument("-o", "--output", type=Path)
    asked = parser.parse_args()
    if not asked.alone and importlib.util.find_spec("nequip") is None:
        raise SystemExit("the package nequip is not installed; pip install nequip==0.19.1, or --alone")
    prepare_cpu()
    torch.set_num_threads(1)
    mode, rows = ("compile" if asked.compiled else "eager"), []
    frames = 2 if asked.compiled else 1  # of one structure the package compiles nothing
    for channels in map(int, asked.channels.split(",")):
        for n in map(int, asked.atoms.split(",")):
            atoms = corundum(n)
            atoms.rattle(0.05, seed=0)
            mine, other = ours(atoms, channels, frames), {} if asked.alone else theirs(atoms, channels, frames, mode)
            for what in mine:
                if what == "training step" and n > LARGEST_STEP:
                    continue
                pair = {"ours": mine[what], **({"package": other[what]} if other else {})}
                ms = side_by_side(pair, asked.turns)
                row = {
                    "channels": channels,
                    "atoms": frames * n,
                    "what": what,
                    **{k: round(v, 1) for k, v in ms.items()},
                }
                if other:
                    row["ratio"] = round(ms["package"] / ms["ours"], 2)
                else:
                    row["peak_MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
                rows.append(row)
                print(json.dumps(row), flush=True)
    if asked.output:
        asked.output.write_text(json.dumps({"package": mode, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
