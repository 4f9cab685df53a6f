"""The work of ``crystal slabs``: starts are written, relaxed by a run of ``crystal relax`` inside, and paired."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import ase
import ase.io
import numpy as np
from ase.data import chemical_symbols

from crystal_slabs import PAIRS, RELAXED, SEAL, STARTS, TABLE
from crystal_slabs.making import Made, Maker
from crystal_slabs.options import SlabsOptions
from crystal_slabs.output import table_text, xyz_frame
from crystal_slabs.pairing import Pair, paired
from crystalcli.contracts.dynamics import fields_of, made_of
from crystalcli.contracts.host import Host
from crystalcli.contracts.request import Request
from crystalcli.contracts.workflow import Run, Work
from crystalcli.nouns.structures.site_fields import of_atoms
from crystalcli.nouns.systems import Systems
from crystalcli.vocabulary.errors import EnvironmentProblem, NothingUsable, UsageError

BLOCK = 64
"""Starts that are relaxed, and whose forces are asked for, together."""


class Slabs(Work):
    """Pairs of slabs.

    Raises:
        UsageError: no potential, or options that cannot work.
    """

    def __init__(self, request: Request, host: Host) -> None:
        self.options: SlabsOptions = request.options
        o = self.options
        if not o.potential:
            raise UsageError("which potential relaxes them? give --potential NAME or --potential MODEL")
        if o.max_moved and o.max_moved <= o.min_moved:
            raise UsageError(f"--max-moved {o.max_moved:g} is not above --min-moved {o.min_moved:g}")
        self.maker = Maker(o)
        self.request = request
        self.potential = host.potential(request, device=o.device)
        known = getattr(self.potential, "elements", None)
        if known and (unknown := sorted(s for s in self.maker.elements if chemical_symbols.index(s) not in known)):
            raise UsageError(f"potential {self.potential.name} does not know {', '.join(unknown)}")
        self.inputs = [model] if (model := host.model_file(o.potential)) else []
        self.parts = [(("calculator" if k == "potential" else k), c.name) for k, c in request.parts.items()]
        self.facts = {"device": str(self.potential.device), **made_of(self.potential)}

    def describe(self) -> dict[str, Any]:
        """The resolved plan."""
        o, said = self.options, self.request.to_json()["options"]
        return {
            **{k: v for k, v in said.items() if k != "facets"},
            "facets": [f for facets in self.maker.facets.values() for f in facets],
            "lattices": self.maker.metals,
            "potential": self.potential.name,
            "relaxer": self.request.parts["relaxer"].name if "relaxer" in self.request.parts else o.relaxer,
        }

    def do(self, run: Run) -> Mapping[str, Any]:
        """Make, relax, pair."""
        o = self.options
        if not _sealed(run.path):
            digest = hashlib.sha256()
            with run.writing(STARTS) as file:
                for k, made in enumerate(self._made()):
                    run.stop_if_asked()
                    frame = xyz_frame(made.atoms, {"id": made.facts["id"]}).encode()
                    digest.update(frame)
                    file.write(frame)
                    run.reporter.progress(f"{k + 1} of {o.count} made", k + 1, o.count)
            run.write(SEAL, digest.hexdigest())
        same = ("potential", "relaxer", "fmax", "steps", "device", "threads", "jobs", "scheduler")
        asked = {
            "structures": (str(run.path / STARTS),),
            "batch_size": BLOCK,
            **{name: getattr(o, name) for name in same},
        }
        begun, before = time.monotonic(), (run.path / RELAXED).exists()
        found = run.child("relax", RELAXED, asked, self.request.parts, reporter=run.reporter.within("relaxing"))
        seconds = time.monotonic() - begun
        if not before:
            run.reporter.say(f"relaxed {o.count} structures in {seconds:.0f} s, {o.count / seconds:.1f} a second")
        return self._together(run, found["rows"])

    def _made(self) -> Iterator[Made]:
        return (self.maker.make(k) for k in range(self.options.count))

    def _together(self, run: Run, rows: list[Mapping[str, Any]]) -> dict[str, Any]:
        pairs: list[Pair] = []
        with run.writing(PAIRS) as file:
            for pair in self._pairs(run, rows):
                pairs.append(pair)
                if not pair.left_out:
                    info = {**pair.said, "potential": self.potential.name}
                    file.write(xyz_frame(pair.made.atoms, info, pair.relaxed).encode())
                pair.forget()
            run.write(TABLE, table_text(pairs))
            kept = [p for p in pairs if not p.left_out]
            if not kept:
                why = ", ".join(f"{n} {reason}" for reason, n in Counter(p.left_out for p in pairs).most_common(3))
                raise NothingUsable(f"no pair of {len(pairs)} structures: {why}; see {run.path / TABLE}")
        failed = sum(p.failed for p in pairs)
        return {
            "made": len(pairs),
            "pairs": len(kept),
            "failed": failed,
            "left_out": dict(sorted(Counter(p.left_out for p in pairs if p.left_out).items())),
            "by": {name: _counted(pairs, name) for name in ("facet", "kind", "config_type", "group")},
            "potential": self.potential.name,
            "moved_slab": _mean([p.said["moved_slab"] for p in kept]),
            "moved_adsorbate": _mean([p.said["moved_adsorbate"] for p in kept]),
            "energy_gained": _mean([p.said["energy_start"] - p.said["energy_relaxed"] for p in kept]),
            "steps": _mean([p.said["steps"] for p in kept]),
            "exit_code": 3 if failed else 0,
        }

    def _pairs(self, run: Run, rows: list[Mapping[str, Any]]) -> Iterator[Pair]:
        """Every structure with what became of it, in order."""
        path = run.path / RELAXED / "relaxed.extxyz"
        frames = ase.io.iread(path, format="extxyz")
        todo, done = zip(self._made(), rows, strict=True), 0
        while block := list(islice(todo, BLOCK)):
            run.stop_if_asked()
            pairs = [
                paired(made, row, _next(frames, made, path) if row["energy"] is not None else None)
                for made, row in block
            ]
            good = [p for p in pairs if not p.failed]
            if good:
                fields = [of_atoms(p.made.atoms, fields_of(self.potential)) for p in good]
                systems = Systems.of([p.start for p in good], self.potential.device, fields)
                evaluated = self.potential.evaluate(systems)
                forces = evaluated.forces.detach().cpu().numpy()
                for p in good:
                    p.settle(forces[: len(p.start)], self.options)
                    forces = forces[len(p.start) :]
            yield from pairs
            done += len(pairs)
            run.reporter.progress(f"{done} of {self.options.count} paired", done, self.options.count)


def _sealed(folder: Path) -> bool:
    """Whether the starts are there as they were written; damaged ones are made again, the same."""
    try:
        with (folder / STARTS).open("rb") as file:
            return (folder / SEAL).read_bytes() == hashlib.file_digest(file, "sha256").hexdigest().encode()
    except FileNotFoundError:
        return False


def _next(frames: Iterator[ase.Atoms], made: Made, path: Path) -> ase.Atoms:
    """The relaxed structure of ``made``, whose turn it is."""
    try:
        atoms = next(frames, None)
    except (ValueError, KeyError, IndexError, OSError):
        atoms = None
    if atoms is None or atoms.info.get("id") != made.facts["id"] or len(atoms) != len(made.atoms):
        said = f"is damaged; remove the folder {path.parent} and give the same command again"
        raise EnvironmentProblem(said, path=path)
    return atoms


def _counted(pairs: list[Pair], name: str) -> dict[str, dict[str, int]]:
    """How many were made and kept of every value."""
    made = Counter(p.said[name] for p in pairs)
    kept = Counter(p.said[name] for p in pairs if not p.left_out)
    return {value: {"made": n, "pairs": kept[value]} for value, n in sorted(made.items())}


def _mean(values: list[float | None]) -> float | None:
    numbers = [v for v in values if v is not None]
    return float(np.mean(numbers)) if numbers else None
