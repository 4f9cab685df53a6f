"""Boxes of one batch: packed, melted and quenched side by side, begun again where a guard stopped them.

Everything is a run of ``crystal md`` in the folder of the batch, so that it goes on within any stage after a kill.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from crystal_glass.boxes import Box, frame
from crystal_glass.options import GlassOptions
from crystal_glass.settling import joined, relaxed
from crystal_glass.stages import Leg, Stage, careful, legs
from crystal_glass.uncertain import Uncertain
from crystalcli.contracts.host import Host
from crystalcli.contracts.options import specs
from crystalcli.contracts.request import Chosen, Request
from crystalcli.contracts.workflow import Run
from crystalcli.vocabulary.errors import InputError, NothingUsable

TRAJECTORY, THERMO, LAST = "trajectory.extxyz", "thermo.csv", "last.extxyz"
SETTLED = ("converged", "steps")
"""How a relaxation may end before a melt."""
OTHER_SEED = 1_000_003
"""Added to the seed of velocities at every new beginning."""


@dataclass(frozen=True)
class Failure:
    """Why a box was given up: at which beginning (0, 1, …), in which run of it, step, code and words."""

    attempt: int
    leg: int
    step: int
    code: str
    reason: str


@dataclass(frozen=True)
class Melted:
    """What became of a box.

    Args:
        box: which one. folders: of its runs of molecular dynamics, in order; none if it never got through.
        stages: as they were run. failures: of beginnings that were given up. attempt: that which got through.
        uncertain: frames of all beginnings that are to be labelled, as extended XYZ.
        pressures: GPa that each stage held, whoever said it; 0 where it held the volume.
    """

    box: Box
    folders: tuple[Path, ...] = ()
    stages: tuple[Stage, ...] = ()
    failures: tuple[Failure, ...] = ()
    attempt: int = 0
    uncertain: tuple[str, ...] = ()
    pressures: tuple[float, ...] = ()

    @property
    def done(self) -> bool:
        """Whether there is a glass."""
        return bool(self.folders)

    @property
    def legs(self) -> list[Leg]:
        """The runs in ``folders``."""
        return legs(self.stages)

    @property
    def held(self) -> list[Stage]:
        """The stages with the pressures that they held."""
        return [replace(s, pressure=p) for s, p in zip(self.stages, self.pressures, strict=True)]


@dataclass
class Melting:
    """The boxes of a batch.

    Args:
        request: of ``crystal glass``. stages: its plan. run: around it. name: folder of the batch, in the run's.
        reporter: hears of the runs inside.
    """

    request: Request
    stages: Sequence[Stage]
    run: Run
    name: str
    reporter: Host
    failures: dict[str, list[Failure]] = field(default_factory=dict)
    uncertain: dict[str, list[Uncertain]] = field(default_factory=dict)

    def of(self, boxes: Sequence[Box]) -> list[Melted]:
        """Melt and quench ``boxes``; in their order."""
        found: dict[str, Melted] = {}
        waiting = list(boxes)
        for attempt in range(self.request.options.retries + 1):
            if not waiting:
                break
            stages = tuple(careful(self.stages) if attempt else self.stages)
            through = self._attempt(waiting, attempt, stages)
            for box in waiting:
                if (folders := through.get(box.name)) is not None:
                    failed = tuple(self.failures.get(box.name, ()))
                    held = tuple(pressure_of(self.request, Leg((s,)), self.reporter) for s in stages)
                    found[box.name] = Melted(box, folders, stages, failed, attempt, self._kept(box), held)
            waiting = [b for b in waiting if b.name not in found]
        lost = {b.name: Melted(b, (), (), tuple(self.failures[b.name]), 0, self._kept(b)) for b in waiting}
        return [found.get(b.name) or lost[b.name] for b in boxes]

    def _attempt(self, boxes: Sequence[Box], attempt: int, stages: Sequence[Stage]) -> dict[str, tuple[Path, ...]]:
        """Folders of the runs of the boxes that got through."""
        folder = f"{self.name}/{attempt}"
        starts = self._packed(boxes, attempt)
        folders: dict[str, tuple[Path, ...]] = dict.fromkeys(starts, ())
        every = legs(stages)
        for k, leg in enumerate(every):
            if not starts:
                return {}
            file = self.run.path / folder / f"{k}-start.extxyz"
            self.run.write(str(file.relative_to(self.run.path)), "".join(starts.values()))
            path = self.run.path / folder / f"{k}-md"
            try:
                report = self.run.child(
                    "md", f"{folder}/{k}-md", self._asked(file, leg, attempt, first=k == 0), self._parts(leg),
                    reporter=self.reporter.within(f"melt and quench, run {k + 1} of {len(every)}", k, len(every)),
                )  # fmt: skip
            except NothingUsable as problem:
                for name in starts:
                    self._fail(name, Failure(attempt, k, 0, "potential", problem.reason))
                return {}
            ids = [name for name in starts if name in report["structures"]]  # a report read again has another order
            for one in report["failed"]:
                self._fail(one["id"], Failure(attempt, k, 0, "potential", one["reason"]))
            for name, halt in report["stopped"].items():
                self._fail(name, Failure(attempt, k, halt["step"], halt["code"], halt["reason"]))
            alive = [name for name in ids if name not in report["stopped"]]
            where = {name: path if len(ids) == 1 else path / "structures" / name for name in ids}
            self._look(where, attempt, leg.steps)
            folders = {name: (*folders[name], where[name]) for name in alive}
            starts = {name: _named((where[name] / LAST).read_text(encoding="utf-8"), name) for name in alive}
        return folders

    def _packed(self, boxes: Sequence[Box], attempt: int) -> dict[str, str]:
        """Boxes with their atoms as extended XYZ, by name; they have settled in the potential.

        Soft spheres do not know it: what a packed box has too much in energy would heat the melt far beyond its target.
        """
        found = {}
        for box in boxes:
            try:
                found[box.name] = frame(box.packed(self.request.options, attempt), box.told())
            except InputError as problem:
                self._fail(box.name, Failure(attempt, -1, 0, "packing", problem.reason))
        return self._settled(found, attempt) if self.request.options.settle and found else found

    def _settled(self, boxes: Mapping[str, str], attempt: int) -> dict[str, str]:
        file = self.run.path / f"{self.name}/{attempt}/packed.extxyz"
        self.run.write(str(file.relative_to(self.run.path)), "".join(boxes.values()))
        name, steps = f"{self.name}/{attempt}/settled", self.request.options.settle
        hears = self.reporter.within("settling packed boxes")
        settled = relaxed(self.run, self.request, name, file, "none", hears, steps)
        kept = {}
        for box in boxes:
            atoms, row = settled.get(box, (None, {"reason": "potential", "message": "the packed box has no energy"}))
            if atoms is None or row["reason"] not in SETTLED:
                self._fail(box, Failure(attempt, -1, 0, row["reason"], row["message"] or row["reason"]))
            else:
                kept[box] = joined([(box, atoms)])
        return kept

    def _look(self, where: Mapping[str, Path], attempt: int, steps: int) -> None:
        """Keep the frames of a run that are to be labelled, those of boxes that were stopped above all."""
        o: GlassOptions = self.request.options
        for name, folder in where.items() if o.label_above else ():
            known = self.uncertain.setdefault(name, [])
            if len(known) <= attempt:
                known += [self._nothing(name, k) for k in range(len(known), attempt + 1)]
            known[attempt].read(folder / TRAJECTORY, steps)

    def _nothing(self, name: str, attempt: int) -> Uncertain:
        o: GlassOptions = self.request.options
        return Uncertain(f"{name}-{attempt}", o.label_above * 1e-3, o.label_apart)

    def _kept(self, box: Box) -> tuple[str, ...]:
        return tuple(text for one in self.uncertain.get(box.name, ()) for text in one.kept)

    def _fail(self, name: str, failure: Failure) -> None:
        known = self.failures.setdefault(name, [])
        if failure not in known:
            known.append(failure)
            self.run.log(f"{name}: beginning {failure.attempt} stopped at step {failure.step}: {failure.reason}")

    def _asked(self, file: Path, leg: Leg, attempt: int, *, first: bool) -> Mapping[str, Any]:
        o: GlassOptions = self.request.options
        return {
            "structures": (str(file),),
            "potential": o.potential,
            "sampler": leg.stages[0].sampler or o.sampler,
            "temperature": leg.program,
            "steps": leg.steps,
            "dt": leg.stages[0].dt,
            "velocities": "random" if first else "file",
            "frame_every": o.frame_every,
            "analysis": False,
            "hotter": o.hotter,
            "closest": o.closest,
            "max_force": o.max_force,
            "seed": o.seed + attempt * OTHER_SEED,
            "pictures": o.pictures,
            **{name: getattr(o, name) for name in ("dtype", "device", "threads")},
        }

    def _parts(self, leg: Leg) -> dict[str, Chosen]:
        parts = {k: v for k, v in self.request.parts.items() if k == "potential"}
        sampler = sampler_of(self.request, leg)
        return {**parts, "sampler": sampler} if sampler.name else parts


def sampler_of(request: Request, leg: Leg) -> Chosen:
    """What moves the atoms in ``leg``: that of its stages, else that of the request; no name: the default."""
    stage, chosen = leg.stages[0], request.parts.get("sampler") or Chosen(request.options.sampler)
    if stage.sampler and stage.sampler != chosen.name:
        chosen = Chosen(stage.sampler)
    return chosen if stage.pressure is None else replace(chosen, options={**chosen.options, "pressure": stage.pressure})


def at_fixed_volume(request: Request, host: Host) -> Request:
    """``request`` with the default sampler in place of one that moves the cell, for which it needs a stress."""
    chosen = request.parts.get("sampler") or Chosen(request.options.sampler)
    if "stress" not in host.part("sampler", chosen).requires:
        return request
    parts = {k: v for k, v in request.parts.items() if k != "sampler"}
    return replace(request, options=replace(request.options, sampler=""), parts=parts)


def pressure_of(request: Request, leg: Leg, host: Host) -> float:
    """GPa at which ``leg`` holds the box; 0 where its sampler holds the volume."""
    chosen = sampler_of(request, leg)
    default = {s.name: s.default for s in specs(host.part("sampler", chosen).options)}.get("pressure", 0.0)
    return float(chosen.options.get("pressure", default))


def log_of(melted: Melted) -> np.ndarray:
    """The log of a box, time going on from run to run.

    Returns:
        (R, 10): step, ps, target K, K, E_pot, E_kin, E_tot, conserved (eV), GPa, Å³.
    """
    tables: list[np.ndarray] = []
    time = 0.0
    for folder, leg in zip(melted.folders, melted.legs, strict=True):
        table = np.atleast_2d(np.genfromtxt(folder / THERMO, delimiter=",", skip_header=1))[:, :10]
        table[:, 1] += time
        if tables and table[0, 1] <= tables[-1][-1, 1]:
            table = table[1:]  # the run before has it as its last
        time += leg.steps * leg.stages[0].dt * 1e-3
        tables.append(table)
    return np.concatenate(tables)


def _named(text: str, name: str) -> str:
    """A frame with its id."""
    count, head, rest = text.split("\n", 2)
    return f'{count}\n{head} id="{name}"\n{rest}'
