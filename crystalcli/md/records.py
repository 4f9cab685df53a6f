"""What a run leaves behind while it goes on: rows of the log and frames, first in memory, then in sealed chunks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crystalcli.contracts.dynamics import Evaluated
from crystalcli.engine.run import files
from crystalcli.md.options import LAST
from crystalcli.md.trajectory import Cast, Chunks, Frame, FrameWriter, chained
from crystalcli.nouns.systems import Systems, kinetic_energy, temperature, volume
from crystalcli.vocabulary.tables import csv_line
from crystalcli.vocabulary.units import GPA

COLUMNS = (
    "step", "time_ps", "target_K", "temperature_K", "potential_eV", "kinetic_eV", "total_eV", "conserved_eV",
    "pressure_GPa", "volume_A3",
)  # fmt: skip
SIGMA = "sigma_eV"
_FRAME = ("positions", "velocities", "forces", "cell", "energy", "temperature", "stress", "sigma", "alive")
CHUNK_FRAMES, CHUNK_NUMBERS = 100, 4_000_000
"""A chunk has so many frames, fewer where they hold more numbers than that."""
HELD = 1_000_000
"""Rows are made numbers when they hold so many atoms together: before that it costs time, later memory."""


def chunk_steps(frame_every: int, atoms: int) -> int:
    """Steps of one chunk for ``atoms`` in all, with a frame every so many steps."""
    return max(1, min(CHUNK_FRAMES, CHUNK_NUMBERS // max(1, 9 * atoms))) * frame_every


@dataclass(frozen=True)
class LogRow:
    """One row of the log of every structure as it comes; (S,) or (S, 3, 3) tensors.

    The target (K) is NaN where nothing holds the temperature.
    """

    step: int
    target: float
    systems: Systems
    evaluated: Evaluated
    conserved: Tensor
    alive: Tensor


def table(rows: Sequence[LogRow], dt: float) -> Tensor:
    """Rows as numbers, (R, S, C) float64; NaN where there is no such number."""
    return torch.stack([_numbers(r, dt) for r in rows])


def _numbers(row: LogRow, dt: float) -> Tensor:
    systems, evaluated = row.systems, row.evaluated
    size, kinetic = volume(systems), kinetic_energy(systems)
    none = torch.full_like(kinetic, torch.nan)
    solid = systems.pbc.all(1)
    pressure = none
    if evaluated.stress is not None:
        trace = evaluated.stress.diagonal(dim1=1, dim2=2).sum(1)
        pressure = torch.where(solid, (2.0 * kinetic / size - trace) / (3.0 * GPA), none)
    cells = [
        torch.full_like(kinetic, row.step), torch.full_like(kinetic, row.step * dt * 1e-3),
        torch.full_like(kinetic, row.target), temperature(systems), evaluated.energy, kinetic,
        evaluated.energy + kinetic, row.conserved, pressure, torch.where(solid, size, none),
    ]  # fmt: skip
    if evaluated.sigma is not None:
        cells.append(evaluated.sigma)
    return torch.stack(cells, 1)


@dataclass
class Recorder:
    """Collects rows and frames; seals them into chunks of fixed length.

    Args:
        folders: of the files of every structure.
        chunks: the folder of all chunks.
        systems: as they start.
        dt: fs.
        sigma: whether rows have an ensemble's sigma.
        early: rows of the open chunk from before a restart, (R, S, C) numbers and (R, S) who lived.
        rows, frames, steps: what came since; the steps are those of the frames.
        sealed: chunks written. chains: their hashes.
    """

    folders: Sequence[Path]
    chunks: Path
    systems: Systems
    dt: float
    sigma: bool = False
    early: tuple[Tensor, Tensor] | None = None
    rows: list[LogRow] = field(default_factory=list)
    frames: list[dict[str, Tensor]] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    sealed: int = 0
    chains: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        counts = self.systems.atom_counts.tolist()
        self.stops = np.cumsum(counts)
        host = {k: getattr(self.systems, k).cpu().numpy() for k in ("atomic_numbers", "masses", "fixed", "pbc")}
        self.solid = host["pbc"].all(1)
        self.spans = [slice(int(s) - n, int(s)) for s, n in zip(self.stops, counts, strict=True)]
        self.writers = [
            FrameWriter(Cast(host["atomic_numbers"][s], host["masses"][s], host["pbc"][k], host["fixed"][s]))
            for k, s in enumerate(self.spans)
        ]
        pieces = [self.chunks / f"{k:06d}" for k in range(len(counts))]
        self.thermo = [Chunks(f, ".csv") for f in pieces]
        self.trajectories = [Chunks(f, ".extxyz") for f in pieces]
        if not self.chains:
            self.chains = {"thermo": [""] * len(counts), "trajectories": [""] * len(counts)}

    @property
    def header(self) -> str:
        """First line of the log."""
        return csv_line([*COLUMNS, SIGMA] if self.sigma else COLUMNS)

    def log(self, row: LogRow) -> None:
        """Keep one row of every living structure."""
        self.rows.append(row)
        if len(self.rows) * self.systems.n_atoms >= HELD:
            self.early, self.rows = self._rows(), []

    @property
    def open(self) -> bool:
        """Whether something is kept that is not sealed."""
        return bool(self.rows or self.frames or self.early is not None)

    def _rows(self) -> tuple[Tensor, Tensor] | None:
        parts = [] if self.early is None else [self.early]
        if self.rows:
            parts.append((table(self.rows, self.dt), torch.stack([r.alive for r in self.rows])))
        return (torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])) if parts else None

    def frame(self, step: int, systems: Systems, evaluated: Evaluated, alive: Tensor) -> None:
        """Keep one frame of every living structure."""
        self.steps.append(step)
        self.frames.append(_seen(systems, evaluated, alive))

    def write_last(self, step: int, systems: Systems, evaluated: Evaluated, alive: Tensor) -> None:
        """Write where every structure is: a frame of the living, the bare geometry of those that were stopped."""
        found = {k: v.cpu().numpy() for k, v in _seen(systems, evaluated, alive).items()}
        for k, (folder, writer) in enumerate(zip(self.folders, self.writers, strict=True)):
            frame = self._frame(step, found, k)
            files.write_text(folder / LAST, writer.text(frame) if found["alive"][k] else writer.geometry(frame))

    def seal(self) -> None:
        """Write what is kept as the next chunk of every structure; forget it."""
        kept = self._rows()
        rows = [] if kept is None else list(zip(kept[0].tolist(), kept[1].tolist(), strict=True))
        frames = [{k: v.cpu().numpy() for k, v in f.items()} for f in self.frames]
        for k in range(len(self.folders)):
            lines = [csv_line(_cells(values[k])) for values, alive in rows if alive[k]]
            texts = [
                self.writers[k].text(self._frame(s, f, k))
                for s, f in zip(self.steps, frames, strict=True)
                if f["alive"][k]
            ]
            for kind, chunks, text in (
                ("thermo", self.thermo[k], "".join(lines)),
                ("trajectories", self.trajectories[k], "".join(texts)),
            ):
                digest = chunks.seal(self.sealed, text)
                self.chains[kind][k] = chained(self.chains[kind][k], digest)
        self.sealed += 1
        self.early, self.rows, self.frames, self.steps = None, [], [], []

    def _frame(self, step: int, found: Mapping[str, Any], k: int) -> Frame:
        span = self.spans[k]
        return Frame(
            step=step,
            time=step * self.dt,
            positions=found["positions"][span],
            velocities=found["velocities"][span],
            forces=found["forces"][span],
            cell=found["cell"][k],
            energy=float(found["energy"][k]),
            temperature=float(found["temperature"][k]),
            stress=found["stress"][k] if "stress" in found and self.solid[k] else None,
            sigma=float(found["sigma"][k]) if "sigma" in found else None,
        )

    def adopt(self, known: Sequence[Mapping[str, str]], trajectory: str, log: str) -> None:
        """Take the joined files of a finished run as the first sealed piece.

        Args:
            known: their hashes by name, for every structure.
            trajectory: name of the trajectory.
            log: name of the log.

        Raises:
            UsageError: one of them is missing, or not as the run left it.
        """
        for k, folder in enumerate(self.folders):
            thermo = self.thermo[k].adopt(folder / log, known[k].get(log, ""), self.header)
            self.chains["thermo"][k] = chained("", thermo)
            self.chains["trajectories"][k] = chained(
                "", self.trajectories[k].adopt(folder / trajectory, known[k].get(trajectory, ""))
            )
        self.sealed = 1

    def check(self) -> None:
        """Make sure that the sealed chunks are those that were written.

        Raises:
            UsageError: one is missing or damaged.
        """
        for k in range(len(self.folders)):
            self.thermo[k].check(self.sealed, self.chains["thermo"][k])
            self.trajectories[k].check(self.sealed, self.chains["trajectories"][k])

    def tensors(self) -> dict[str, Tensor]:
        """What is kept and not sealed, for the restart record."""
        rows = self._rows()
        found = {} if rows is None else {"rows": rows[0], "rows_alive": rows[1]}
        for n, frame in enumerate(self.frames):
            found |= {f"frame.{n}.{k}": v for k, v in frame.items()}
        return found

    def facts(self) -> dict[str, Any]:
        """The plain part of the same."""
        return {
            "sealed": self.sealed,
            "chains": {k: list(v) for k, v in self.chains.items()},
            "steps": list(self.steps),
        }

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Inverse of :meth:`tensors` and :meth:`facts`."""
        self.sealed, self.steps = facts["sealed"], list(facts["steps"])
        self.chains = {k: list(v) for k, v in facts["chains"].items()}
        if "rows" in tensors:
            self.early = tensors["rows"], tensors["rows_alive"]
        self.frames = [
            {k: tensors[f"frame.{n}.{k}"] for k in _FRAME if f"frame.{n}.{k}" in tensors}
            for n in range(len(self.steps))
        ]


def _seen(systems: Systems, evaluated: Evaluated, alive: Tensor) -> dict[str, Tensor]:
    """What a frame holds of all structures."""
    found = {
        "positions": systems.positions, "velocities": systems.velocities, "cell": systems.cell,
        "forces": evaluated.forces, "energy": evaluated.energy, "temperature": temperature(systems),
        "alive": alive,
    }  # fmt: skip
    if evaluated.stress is not None:
        found["stress"] = evaluated.stress
    if evaluated.sigma is not None:
        found["sigma"] = evaluated.sigma
    return found


def _cells(values: Sequence[float]) -> list[str]:
    """A row as text: the step whole, nothing for what is not there."""
    return [str(int(values[0])), *("" if v != v else repr(v) for v in values[1:])]  # noqa: PLR0124 - NaN
