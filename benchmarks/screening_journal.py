"""What does it cost a screening to survive being killed?

    python benchmarks/screening_journal.py [--candidates 28800] [--members 5]

Crystals of two atoms, the least that there is to predict, are screened by an ensemble of the default size in one step.
Counted is all that the journal of predictions does, from looking for an earlier one to the last line on the disk, and
what it takes to make and to read its lines, beside the whole screening: reading graphs, predictions, hulls, tables.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.build
import numpy as np
import torch

from crystalcli.cli.main import run
from crystalcli.contracts.request import Request
from crystalcli.engine.cache.cache import Column, GraphRecipe
from crystalcli.engine.cache.cache_packing import pack
from crystalcli.engine.cache.cache_writer import CacheWriter
from crystalcli.engine.drawing import plots
from crystalcli.engine.host import life
from crystalcli.engine.run.devices import prepare_cpu
from crystalcli.engine.run.journal import Journal
from crystalcli.nouns.neighbors import build_graph
from crystalcli.screen.ensembles import Predictions
from crystalcli.screen.options import ScreenOptions
from crystalcli.screen.workflow import SCREEN
from crystalcli.vocabulary.quantities import Quantity

METALS, ANIONS = ("Na", "K", "Li", "Mg", "Ca"), ("Cl", "F", "Br", "O")
TARGET = Quantity("formation_energy_per_atom", "eV/atom")


def crystals(path: Path, n: int, *, labelled: bool) -> Path:
    """A cache of rocksalts and caesium chlorides of five metals and four anions in n sizes."""
    rng = np.random.default_rng(n)
    with CacheWriter(path) as writer:
        for k in range(n):
            name = str(rng.choice(METALS)) + str(rng.choice(ANIONS))
            kind, a = (("rocksalt", 5.0), ("cesiumchloride", 3.2))[k % 2]
            atoms = ase.build.bulk(name, kind, a=a * (0.9 + 0.3 * rng.random()))
            writer.add(f"{name}-{k:05d}", f"{k}", pack(build_graph(atoms, cutoff=8.0, max_neighbors=12)))
        known = [Column(TARGET, rng.normal(-1.0, 0.3, n), np.ones(n, dtype=bool))] if labelled else []
        writer.finish(GraphRecipe("cgcnn", {"cutoff": 8.0, "max_neighbors": 12}), known)
    return path


class Clock:
    """Adds up the time spent in some functions, those called by them not twice."""

    def __init__(self) -> None:
        self.seconds, self.inside = 0.0, False

    def on(self, owner: Any, name: str) -> None:
        """Watch ``owner.name``."""
        setattr(owner, name, self._watched(getattr(owner, name)))

    def _watched(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **more: Any) -> Any:
            if self.inside:
                return function(*args, **more)
            self.inside, start = True, time.perf_counter()
            try:
                return function(*args, **more)
            finally:
                self.inside = False
                self.seconds += time.perf_counter() - start

        return watched


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=28_800)
    parser.add_argument("--members", type=int, default=5)
    wish = parser.parse_args()
    torch.set_num_threads(1)
    prepare_cpu()
    plots.save = lambda _figure, _path: None
    clock = Clock()
    for owner, names in (
        (Journal, ("__init__", "add", "__contains__", "__getitem__")),
        (Predictions, ("to_json", "from_json")),
    ):
        for name in names:
            clock.on(owner, name)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        known = crystals(folder / "known.h5", 60, labelled=True)
        candidates = crystals(folder / "candidates.h5", wish.candidates, labelled=False)
        model = str(folder / "model")
        line = f"train {known} --ensemble {wish.members} --epochs 2 --batch-size 16 --threads 1 --no-compare --quiet"
        if run([*line.split(), "-o", model]):
            sys.exit("the training failed")
        clock.seconds, start = 0.0, time.perf_counter()
        options = ScreenOptions(candidates=(str(candidates),), model=model, threads=1)
        data = life.run(SCREEN, Request(options, path=folder / "run")).data
        seconds = time.perf_counter() - start
    print(
        json.dumps(
            {
                "candidates": data["candidates"],
                "members": wish.members,
                "seconds": round(seconds, 1),
                "journal_seconds": round(clock.seconds, 3),
                "share": round(clock.seconds / seconds, 5),
            }
        )
    )


if __name__ == "__main__":
    main()
