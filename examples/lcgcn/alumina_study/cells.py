"""Computes one cell: trains and tests, each step once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import ase.io
import numpy as np

from alumina_study.journal import Journal
from alumina_study.program import CommandFailed, crystal
from alumina_study.records import Cell, Method
from alumina_study.systems import EQUILIBRIUM, Systems, flags
from alumina_study.timing import timed
from crystalcli.contracts.modules import Baseline
from crystalcli.engine.baselines import baselines
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.run import files

ENERGY = "energy_per_atom"


@dataclass(frozen=True)
class Bench:
    """Where and how cells are computed."""

    systems: Systems
    journal: Journal
    device: str = "auto"
    threads: int = 1
    given: Mapping[str, Path] = field(default_factory=dict)

    def compute(self, cell: Cell, method: Method) -> None:
        """Do what is not done yet of ``cell``."""
        work = self._baseline if method.baseline else self._network
        work(cell, method)

    def _missing(self, cell: Cell) -> list[str]:
        return [t for t in cell.tests if self.journal.read(cell, t) is None]

    def _keep(self, cell: Cell, name: str, make: Callable[[], dict[str, Any]]) -> None:
        if self.journal.read(cell, name) is None:
            began, busy = time.perf_counter(), time.process_time()
            found = make()
            spent = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - busy}
            self.journal.write(cell, name, {**found, **{k: round(v, 2) for k, v in spent.items()}})

    def _network(self, cell: Cell, method: Method) -> None:
        run = self.given[method.name] if method.given else self.journal.of(cell) / "run"
        self._keep(cell, "trained", lambda: {} if method.given else self._train(cell, method, run))
        for name in self._missing(cell):
            self._keep(cell, name, partial(self._predict, cell, run, name, method))

    def _train(self, cell: Cell, method: Method, run: Path) -> dict[str, Any]:
        caches, named = self.systems.ids(cell, method)
        split = self.journal.of(cell) / "split.json"
        files.write_text(split, json.dumps(named))
        targets = [word for t in method.target for word in ("--target", t)]
        machine = ["--threads", str(self.threads), "--device", self.device]
        line = [*map(str, caches), "--arch", method.arch, *targets, *flags(cell.settings), "--split-file", str(split)]
        if (run / "run.json").exists():
            try:
                report = crystal("train", "--resume", str(run), *machine)
            except CommandFailed:  # finished but not noted, or too early for a state
                report = crystal("train", *line, "--seed", str(cell.seed), *machine, "-o", str(run), "--overwrite")
        else:
            report = crystal("train", *line, "--seed", str(cell.seed), *machine, "-o", str(run))
        test = report["test"][method.target[0]]["model"]
        forces = report["test"].get("forces", {}).get("model") or {}
        counts = {k: len(v) for k, v in named.items()}
        return {"mae": 1e3 * test["mae"], "n": test["n"], "counts": counts, "forces_mae": forces.get("mae")}

    def _predict(self, cell: Cell, run: Path, name: str, method: Method) -> dict[str, Any]:
        if name == "time":
            return timed(run, self.systems.tested(EQUILIBRIUM), self.systems.scale.timed)
        cache = self.systems.cache(self.systems.tested(name), method)
        where = ["--device", self.device, "--threads", str(self.threads), "--overwrite"]
        output = self.journal.of(cell) / f"{name.replace('/', '-')}.jsonl"
        report = crystal("predict", str(run), str(cache), "-o", str(output), *where)
        if name == EQUILIBRIUM:
            rows = [json.loads(line)["predictions"] for line in output.read_text(encoding="utf-8").splitlines()]
            values = [float(r[method.target[0]]["value"]) for r in rows]
            return self._signed(values, per_atom=method.target[0].endswith("_per_atom"))
        output.unlink()
        found = next(e for k, e in report["errors"].items() if k.startswith("energy"))
        forces = report["errors"].get("forces", {})
        return {"mae": 1e3 * found["mae"], "n": found["n"], "forces_mae": forces.get("mae")}

    def _baseline(self, cell: Cell, method: Method) -> None:
        caches, named = self.systems.ids(cell, method)
        data = GraphDataset.open(caches)
        place = {name: k for k, name in enumerate(data.ids)}
        index = {part: np.array([place[i] for i in ids], dtype=np.int64) for part, ids in named.items()}
        fitted = baselines.fit(method.baseline, data, index["train"], ENERGY)
        counts = {k: len(v) for k, v in named.items()}
        self._keep(cell, "trained", lambda: {**_errors(fitted, data, index["test"]), "counts": counts})
        for name in self._missing(cell):
            other = GraphDataset.open([self.systems.cache(self.systems.tested(name), method)])
            every = np.arange(len(other))
            if name == EQUILIBRIUM:
                values = baselines.evaluate(fitted, other, every)
                self._keep(cell, name, partial(self._signed, values.tolist(), per_atom=True))
            else:
                self._keep(cell, name, partial(_errors, fitted, other, every))

    def _signed(self, values: list[float], *, per_atom: bool) -> dict[str, Any]:
        """Predicted less true energies of the relaxed structures, meV/atom, by name."""
        structures: Any = ase.io.read(self.systems.tested(EQUILIBRIUM), index=":")
        signed = {}
        for atoms, value in zip(structures, values, strict=True):
            energy = value if per_atom else value / len(atoms)
            signed[str(atoms.info["name"])] = 1e3 * (energy - atoms.get_potential_energy() / len(atoms))
        return {"signed": signed}


def _errors(fitted: Baseline, data: GraphDataset, index: Any) -> dict[str, Any]:
    found = baselines.evaluate(fitted, data, index) - data.columns[ENERGY].values[index]
    return {"mae": 1e3 * float(np.abs(found).mean()), "n": len(index), "forces_mae": None}
