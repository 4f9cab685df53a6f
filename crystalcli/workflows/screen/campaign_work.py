"""The work of a campaign: structures are brought from stage to stage, and every finished piece is written down."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from crystalcli.mechanisms.running.journal import Journal
from crystalcli.mechanisms.running.stopping import Stop
from crystalcli.vocabulary.errors import Stopped
from crystalcli.workflows.hearing import Listener
from crystalcli.workflows.screen.campaign_plan import CampaignPlan
from crystalcli.workflows.screen.campaign_results import DONE, Done, Item, Result, formation_energy, key_of
from crystalcli.workflows.screen.campaign_stages import Source, source

JOURNALS = "work"
"""Folder of the journals, one for each stage and task."""
SILENCE = 60.0
"""Seconds after which a long stage says how far it is."""


class Workshop:
    """Knows every structure at every stage it was brought to.

    Args:
        plan: the campaign.
        folder: of its run.
        run: name of the run, for its journals.
        candidates, elements: structures.
        listener: hears of the work. stop: ends it.

    Raises:
        UsageError, InputError: a stage that cannot work.
    """

    def __init__(
        self,
        plan: CampaignPlan,
        folder: Path,
        run: str,
        candidates: Iterable[Item],
        elements: Iterable[Item] = (),
        *,
        listener: Listener,
        stop: Stop,
    ) -> None:
        self.plan, self.folder, self.run, self.listener, self.stop = plan, folder, run, listener, stop
        pure = list(elements)
        self.pure = [i.id for i in pure]
        self.start = {i.id: i for i in (*candidates, *pure)}
        every = range(len(plan.stages))
        self.sources: list[Source] = [source(plan, k, folder, listener, stop) for k in every]
        self.results: list[dict[str, Result]] = [{} for _ in plan.stages]

    def bring(self, stage: int, ids: Sequence[str], task: str) -> None:
        """Bring structures from the stage before to ``stage``; those that are there already stay.

        Raises:
            Stopped: asked to, or an outside stage waits for results; what is finished is kept.
        """
        known = self.results[stage]
        items = [self.item(stage - 1, i) for i in ids if i not in known]
        if not items:
            return
        named = f"{stage + 1}-{self.plan.stages[stage].name}-{task}"
        journal = self.journal(named)
        source = self.sources[stage]
        pieces = [items[k : k + source.piece] for k in range(0, len(items), source.piece)]
        keyed = [(key_of(piece), piece) for piece in pieces]
        before = sum(key in journal for key, _ in keyed)
        if before:
            self.listener.say(f"{named}: {before} of {len(keyed)} pieces of work were finished before")
        results = journal.work(
            keyed, lambda missing: self._told(named, source.work(named, missing), before, len(keyed))
        )
        found = [Result.from_json(r) for piece in results for r in piece]
        known |= {r.id: r for r in found}
        bad = [r for r in found if r.reason != DONE]
        self.listener.say(f"{named}: {len(found)} structures" + (f", {len(bad)} with problems" if bad else ""))
        for r in bad[:5]:
            self.listener.warn(f"{named}: {r.id}: {r.problem}")

    def _told(self, named: str, done: Iterable[Done], before: int, of: int) -> Iterator[tuple[str, list[Any]]]:
        """Results as the journal keeps them; says now and then how far the work is."""
        last = time.monotonic()
        for count, (key, results) in enumerate(done, before + 1):
            yield key, [r.to_json() for r in results]
            if time.monotonic() - last > SILENCE:
                last = time.monotonic()
                self.listener.say(f"{named}: {count} of {of} pieces of work")

    def journal(self, name: str) -> Journal:
        """The journal of one task.

        Raises:
            Stopped: asked to.
        """
        self.stopped()
        journal = Journal(self.folder / JOURNALS / f"{name}.jsonl", self.run)
        if journal.dropped:
            self.listener.warn(f"{journal.path}: {journal.dropped} lines are damaged or of another run; done again")
        return journal

    def stopped(self) -> None:
        """Raise Stopped if asked to stop."""
        if why := self.stop.reason():
            raise Stopped(f"stopped by {why}; the same command goes on")

    def item(self, stage: int, id: str) -> Item:
        """The structure as the last stage up to ``stage`` left it; where a stage had none, as it was before."""
        for s in range(stage, -1, -1):
            result = self.results[s].get(id)
            if result is not None and result.atoms is not None:
                return Item(id, result.atoms)
        return self.start[id]

    def has_structure(self, stage: int, id: str) -> bool:
        """Whether the stage gave a structure."""
        result = self.results[stage].get(id)
        return result is not None and result.atoms is not None

    def problem(self, stage: int, id: str) -> str:
        """What went wrong with a structure at a stage; empty if nothing did."""
        result = self.results[stage].get(id)
        return "" if result is None else result.problem

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
            (symbol,) = self.start[i].amounts
            found[symbol] = min(result.energy / len(self.start[i].atoms), found.get(symbol, math.inf))
        return found if stage == last else {**self.elements(last), **found}

    def formation(self, stage: int, ids: Iterable[str]) -> dict[str, float]:
        """Formation energies of ``ids`` as ``stage`` has them, eV/atom; without those that have none there."""
        given = self.plan.stages[stage].gives_formation
        elements = {} if given else self.elements(stage)
        found: dict[str, float] = {}
        for i in ids:
            result = self.results[stage].get(i)
            if result is None or result.energy is None or not math.isfinite(result.energy):
                continue
            found[i] = result.energy if given else formation_energy(result.energy, self.start[i].amounts, elements)
        return found

    def final(self, ids: Iterable[str]) -> dict[str, float]:
        """Formation energies after the last stage, eV/atom; without those that have none."""
        return self.formation(len(self.plan.stages) - 1, ids)
