"""The work of ``crystal glass``: batches of boxes are melted, quenched, relaxed and described; one table over all."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ase.io

from crystal_glass import (
    BATCHES,
    ELEMENTS,
)
from crystal_glass.beside_trajectories import trajectories_of
from crystal_glass.box_options import EOS
from crystal_glass.boxes import Box, boxes_of, phases, refuse_hopeless, rounded
from crystal_glass.comparison import References, called_as, read_energies, refuse_other_atoms
from crystal_glass.equilibrium import Scan, sized
from crystal_glass.finished import Watch, done, equation_file, equation_of, kept
from crystal_glass.glass_output import last_steps, write_box
from crystal_glass.glass_report import GlassReport
from crystal_glass.melting import LAST, Melting, pressure_of, sampler_of
from crystal_glass.options import GlassOptions
from crystal_glass.settling import has_crystal, joined, read_references, reference_energies, relaxed
from crystal_glass.stages import Leg, Stage, quench_rate, stages_of
from crystal_glass.voltage import charge_of
from crystalcli.contracts.dynamics import made_of
from crystalcli.contracts.host import Host
from crystalcli.contracts.request import Request
from crystalcli.contracts.workflow import Run, Work
from crystalcli.vocabulary.errors import EnvironmentProblem, UsageError

STREAMED = 30.0
"""s between two tables while the run goes on."""


class Glasses(Work):
    """Glasses of all boxes.

    Raises:
        UsageError: no composition, potential or volume, or options that cannot work.
    """

    def __init__(self, request: Request, host: Host) -> None:
        o: GlassOptions = request.options
        if not o.potential:
            raise UsageError("which potential melts them? give --potential NAME or --potential MODEL")
        self.request, self.options = request, o
        self.watch: Watch | None = None
        self.stages = stages_of(o)
        self.phases = phases(o, host)
        every = boxes_of(o, self.phases)
        self.boxes = _part(every, o.shard)
        for line in rounded(self.boxes):
            host.warn(line)
        if o.volume != EOS:  # else nobody knows yet how large they are
            refuse_hopeless(self.boxes, o, host)
        self.symbols = _symbols(self.boxes)
        self.columns = _symbols(every)  # the tables of all shards have the same
        if o.references not in ("elements", "none"):
            read_references(Path(o.references))
        self.others = self._others(every, host)
        given = o.last_steps != GlassOptions.last_steps
        if given and (steps := last_steps(o, self.stages)) < o.last_steps:
            host.warn(f"--last-steps {o.last_steps} is more than the last stage has: means are over its {steps} steps")
        names = [b.name for b in every]
        self.trajectories = trajectories_of(Path(o.trajectories), names) if o.trajectories else {}
        if self.trajectories and not o.keep_trajectories:
            raise UsageError("--trajectories are compared with frames; leave out --no-keep-trajectories")
        self._refuse_voltage(every)
        potential = host.potential(request, device=o.device)
        self.stress, self.name = "stress" in potential.provides, potential.name
        self._refuse_strangers(potential)
        self._refuse_samplers(potential, host)
        cells = o.relax in ("cell", "isotropic") and self.stress
        self.pressure = pressure_of(request, Leg((self.stages[-1],)), host) if cells else 0.0
        if o.label_above and "sigma" not in potential.provides:
            raise UsageError(f"--label-above needs the sigma of an ensemble; {potential.name} gives none")
        self.eos_temperature = o.eos_temperature or self.stages[0].start
        if o.volume == EOS and not self.stress:
            raise UsageError(f"--volume {EOS} needs pressures; {potential.name} gives no stress")
        if o.relax in ("cell", "isotropic") and not self.stress:
            host.warn(f"{potential.name} gives no stress: cells stay as they are, and no pressure is known")
        stages = [vars(s) for s in self.stages]
        self.facts = {"device": str(potential.device), "stages": stages, **made_of(potential)}
        files = [model] if (model := host.model_file(o.potential)) else []
        files += [Path(p) for p in (o.compositions, o.plan) if p]
        files += [Path(o.references)] if o.references not in ("elements", "none") else []
        self.inputs = [*files, *(Path(p) for p in o.phases)]
        self.parts = [(("calculator" if k == "potential" else k), c.name) for k, c in request.parts.items()]

    def _others(self, every: Sequence[Box], host: Host) -> References | None:
        """Energies to compare with; those of boxes of other shards are left out, and are no strangers."""
        if not self.options.compare:
            return None
        path = Path(self.options.compare)
        found = called_as(read_energies(path, host), [b.name for b in every], path)
        refuse_other_atoms(found, {b.name: b.counts for b in every}, path)
        elsewhere = {b.name for b in every} - {b.name for b in self.boxes}
        return replace(found, energies={k: energy for k, energy in found.energies.items() if k not in elsewhere})

    def _refuse_voltage(self, every: Sequence[Box]) -> None:
        o = self.options
        if o.voltage:
            charge_of(o.voltage)
            if len(self.boxes) < len(every):  # the hull of some compositions has other plateaus
                said = f"--voltage is of all compositions of a binary, of which --shard {o.shard} does a part"
                raise UsageError(f"{said}; leave one of them out")

    def _refuse_strangers(self, potential: Any) -> None:
        from ase.data import chemical_symbols

        known = getattr(potential, "elements", None)
        if known and (unknown := [s for s in self.symbols if chemical_symbols.index(s) not in known]):
            asks = next(b.composition for b in self.boxes if unknown[0] in b.counts)
            said = f"potential {potential.name} does not know {', '.join(unknown)}"
            raise UsageError(said, path=asks.path, line=asks.line)

    def _refuse_samplers(self, potential: Any, host: Host) -> None:
        for k, stage in enumerate(self.stages, 1):
            try:
                self._refuse_sampler(stage, potential, host)
            except UsageError as problem:
                if not self.options.plan:
                    raise
                raise UsageError(f"stage {k}: {problem.reason}", path=self.options.plan) from problem

    def _refuse_sampler(self, stage: Stage, potential: Any, host: Host) -> None:
        record: Any = host.part("sampler", sampler_of(self.request, Leg((stage,))))
        if missing := sorted(record.requires - potential.provides):
            raise UsageError(f"sampler {record.name} needs {' and '.join(missing)}; {potential.name} gives none")
        if "temperature" not in record.provides and stage.start != stage.end:
            raise UsageError(f"sampler {record.name} holds no temperature, and can follow no ramp")

    def describe(self) -> dict[str, Any]:
        """The resolved plan."""
        return {
            "boxes": [b.told() for b in self.boxes],
            "potential": self.name,
            "stages": [vars(s) for s in self.stages],
            "rate": quench_rate(self.stages),
            "relax": self.options.relax,
            "pressure": self.pressure,
            "batch_size": self.options.batch_size,
        }

    def do(self, run: Run) -> Mapping[str, Any]:
        """All batches that are not done, then what is said of all."""
        o, size = self.options, self.options.batch_size
        self.watch = watch = Watch(run, self.boxes)
        report = GlassReport(
            o, self.stages, self.name, self.boxes, self.columns, self.phases, self.others, self.trajectories,
            self.pressure,
        )  # fmt: skip
        quiet = replace(run.reporter, say=lambda _line: None, warn=run.log)
        references = self._references(run, quiet)
        self._tell_missing(run, references)
        batches = range(0, len(self.boxes), size)
        left = [(k // size, references) for k in batches if not all(done(run, b) for b in self.boxes[k : k + size])]
        for _ in run.pieces(self, self._unsized(run), jobs=o.jobs, scheduler=o.scheduler):
            pass
        told = time.monotonic()
        for _ in run.pieces(self, left, jobs=o.jobs, scheduler=o.scheduler):
            watch.finished()
            if time.monotonic() - told > STREAMED:
                report.table(run)
                told = time.monotonic()
        return report.whole(run, references)

    def piece(self, run: Run, item: str | tuple[int, Mapping[str, float | None]]) -> None:
        """A batch, by its number; with it come the reference energies. Or the volume of a composition, by a box."""
        if isinstance(item, str):
            return self._size(run, next(b for b in self.boxes if b.name == item))
        number, references = item
        size = self.options.batch_size
        boxes = self.boxes[number * size : (number + 1) * size]
        quiet = replace(run.reporter, say=lambda _line: None, warn=run.log)
        if self.watch is not None:  # this process has the whole run
            quiet = self.watch.within(quiet, boxes)
        if not all(done(run, b) for b in boxes):  # else a worker has died between its last file and its answer
            self._batch(run, f"{BATCHES}/{number:06d}", boxes, references, quiet)
        return None

    def _unsized(self, run: Run) -> list[str]:
        """Of every composition whose volume is still to be found, the first box."""
        if self.options.volume != EOS:
            return []
        first = {b.composition.text: b for b in reversed(self.boxes)}
        waiting = {b.composition.text for b in self.boxes if not done(run, b)}
        return [b.name for text, b in first.items() if text in waiting and equation_of(run, b) is None]

    def _size(self, run: Run, box: Box) -> None:
        """Find the volume of a composition, once for all of its boxes."""
        quiet = replace(run.reporter, say=lambda _line: None, warn=run.log)
        hears = quiet.within(f"volume of {box.composition.text}")
        name = f"{BATCHES}/volume-{box.name}"
        found = Scan(self.request, self.eos_temperature, run, name, hears).of(box)
        if why := found["failed"]:
            text = box.composition.text
            run.reporter.warn(f"{text}: no equation of state: {why}; its box is as without --volume {EOS}")
        run.write_json(equation_file(box), found)
        shutil.rmtree(run.path / name, ignore_errors=True)

    def _references(self, run: Run, quiet: Host) -> dict[str, float | None]:
        """Energies of the elements, found once."""
        found = kept(run.path / ELEMENTS, *self.symbols)
        if found is None:
            found = reference_energies(run, self.request, self.symbols, quiet, stress=self.stress)
            run.write_json(ELEMENTS, found)
        return found

    def _batch(
        self, run: Run, name: str, batch: Sequence[Box], references: Mapping[str, float | None], quiet: Host
    ) -> None:
        """Melt, quench, relax and describe the boxes of a batch; what each has is written last, and whole."""
        if self.options.volume == EOS:
            batch = [self._as_found(run, b) for b in batch]
        melted = Melting(self.request, self.stages, run, name, quiet).of(batch)
        good = [m for m in melted if m.done]
        ends = {m.box.name: ase.io.read(m.folders[-1] / LAST, format="extxyz") for m in good}
        ions, cells = self._relaxed(run, name, ends, quiet)
        for one in melted:
            settled = ions.get(one.box.name), cells.get(one.box.name)
            write_box(run, self.options, one, settled, references)
        shutil.rmtree(run.path / name, ignore_errors=True)

    def _as_found(self, run: Run, box: Box) -> Box:
        """The box as large as ``--volume eos`` has found its composition to be."""
        first = next(b for b in self.boxes if b.composition.text == box.composition.text)
        found = equation_of(run, first)
        if found is None:  # it was there when the batches began
            said = "is missing or broken; the same command makes it again"
            raise EnvironmentProblem(said, path=run.path / equation_file(first))
        return sized(box, found, self.options.expand)

    def _relaxed(self, run: Run, name: str, ends: Mapping[str, Any], quiet: Host) -> tuple[Any, Any]:
        """Of every box its relaxed ions, and then its relaxed cell."""
        o = self.options
        if o.relax == "none" or not ends:
            return {}, {}
        quiet = quiet.within("relaxing", 1.0, 1.0)  # the long part of the batch is done
        file = run.path / name / "quenched.extxyz"
        run.write(f"{name}/{file.name}", joined(ends.items()))
        ions = relaxed(run, self.request, f"{name}/ions", file, "none", quiet)
        if o.relax == "ions" or not self.stress or not ions:
            return ions, {}
        file = run.path / name / "ions.extxyz"
        run.write(f"{name}/{file.name}", joined((k, atoms) for k, (atoms, _) in ions.items()))
        mode = "full" if o.relax == "cell" else "isotropic"
        return ions, relaxed(run, self.request, f"{name}/cells", file, mode, quiet, pressure=self.pressure)

    def _tell_missing(self, run: Run, references: Mapping[str, float | None]) -> None:
        o = self.options
        none = [s for s, mu in references.items() if mu is None]
        tried = [s for s in none if o.references == "elements" and has_crystal(s)]
        other = [s for s in none if s not in tried]
        if tried:
            why = f"not relaxed to --fmax {o.fmax:g} in --relax-steps {o.relax_steps}"
            run.reporter.warn(f"no reference energy of {', '.join(tried)}: {why}")
        if other and o.references != "none":
            run.reporter.warn(f"no reference energy of {', '.join(other)}: see --references")


def _symbols(boxes: Sequence[Box]) -> list[str]:
    return sorted({symbol for box in boxes for symbol in box.counts})


def _part(boxes: list[Box], shard: str) -> list[Box]:
    """The boxes of shard ``k/m``: those of every m-th composition, so that costs are alike.

    Raises:
        UsageError: no such shard.
    """
    if not shard:
        return boxes
    words = [w for w in shard.split("/") if w.isascii() and w.isdigit()]
    if shard.count("/") != 1 or len(words) != 2 or not 1 <= int(words[0]) <= int(words[1]):
        raise UsageError(f"--shard {shard} is not like 1/4, the first of four parts")
    k, m = map(int, words)
    order = {name: n for n, name in enumerate(dict.fromkeys(b.composition.text for b in boxes))}
    part = [b for b in boxes if order[b.composition.text] % m == k - 1]
    if not part:
        raise UsageError(f"--shard {shard}: there are {len(order)} compositions only")
    return part
