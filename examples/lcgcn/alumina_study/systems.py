"""The runs of the study as files and graph caches, and which snapshots train, validate and test."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from alumina_study.program import crystal
from alumina_study.records import Cell, Method, Scale
from crystalcli.engine.data import split_rules, splits
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.registry.plugin_manager import registry

Index = NDArray[np.int64]
GAP = 150.0
"""fs left out between training, validation and test blocks: the energy's correlation time is shorter."""
RAMP_ROUNDS = 10
FRACTIONS = splits.Fractions(0.6, 0.2, 0.2)
EQUILIBRIUM = "equilibrium"


@dataclass(frozen=True)
class Systems:
    """Files and caches under ``output``, made from the runs in ``data``."""

    data: Path
    output: Path
    scale: Scale

    def pool(self, run: str) -> Path:
        """The snapshots of a run that take part."""
        source = self.data / f"{run}.h5"
        if not self.scale.pool:
            return source
        return self._thinned(run, "pool", _even(_with_forces_first(source), self.scale.pool))

    def tested(self, name: str) -> Path:
        """What others are tested on: ``RUN``, all of it or evenly spaced; ``RUN/last``, its test blocks."""
        if name == EQUILIBRIUM:
            return self.data / "equilibrium.extxyz"
        run, _, part = name.partition("/")
        pool = self.pool(run)
        with h5py.File(pool) as h:
            frames = np.arange(len(h["energy"]))
        if part:
            frames = self.split(run, "block", 0).test
        elif not self.scale.probe or self.scale.probe >= len(frames):
            return pool
        kept = _even(frames, self.scale.probe) if self.scale.probe else frames
        return self._thinned(run, "last" if part else "probe", kept, source=pool)

    def split(self, run: str, kind: str, seed: int) -> splits.Split:
        """6:2:2 of the frames of a pool: blocks of time with gaps (interleaved in a ramp), or at random."""
        with h5py.File(self.pool(run)) as h:
            n, spacing = len(h["energy"]), float(np.median(np.diff(h["step"][()])))
        frames = np.arange(n)
        if kind == "random":
            return split_rules.grouped(frames, frames, FRACTIONS, seed, "random")
        rounds = RAMP_ROUNDS if run.endswith("ramp") else 1
        gap = max(1, min(round(GAP / spacing), n // rounds // 10))
        return split_rules.time_blocks(frames, np.zeros(n, dtype=np.int64), frames, FRACTIONS, gap=gap, rounds=rounds)

    def cache(self, file: Path, method: Method) -> Path:
        """The graph cache of ``file`` that suits ``method``."""
        name, _ = graphs_of(method)
        where = file.parent.name if file.is_relative_to(self.output) else "whole"
        return self.output / "caches" / name / where / f"{file.stem}.h5"

    def build(self, file: Path, method: Method, jobs: int) -> None:
        """Build the cache of ``file`` with ``crystal build-graphs``; one that is up to date is left as it is."""
        _, flags = graphs_of(method)
        labels = "energy/atom,energy"
        if file.suffix != ".extxyz":
            labels += ",forces,pressure" if "pressure" in method.target else ",forces"
        target = self.cache(file, method)
        target.parent.mkdir(parents=True, exist_ok=True)
        crystal("build-graphs", str(file), *flags, "--targets", labels, "--jobs", str(jobs), "-o", str(target))

    def ids(self, cell: Cell, method: Method) -> tuple[list[Path], dict[str, list[str]]]:
        """Caches to train on, and the split of ``cell`` by ids; the test part is that of the first run."""
        paths = [self.cache(self.pool(run), method) for run, _, _ in cell.parts]
        named: dict[str, list[str]] = {"train": [], "val": [], "test": []}
        for k, (path, (run, n_train, n_val)) in enumerate(zip(paths, cell.parts, strict=True)):
            ids = GraphDataset.open([path]).ids
            split = self.split(run, cell.split, cell.seed)
            named["train"] += [ids[i] for i in _even(split.train, n_train)]
            named["val"] += [ids[i] for i in _even(split.val, n_val)]
            named["test"] += [ids[i] for i in _even(split.test, self.scale.probe)] if k == 0 else []
        return paths, named

    def _thinned(self, run: str, part: str, frames: Index, source: Path | None = None) -> Path:
        digest = hashlib.sha256(frames.tobytes()).hexdigest()[:8]
        target = self.output / "data" / f"{part}-{len(frames)}-{digest}" / f"{run}.h5"
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            _thin(source or self.data / f"{run}.h5", target, frames)
        return target


def graphs_of(method: Method) -> tuple[str, list[str]]:
    """Featurizer and its options, as a folder's name and as flags."""
    featurizer = "cgcnn" if method.baseline else registry().get("architecture", method.arch).featurizer  # type: ignore[attr-defined]
    name = "-".join([featurizer, *(f"{k}{v}" for k, v in sorted(method.graph.items()))])
    return name, ["--featurizer", featurizer, *flags(method.graph)]


def flags(values: Mapping[str, Any]) -> list[str]:
    """Options as words of a command line."""
    return [word for k, v in values.items() for word in (f"--{k}", str(v))]


def _with_forces_first(path: Path) -> Index:
    """Frames that may take part: those with forces, or all where there are none."""
    with h5py.File(path) as h:
        frames = np.asarray(h["force_index"][()], dtype=np.int64)
        return frames if len(frames) else np.arange(len(h["energy"]))


def _even(frames: Index, count: int) -> Index:
    """At most ``count`` of ``frames`` (0: all), evenly spaced."""
    if not 0 < count < len(frames):
        return frames
    return frames[np.linspace(0, len(frames) - 1, count).round().astype(np.int64)]


def _thin(source: Path, target: Path, frames: Index) -> None:
    """Write ``frames`` of a run in the same format."""
    temporary = target.with_suffix(".tmp")
    with h5py.File(source) as a, h5py.File(temporary, "w") as b:
        for name in ("numbers", "cell", "reference_positions"):
            b[name] = a[name][()]
        for name in ("displacement", "energy", "temperature", "pressure_bar", "step"):
            b.create_dataset(name, data=a[name][()][frames], compression="gzip", shuffle=True)
        rows = {int(k): row for row, k in enumerate(a["force_index"][()])}
        kept = [k for k, f in enumerate(frames.tolist()) if f in rows]
        b.create_dataset("force_index", data=np.array(kept, dtype=np.int32))
        forces = a["force"][()][[rows[int(frames[k])] for k in kept]]
        b.create_dataset("force", data=forces, compression="gzip", shuffle=True)
    temporary.replace(target)
