"""What does a step of dynamics with a trained potential cost, against the number of atoms, and what does the skin save?

Corundum of 30 to 1920 atoms, every atom shaken anew by a step's worth before each evaluation, ``pair-moments`` with its
defaults (weights do not matter for the time). With the skin, and with neighbors looked for at every step, in turn.

    python benchmarks/md_cost.py [--largest 1920] [--steps 10] [--dtype float32] [-o FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import ase
import ase.spacegroup
import numpy as np
import torch

from crystalcli.contracts import options as opt
from crystalcli.contracts.records import Architecture, Statistics
from crystalcli.engine.model.model import CrystalModel
from crystalcli.engine.model.model_spec import ModelSpec, PartChoice
from crystalcli.engine.potential.model_potential import SKIN, ModelPotential
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.engine.run.devices import prepare_cpu
from crystalcli.nouns.systems import Systems
from crystalcli.vocabulary.quantities import Quantity

CELLS = {30: (1, 1, 1), 120: (2, 2, 1), 240: (2, 2, 2), 480: (4, 2, 2), 960: (4, 4, 2), 1920: (4, 4, 4)}
STEP = 0.005
"""Å that an atom moves in a femtosecond or so at room temperature."""


def potential(
    dtype: torch.dtype, skin: float, arch: str = "pair-moments", cutoff: float | None = None, **more: object
) -> ModelPotential:
    """An architecture with random weights; ``more`` are its options, the cutoff in Å is its own where none is given."""
    torch.manual_seed(0)
    part = registry().get("architecture", arch)
    assert isinstance(part, Architecture)
    wanted = {**part.partner_options.get("radius", {}), **({"cutoff": cutoff} if cutoff else {})}
    options = opt.to_dict(opt.make(registry().get("featurizer", "radius").options, wanted, owner="radius"))
    statistics_ = Statistics(45.0, (8, 13), {"energy": 0.0}, {"energy": 0.002, "forces": 0.7}, (), (-5.0, -8.0))
    targets = (Quantity("energy", "eV", extensive=True), Quantity("forces", "eV/Å", "site", shape=(3,)))
    head = PartChoice("energy", part.partner_options.get("energy", {}))
    parts = PartChoice("radius", options), PartChoice("radius"), PartChoice(arch, more), head
    return ModelPotential(CrystalModel(ModelSpec(*parts, targets, statistics_)), "random", dtype=dtype, skin=skin)


def corundum(n: int) -> ase.Atoms:
    """``n`` atoms of α-Al₂O₃."""
    cell = [4.759, 4.759, 12.991, 90, 90, 120]
    sites = [(0, 0, 0.35228), (0.30641, 0, 0.25)]
    return ase.spacegroup.crystal(["Al", "O"], sites, spacegroup=167, cellpar=cell).repeat(CELLS[n])


def seconds(found: ModelPotential, atoms: ase.Atoms, steps: int) -> tuple[float, int]:
    """Processor seconds for one evaluation (median), and how often neighbors were looked for."""
    rng = np.random.default_rng(0)
    systems = Systems.of([atoms])
    found.evaluate(systems)
    before, times = found.moving.builds, []
    for _ in range(steps):
        systems = systems.moved(positions=systems.positions + torch.as_tensor(rng.normal(0, STEP, (len(atoms), 3))))
        start = time.process_time()
        found.evaluate(systems)
        times.append(time.process_time() - start)
    return statistics.median(times), found.moving.builds - before


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--largest", type=int, default=1920)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("-o", "--output", type=Path)
    asked = parser.parse_args()
    prepare_cpu()
    torch.set_num_threads(1)
    dtype = getattr(torch, asked.dtype)
    rows = []
    for n in (k for k in CELLS if k <= asked.largest):
        atoms = corundum(n)
        with_skin, builds = seconds(potential(dtype, SKIN), atoms, asked.steps)
        without, _ = seconds(potential(dtype, 0.0), atoms, max(3, asked.steps // 3))
        rows.append({"atoms": n, "ms": 1e3 * with_skin, "ms_every_step": 1e3 * without, "searches": builds})
    atoms_, ms = (np.array([r[k] for r in rows], dtype=float) for k in ("atoms", "ms"))
    slope, intercept = np.polyfit(atoms_, ms, 1)
    left = ms - (slope * atoms_ + intercept)
    result = {
        "question": "cost of a step of dynamics against the number of atoms",
        "dtype": asked.dtype,
        "steps": asked.steps,
        "rows": [{**r, "us_per_atom": 1e3 * r["ms"] / r["atoms"]} for r in rows],
        "us_per_atom_and_step": 1e3 * slope,
        "r2_of_line": 1.0 - float(np.square(left).sum() / np.square(ms - ms.mean()).sum()),
        "gain_of_skin": [r["ms_every_step"] / r["ms"] for r in rows],
    }
    text = json.dumps(result, indent=2)
    print(text)
    if asked.output:
        asked.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
