"""Every structure of a screening at every stage that it was brought to; every finished piece is written down."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from crystalcli.contracts.workflow import Run
from crystalcli.engine.read.reading import Failure
from crystalcli.engine.record.run_record import clear
from crystalcli.engine.run.journal import Journal
from crystalcli.engine.run.run_folder import RunFolder
from crystalcli.prediction.predictor import Predictor
from crystalcli.prediction.rows import Row
from crystalcli.screen.inputs import Inputs
from crystalcli.screen.known_phases import LARGEST
from crystalcli.screen.options import GIVEN, JOURNALS, MODEL, MODELS, OUTSIDE, PREDICTIONS, TO_DO, Energies
from crystalcli.screen.plan import CampaignPlan
from crystalcli.screen.stage_results import (
    DONE,
    NO_ENERGY,
    PieceResults,
    Result,
    Structure,
    formation_energy,
    key_of,
    with_energy,
    without_need,
)
from crystalcli.screen.stages import StageWorker, worker

LOWEST = -LARGEST
"""eV/atom: below it is what a calculation that went astray says, or a number in another unit."""
Journaled = Sequence[Mapping[str, Any]]
"""What a journal has of a piece of work: :meth:`Result.to_json` of its structures."""


class CampaignState:
    """Knows every structure at every stage it was brought to.

    Args:
        plan: the screening.
        folder: of its run.
        inputs: candidates and elements.

    Raises:
        UsageError, InputError: a stage that cannot work.
    """

    run: Run
    """What it works in; there once it has begun."""

    def __init__(self, plan: CampaignPlan, folder: Path, inputs: Inputs) -> None:
        self.plan, self.folder, self.candidates = plan, folder, inputs.candidates
        self.pure = {s.id: s for s in inputs.elements}
        self.amounts = {**inputs.candidates.amounts, **{s.id: s.amounts for s in inputs.elements}}
        self.workers: list[StageWorker | None] = [  # nobody works where structures stay as they are
            None if s.kind == GIVEN else worker(plan, k, folder, self.amounts) for k, s in enumerate(plan.stages)
        ]
        self.results: list[dict[str, Result]] = [{} for _ in plan.stages]

    def begin(self, run: Run) -> None:
        """Work in ``run``.

        Journals of predictions are of this plan and these inputs only; those of a stage, which were paid for, of
        whatever is done there: the same with another training, threshold or choice of what to train on. What was
        trained for another plan, which was refused here, is no use; nor are its lists of what is to be done outside.
        """
        self.run = run
        if not run.resumed:
            clear(run.path, (MODEL, MODELS, PREDICTIONS, f"{OUTSIDE}/*{TO_DO}.*"))
        inputs = RunFolder.read(run.path)["inputs"]
        self.name = _name([self.plan.facts(), inputs])
        read = [*self.plan.candidate_files, *self.plan.references.element_files]
        self.names = [
            _name([s.kind, s.source, asdict(s.options), s.parts, [inputs.get(str(f)) for f in [*read, *s.files]]])
            for s in self.plan.stages
        ]

    def bring(self, stage: int, ids: Sequence[str], task: str) -> None:
        """Bring structures from the stage before to ``stage``; those that are there already stay.

        Raises:
            Stopped: asked to, or an outside stage waits for results; what is finished is kept.
        """
        worker, known = self.workers[stage], self.results[stage]
        structures = [] if worker is None else [self.structure(stage - 1, i) for i in ids if i not in known]
        if worker is None or not structures:
            return
        named = f"{stage + 1}-{self.plan.stages[stage].name}-{task}"
        journal = self._journal(JOURNALS, named, self.names[stage])
        pieces = [structures[k : k + worker.piece] for k in range(0, len(structures), worker.piece)]
        keyed = [(key_of(piece), piece) for piece in pieces]
        self._take_from_another(stage, named, journal, [key for key, _ in keyed])
        before = sum(key in journal for key, _ in keyed)
        if before:
            self.run.reporter.say(f"{named}: {before} of {len(keyed)} pieces of work were finished before")
        results = journal.work(
            keyed, lambda missing: self._told(named, worker.work(named, missing, self.run), before, len(keyed))
        )
        found = [self._counted(stage, Result.from_json(r)) for piece in results for r in piece]
        known |= {r.id: r for r in found}
        bad = [r for r in found if r.reason != DONE]
        self.run.reporter.say(f"{named}: {len(found)} structures" + (f", {len(bad)} with problems" if bad else ""))
        for r in bad[:5]:
            self.run.reporter.warn(f"{named}: {r.id}: {r.problem}")
        self._warn_of_high(stage, [r.id for r in found if r.id not in self.pure], named)

    def _warn_of_high(self, stage: int, ids: Sequence[str], named: str) -> None:
        """Say where final formation energies are as far above zero as no compound is, though they harm no hull."""
        if stage < len(self.plan.stages) - 1 or not self.plan.ends_with_energies:
            return
        high = {i: e for i, e in self.formation(stage, ids).items() if e > LARGEST}
        if high:
            worst = max(high, key=lambda i: high[i])
            self.run.reporter.warn(
                f"{named}: {len(high)} of {len(ids)} formation energies are above {LARGEST:g} eV/atom ({worst}: "
                f"{high[worst]:.4g}): another unit, totals taken for values per atom, or other elements' energies?"
            )

    def forget_vain_calls(self) -> None:
        """Let calls of commands of which nothing came be made again by the next campaign here.

        For a screening that came to nothing: what was wrong with them may be outside the plan, and be mended there. One
        without an energy is of use where only its structure is needed, which is never so after the last stage.
        """
        for k, stage in enumerate(self.plan.stages):
            if stage.kind != "command":
                continue
            paths = sorted((self.folder / JOURNALS).glob(f"{k + 1}-{stage.name}-*.jsonl"))
            if n := sum(Journal(path, self.names[k]).forget(partial(self._in_vain, k)) for path in paths):
                calls = "1 call" if n == 1 else f"{n} calls"
                self.run.reporter.say(f"nothing came of {calls} of stage '{stage.name}'; once more by the same command")

    def _in_vain(self, stage: int, results: Journaled) -> bool:
        """Whether nothing came of a call of a command."""
        if self.plan.stages[stage].kind != "command":
            return False
        is_last = stage == len(self.plan.stages) - 1
        return all("atoms" not in r or (is_last and r["energy"] is None) for r in results)

    def _take_from_another(self, stage: int, named: str, journal: Journal, keys: Sequence[str]) -> None:
        """Take what the run has that this call names, wherever it was needed there; but no calls in vain."""
        other = self.plan.call.results_of
        if other is None or all(key in journal for key in keys):
            return
        taken = 0
        for path in sorted((other / JOURNALS).glob("*.jsonl")):
            there = Journal(path, self.names[stage], writing=False)
            for key in keys:
                if key in there and key not in journal and not self._in_vain(stage, there[key]):
                    journal.add(key, there[key])
                    taken += 1
        self.run.reporter.say(f"{named}: {taken} of {len(keys)} pieces of work taken from {other}")

    def _counted(self, stage: int, result: Result) -> Result:
        """``result`` as this plan sees it: whether an energy is needed may have been otherwise when it was written."""
        options = self.plan.stages[stage].options
        if not self.plan.counts_energies(stage):
            return without_need(result)
        return with_energy(result, options.energy) if isinstance(options, Energies) else result

    def _told(self, named: str, done: Iterable[PieceResults], before: int, of: int) -> Iterator[tuple[str, list[Any]]]:
        """Results as the journal keeps them; says how far the work is."""
        for count, (key, results) in enumerate(done, before + 1):
            yield key, [r.to_json() for r in results]
            self.run.reporter.progress(f"{named}: {count} of {of} pieces of work", count, of)

    def predictions(self, name: str) -> Journal:
        """The journal of one task of predicting, which is there until the run is finished."""
        return self._journal(PREDICTIONS, name, self.name)

    def _journal(self, folder: str, name: str, run: str) -> Journal:
        self.run.stop_if_asked()
        journal = Journal(self.folder / folder / f"{name}.jsonl", run)
        if journal.dropped:
            self.run.reporter.warn(f"{journal.path}: {journal.dropped} lines are damaged or of another run; done again")
        return journal

    def structure(self, stage: int, id: str) -> Structure:
        """The structure as the last stage up to ``stage`` left it; where a stage had none, as it was before."""
        start = self.pure.get(id)
        for s in range(stage, -1, -1):
            result = self.results[s].get(id)
            if result is not None and result.atoms is not None:
                return (start or self.candidates.structure(id)).moved(result.atoms)
        return start or self.candidates.structure(id)

    def has_structure(self, stage: int, id: str) -> bool:
        """Whether the stage gave a structure; one in which structures stay as they are does."""
        result = self.results[stage].get(id)
        return self.workers[stage] is None or (result is not None and result.atoms is not None)

    def problem(self, stage: int, id: str) -> str:
        """What went wrong with a structure at a stage; empty if nothing did."""
        result = self.results[stage].get(id)
        if result is None or result.problem or not self.plan.counts_energies(stage):
            return "" if result is None else result.problem
        energy = self._energy(stage, id, self._counted_from(stage))
        return "" if energy is None or energy >= LOWEST else f"{NO_ENERGY}: {energy:.4g} eV/atom, which none can have"

    def key(self, stage: int, ids: Sequence[str]) -> str:
        """Name of the work on structures as they are at ``stage``."""
        if self.plan.as_at_start(stage):
            return self.candidates.key(ids)
        return key_of([self.structure(stage, i) for i in ids])

    def predicted(self, stage: int, ids: Sequence[str], predictor: Predictor) -> Iterator[Row | Failure]:
        """What a model says of structures as they are at ``stage``, in order."""
        if self.plan.as_at_start(stage):
            return self.candidates.predicted(predictor, ids)
        return predictor.of_entries(self.structure(stage, i).entry() for i in ids)

    def elements(self, stage: int) -> dict[str, float]:
        """Energies of the elements from which formation energies after ``stage`` are counted, eV/atom, by symbol.

        The lowest per atom among the structures of an element as the stage left them; after the last stage the plan's
        own number counts among them. An element without structures there has the energy of the last stage: calculators
        of stages may differ, and what is wrong then is linear in the composition, a constant per element.
        """
        last = len(self.plan.stages) - 1
        found = dict(self.plan.references.energies) if stage == last else {}
        totals = not self.plan.stages[stage].gives_formation
        for i in self.pure if totals else ():
            result = self.results[stage].get(i)
            if result is None or result.energy is None or not math.isfinite(result.energy):
                continue
            (symbol,) = self.amounts[i]
            found[symbol] = min(result.energy / sum(self.amounts[i].values()), found.get(symbol, math.inf))
        return found if stage == last else {**self.elements(last), **found}

    def formation(self, stage: int, ids: Iterable[str]) -> dict[str, float]:
        """Formation energies of ``ids`` as ``stage`` has them, eV/atom; without those that have none there.

        One that no compound can have is none: a hull with it would leave nothing else on it.
        """
        elements = self._counted_from(stage)
        energies = ((i, self._energy(stage, i, elements)) for i in ids)
        return {i: e for i, e in energies if e is not None and e >= LOWEST}

    def _counted_from(self, stage: int) -> dict[str, float]:
        return {} if self.plan.stages[stage].gives_formation else self.elements(stage)

    def _energy(self, stage: int, id: str, elements: Mapping[str, float]) -> float | None:
        """Formation energy of one of them as the stage has it, eV/atom, whatever it is."""
        result = self.results[stage].get(id)
        if result is None or result.energy is None or not math.isfinite(result.energy):
            return None
        given = self.plan.stages[stage].gives_formation
        return result.energy if given else formation_energy(result.energy, self.amounts[id], elements)

    def final(self, ids: Iterable[str]) -> dict[str, float]:
        """Formation energies after the last stage, eV/atom; without those that have none."""
        return self.formation(len(self.plan.stages) - 1, ids)


def _name(facts: Any) -> str:
    """A name for work that depends on ``facts``."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:16]
