"""What does a step of dynamics cost beside the forces? Ours against ASE's VelocityVerlet, forces for nothing.

Both in one run, in turn. Ours is the whole driver of ``crystal md``: sampler, guards, log rows, frames kept in memory;
ASE's is bare, without logger or trajectory. ASE's null calculator is made as ASE's own are, on ``Calculator.calculate``
(which copies the atoms so that later calls can be answered from memory); a second one leaves that out.

    python benchmarks/md_overhead.py [--cells 5,5,1] [--steps 2000] [--repeats 7] [-o FILE]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import ase.build
import numpy as np
import torch
from ase import units
from ase.calculators.calculator import Calculator
from ase.md.verlet import VelocityVerlet

from crystalcli.contracts import options as opt
from crystalcli.contracts.dynamics import Evaluated
from crystalcli.contracts.host import Reporter
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.engine.run.stopping import StopSignal
from crystalcli.md.loop import Dynamics
from crystalcli.md.options import MdOptions
from crystalcli.md.records import Recorder
from crystalcli.md.setup import SamplingBatch
from crystalcli.md.velocities import maxwell_boltzmann
from crystalcli.nouns.systems import Systems

BAR = 1 / 6


class Nothing:
    """A potential whose forces are zero and cost nothing."""

    name = "nothing"
    provides = frozenset({"energy", "forces"})
    device = torch.device("cpu")

    def __init__(self, systems: Systems) -> None:
        self.found = Evaluated(torch.zeros(systems.n_structures).double(), torch.zeros_like(systems.positions))

    def evaluate(self, systems, *, stress=False):  # noqa: ARG002
        """Zero."""
        return self.found


class Null(Calculator):
    """The same for ASE."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012
    bare = False

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        """Zero."""
        if not self.bare:
            super().calculate(atoms, properties, system_changes)
        self.results = {"energy": 0.0, "forces": np.zeros((len(atoms), 3))}


def ours(atoms: ase.Atoms, sampler: str, folder: Path, steps: int) -> float:
    """Processor seconds for one step of the driver; other programs count less so."""
    part = registry().get("sampler", sampler)
    module = part.build(opt.make(part.options, {}, owner=sampler))
    # slow: without forces nothing keeps warm atoms from running into each other, and the guards stop that
    systems = maxwell_boltzmann(Systems.of([atoms]), 1e-6, 0, ["a"])
    options = MdOptions(sampler=sampler, temperature="0", steps=steps, checkpoint_every=1e9)
    recorder = Recorder([folder], folder / "chunks", systems, 1.0)
    host = SimpleNamespace(path=folder, reporter=Reporter(), stop=StopSignal(), follow=lambda _step, _values: None)
    batch = SamplingBatch(["a"], systems, [])
    run = Dynamics(options, options.program(), (Nothing(systems), module), batch, recorder, host)
    run.begin()
    run.advance()
    start = time.process_time()
    while run.step < steps:
        run.advance()
    spent = time.process_time() - start
    assert not run.halts.found
    return spent / (steps - 10)


def theirs(atoms: ase.Atoms, bare: bool, steps: int) -> float:
    """Seconds for one step of ASE's VelocityVerlet."""
    atoms = atoms.copy()
    atoms.calc = Null()
    atoms.calc.bare = bare
    atoms.set_momenta(np.random.default_rng(0).normal(size=(len(atoms), 3)))
    dynamics = VelocityVerlet(atoms, 1.0 * units.fs)
    dynamics.run(10)
    start = time.process_time()
    dynamics.run(steps)
    return (time.process_time() - start) / steps


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", default="5,5,1", help="of 4 copper atoms")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("-o", "--output", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    atoms = ase.build.bulk("Cu", cubic=True).repeat([int(n) for n in chosen.cells.split(",")])
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(chosen.repeats):
            for sampler in ("nve", "nvt", "langevin"):
                times.setdefault(f"crystal {sampler}", []).append(ours(atoms, sampler, Path(folder), chosen.steps))
            times.setdefault("ase", []).append(theirs(atoms, False, chosen.steps))
            times.setdefault("ase, calculator that copies nothing", []).append(theirs(atoms, True, chosen.steps))
    micro = {k: round(1e6 * statistics.median(v), 2) for k, v in times.items()}
    best = {k: round(1e6 * min(v), 2) for k, v in times.items()}
    ratio = micro["crystal nve"] / micro["ase"]
    result = {
        "question": "cost of a step of dynamics beside the forces, nve, against ASE's VelocityVerlet",
        "atoms": len(atoms),
        "steps": chosen.steps,
        "median_us_per_step": micro,
        "best_us_per_step": best,
        "ratio_median": round(ratio, 4),
        "ratio_best": round(best["crystal nve"] / best["ase"], 4),
        "bar": round(BAR, 4),
        "passes": ratio <= BAR,
        "torch": torch.__version__,
        "ase": ase.__version__,
        "machine": platform.processor(),
    }
    text = json.dumps(result, indent=1)
    print(text)
    if chosen.output:
        chosen.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
