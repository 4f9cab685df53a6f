"""Who does the work of a stage: a relaxation here, a command, people outside, or files that hold the results."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Protocol

from crystalcli.contracts.request import Chosen, Request
from crystalcli.contracts.workflow import Run
from crystalcli.engine.read.inputs import expand
from crystalcli.engine.read.reading import Failure
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.read_options import ReadOptions
from crystalcli.relax.options import RelaxOptions
from crystalcli.relax.outcome import Outcome
from crystalcli.relax.relaxing import CONVERGED, SINGLE_POINT
from crystalcli.relax.shards import Worker, relaxed_shards
from crystalcli.screen.outside import CommandWorker, OutsideWorker
from crystalcli.screen.plan import CampaignPlan, StagePlan
from crystalcli.screen.stage_results import (
    DONE,
    ELEMENT,
    PieceResults,
    Result,
    StagePiece,
    Structure,
    cif_column_by,
    misfit,
    read_results,
)
from crystalcli.vocabulary.errors import UsageError


class StageWorker(Protocol):
    """Does a stage's work.

    Attributes:
        piece: structures that are worked on, and written down, together.
    """

    piece: int

    def work(self, task: str, missing: Iterator[StagePiece], run: Run) -> Iterator[PieceResults]:
        """Yield what came of every piece, in order; the results of a piece depend on it alone.

        Args:
            task: in words, for messages and names of files: ``loose-train``.
            missing: pieces that are not done yet.
            run: the run that they are worked on in.
        """
        ...


def worker(plan: CampaignPlan, number: int, folder: Path, ids: Collection[str]) -> StageWorker:
    """Make the worker of stage ``number``, counted from 0, in which something is done to structures named ``ids``.

    Raises:
        UsageError, InputError: a potential, relaxer, option or file that cannot be used.
    """
    stage, counted = plan.stages[number], plan.counts_energies(number)
    if stage.kind == "potential":
        return RelaxationWorker(plan, stage, folder)
    if stage.kind == "file":
        return ReplayWorker(stage, counted)
    if stage.kind == "command":
        return CommandWorker(stage, folder, plan.call.jobs, counted=counted)
    assert stage.kind == "outside"
    return OutsideWorker(stage, folder, ids, counted=counted)


class RelaxationWorker:
    """Relaxes as ``crystal relax`` does.

    Raises:
        UsageError: parts, options or numbers that cannot work. InputError: the model cannot be read.
    """

    def __init__(self, plan: CampaignPlan, stage: StagePlan, folder: Path) -> None:
        o = stage.options
        values = {k: v for k, v in asdict(o).items() if k != "hold_atoms"}
        potential = stage.source[0]
        unknown = [name for name in stage.parts if name not in (potential, o.relaxer)]
        if unknown:
            raise UsageError(f"stage '{stage.name}': table '{unknown[0]}' belongs to no part of it")
        options = RelaxOptions(
            potential=potential,
            fix_below=HIGH if o.hold_atoms else None,
            device=plan.call.device,
            threads=plan.call.threads,
            jobs=plan.call.jobs,
            scheduler=plan.call.scheduler,
            **values,
        )
        chosen = {"potential": potential, "relaxer": o.relaxer}
        parts = {k: Chosen(name, stage.parts.get(name, {})) for k, name in chosen.items()}
        self.request = Request(options, parts, folder)
        try:
            self.worker = Worker(self.request)
        except UsageError as problem:
            raise UsageError(f"stage '{stage.name}': {problem.reason}", path=problem.path) from problem
        self.piece = o.batch_size

    def work(self, task: str, missing: Iterator[StagePiece], run: Run) -> Iterator[PieceResults]:  # noqa: ARG002
        """Relax."""
        keys: dict[int, str] = {}

        def shards() -> Iterator[tuple[int, list[Entry | Failure]]]:
            for number, (key, structures) in enumerate(missing):
                keys[number] = key
                yield number, [s.entry() for s in structures]

        for number, found in relaxed_shards(self.request, self.worker, shards(), run, _unheard):
            yield keys.pop(number), [_result(o) for o in found]


def _unheard(_step: int, _left: int) -> None:
    """Nobody hears of the steps of a stage."""


HIGH = 1e9
"""Å: every atom is below."""


def _result(outcome: Outcome) -> Result:
    good = outcome.reason in (CONVERGED, SINGLE_POINT)
    geometry = outcome.geometry
    return Result(
        outcome.id,
        DONE if good else outcome.reason,
        outcome.message,
        None if geometry is None else geometry.atoms(),
        None if geometry is None else geometry.energy,
    )


class ReplayWorker:
    """Looks results up in files that hold them already.

    Args:
        stage: the stage. counted: its energies are needed.

    Raises:
        UsageError: nothing can be read, or nothing has an energy that is needed.
    """

    piece = 256

    def __init__(self, stage: StagePlan, counted: bool) -> None:
        o = stage.options
        paths = expand(stage.source)
        with cif_column_by(f"cif_column in stage '{stage.name}'"):
            self.found, failures = read_results(paths, o, ReadOptions(o.cif_column, o.id_column))
        self.why = {f.id: f.reason for f in failures}
        self.where = str(paths[0]) + (" …" if len(paths) > 1 else "")
        if not self.found:
            said = failures[0].reason if failures else "it is empty"
            raise UsageError(f"stage '{stage.name}': no structure could be read: {said}", path=paths[0])
        if counted and all(r.energy is None for r in self.found.values()):
            said = f"stage '{stage.name}': no structure has '{o.energy}'; name the energies with energy = \"NAME\""
            raise UsageError(said, path=paths[0])

    def work(self, task: str, missing: Iterator[StagePiece], run: Run) -> Iterator[PieceResults]:  # noqa: ARG002
        """Look up."""
        for key, structures in missing:
            yield key, [self._of(s) for s in structures]

    def _of(self, one: Structure) -> Result:
        """The result of that id; files name elements as they please, with or without the word before."""
        for name in (one.id, one.id.removeprefix(ELEMENT)):
            if name in self.found:
                return misfit(replace(self.found[name], id=one.id), one)
        return Result(one.id, "missing", self.why.get(one.id, f"is not in {self.where}"))
