"""The ensembles of a screening, one for every decision: from structures at a stage to final energies.

An ensemble learns the final formation energies, as in the paper, or (``learn = "difference"``) what they differ by from
the formation energies that the stage itself has, and that are paid for already: Δ-learning, R. Ramakrishnan et al.,
J. Chem. Theory Comput. 11, 2087 (2015), doi:10.1021/acs.jctc.5b00099. Then the prediction for candidate c after stage s
is ``E_s(c) + Δ_s(c)``, with the members' Δ and the σ of Δ. References μ' of the elements other than those of the final
energies, μ, change Δ by a sum over the composition, ``Σ_k x_k (μ'_k − μ_k)``, which is learned with it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crystalcli.contracts.request import Request
from crystalcli.contracts.workflow import Run
from crystalcli.engine.cache.cache import Column, GraphRecipe
from crystalcli.engine.cache.cache_packing import PackedGraph, pack
from crystalcli.engine.cache.cache_writer import CacheWriter
from crystalcli.engine.host import life
from crystalcli.engine.model.ensemble import Ensemble
from crystalcli.engine.model.model_names import named_by
from crystalcli.engine.model.sigma_fit import UNCALIBRATED
from crystalcli.engine.read.reading import Failure
from crystalcli.engine.run.devices import choose_device
from crystalcli.engine.run.run_folder import RECORD, RunFolder, sha256
from crystalcli.graphs.packing import GraphWork, graph_maker, graph_of
from crystalcli.prediction.predictor import Predictor
from crystalcli.prediction.rows import Row
from crystalcli.screen.options import FEWEST, MODEL, MODELS
from crystalcli.screen.plan import CampaignPlan
from crystalcli.screen.recipe import recipe_of, target, training_plan
from crystalcli.screen.rule import Candidate
from crystalcli.screen.stage_results import Structure
from crystalcli.screen.state import CampaignState
from crystalcli.train.workflow import TRAIN
from crystalcli.vocabulary.errors import Exit, RefusedLate, Stopped, UsageError

PIECE = 1024
"""Candidates that are predicted, and written down, together."""
BATCH = 64
"""Candidates in a batch."""
SAME = 1e-9
"""eV/atom: differences that vary less are none."""


def trained_ensemble(
    request: Request, members: int, run: Run, prepare: Callable[[], None] = lambda: None, *, name: str
) -> Path:
    """Folder of the ensemble that ``request`` asks for; a training that was interrupted there goes on.

    Args:
        request: of the members.
        members: how many.
        run: in which they are trained; hears warnings, and every minute how far it is.
        prepare: makes the caches that the training reads; not called where the training is finished.
        name: before these lines.

    Raises:
        UsageError: the training cannot work, or what it reads has changed. Stopped: what was reached is kept.
    """
    path, options = request.path, request.options
    begun = (path / RECORD).exists()
    if begun and RunFolder.read(path)["exit_code"] == Exit.OK:
        return path
    prepare()
    host = replace(run.reporter.within(name), say=lambda _line: None)
    try:
        if begun:
            changes = {"threads": options.threads, "device": options.device}
            return life.resume(TRAIN, path, changes, host, run.stop).path
        whole = replace(request, options=replace(options, ensemble=members))
        return life.run(TRAIN, whole, host, run.stop).path
    except Stopped as problem:
        raise Stopped(f"{problem.reason.split(';')[0]}; the same command goes on") from None


class Ensembles:
    """Trains and asks the ensembles of a screening.

    Args:
        state: has the structures.
        label: that ensembles learn from labelled candidates, or what a given model predicts; empty where they learn
            final energies.

    Raises:
        UsageError: no such architecture or option, or a model to start from that is none.
    """

    def __init__(self, state: CampaignState, label: str) -> None:
        self.state, self.plan, self.label = state, state.plan, label
        self._opened = cache(self._open)
        self._energies: set[Path] = set()
        """Folders of ensembles that were to learn differences, and learn energies, for there are no differences."""
        if self.plan.trains_on != "nothing":
            for k in range(self.plan.decisions):
                training_plan(self.plan, k, "", (), "")  # refuses what cannot work, before anything is done

    def train(self, stage: int, energies: Mapping[str, float], name: str) -> Path:
        """Folder of the ensemble that predicts final energies from structures at ``stage``.

        Args:
            stage: counted from 0.
            energies: formation energies of the structures to train on, eV/atom, by id.
            name: of the ensemble, for its folder.

        Raises:
            RefusedLate: too few structures, or a training that cannot be: what was paid for serves another plan.
        """
        try:
            return self._trained(stage, energies, name)
        except UsageError as problem:
            raise RefusedLate(problem.reason, path=problem.path) from problem

    def _trained(self, stage: int, energies: Mapping[str, float], name: str) -> Path:
        run, members = self.state.run, self.plan.training.ensemble
        if self.plan.trains_on == "labelled":
            folder = self.state.folder / MODEL
            plan = training_plan(self.plan, stage, str(folder), self.plan.candidates, self.label)
            run.reporter.say(f"{name}: {members} {plan.options.arch}, {len(energies)} structures, '{self.label}'")
            return trained_ensemble(plan, members, run, name=name)
        folder = self.state.folder / MODELS
        cache, asked = folder / f"{name}.h5", self.plan
        base = self._base(stage, energies, asked)
        if asked.learns_difference(stage) and (why := self._no_difference(stage, energies, base)):
            run.reporter.warn(f"{name}: {why}; it learns the final energies")
            self._energies.add(folder / name)
            asked = asked.learning_energies(stage)
            base = self._base(stage, energies, asked)
        label = target(asked, stage)
        plan = training_plan(asked, stage, str(folder / name), (str(cache),), label.name)
        known = [self.state.structure(stage, i) for i in sorted(base) if self.state.has_structure(stage, i)]
        labels = {s.id: energies[s.id] - base[s.id] for s in known}

        def prepare() -> None:
            usable = []
            for one, graph in _graphs(known, recipe_of(plan)):
                if isinstance(graph, PackedGraph):
                    usable.append((one, graph))
                else:
                    run.reporter.warn(f"{name}: {one.id} is not trained on: {graph.reason}")
            if len(usable) < FEWEST:
                raise UsageError(f"{name}: {len(usable)} structures with a final energy are too few to train on")
            values = np.array([labels[one.id] for one, _ in usable])
            _write(cache, recipe_of(plan), usable, [Column(label, values, np.ones(len(usable), dtype=bool))])

        what = "differences to the final energies" if asked.learns_difference(stage) else "final energies"
        run.reporter.say(f"{name}: ensemble of {members}, {len(known)} structures, {what}")
        return trained_ensemble(plan, members, run, prepare, name=name)

    def predict(self, stage: int, ids: Sequence[str], path: Path, task: str) -> list[Candidate]:
        """Final energies of ``ids`` as the model in ``path`` sees them at ``stage``, in order.

        Those without a structure at the stage, without a graph, or without an energy to add to, have no prediction.
        """
        predictor, digest = self._opened(path)
        plan = self.plan.learning_energies(stage) if path in self._energies else self.plan
        name = self.label or target(plan, stage).name
        members = len(predictor.model.models) if isinstance(predictor.model, Ensemble) else 0
        there = [i for i in ids if self.state.has_structure(stage, i)]
        pieces = [there[k : k + PIECE] for k in range(0, len(there), PIECE)]
        named = f"{stage + 1}-{self.plan.stages[stage].name}-{task}"
        journal = self.state.predictions(named)

        def asked(missing: Iterable[tuple[str, list[str]]]) -> Iterator[tuple[str, Any]]:
            for count, (key, piece) in enumerate(missing, len(journal) + 1):
                self.state.run.stop_if_asked()
                rows = self.state.predicted(stage, piece, predictor)
                yield key, Predictions.of(rows, name, members).to_json()
                self.state.run.reporter.progress(f"{named}: predictions", count, len(pieces))

        records = journal.work([(f"{digest}-{self.state.key(stage, p)}", p) for p in pieces], asked)
        predictor.say_extrapolation()
        calibration = _calibration(predictor, name)
        by_id: dict[str, Candidate] = {}
        for piece, record in zip(pieces, records, strict=True):
            kept = Predictions.from_json(record)
            for i, (energy, noise, spread, *each), why in zip(piece, kept.numbers.tolist(), kept.why, strict=True):
                amounts = self.state.amounts[i]
                by_id[i] = Candidate(i, amounts, energy, noise, spread, tuple(each), why, calibration)
        base = self._base(stage, ids, plan)
        whole = {i: _added(c, base[i]) for i, c in by_id.items() if i in base}
        return [self._with_problem(stage, i, whole.get(i), "" if i in base else "has no energy") for i in ids]

    def _open(self, path: Path) -> tuple[Predictor, str]:
        """The model in ``path``, and a name of its own."""
        predictor = Predictor(
            path,
            device=choose_device(self.plan.call.device),
            batch_size=BATCH,
            allow_unseen=True,
            warn=self.state.run.reporter.warn,
        )
        return predictor, sha256(named_by(path))[:16]

    def _base(self, stage: int, ids: Iterable[str], plan: CampaignPlan) -> dict[str, float]:
        """What predictions at ``stage`` are added to, eV/atom, by id; without those that lack it."""
        return self.state.formation(stage, ids) if plan.learns_difference(stage) else dict.fromkeys(ids, 0.0)

    def _no_difference(self, stage: int, energies: Mapping[str, float], base: Mapping[str, float]) -> str:
        """Why there is no difference to learn from, seen only when all was paid for; empty if there is one."""
        where = f"stage '{self.plan.stages[stage].name}'"
        found = [energies[i] - e for i, e in base.items() if self.state.has_structure(stage, i)]
        if not found:
            return f"{where} gave no energies to learn the difference from"
        if np.ptp(found) < SAME:
            return f"{where} has the final energies already, up to a constant: there is no difference to learn"
        return ""

    def _with_problem(self, stage: int, id: str, found: Candidate | None, lacks: str) -> Candidate:
        """The prediction with what went wrong before it; a candidate without one is no reason to drop it."""
        said = self.state.problem(stage, id)
        if found is None:
            nothing = float("nan")
            why = said or lacks or "has no structure"
            return Candidate(id, self.state.amounts[id], nothing, nothing, nothing, (), why)
        return replace(found, extrapolating="; ".join(t for t in (found.extrapolating, said) if t)) if said else found


class Predictions:
    """What a model says of some structures, as it is kept while others are asked for.

    Args:
        numbers: (S, 3 + M) energy, σ_a, σ_e (eV/atom) and what each of M members says; NaN where it says nothing.
        why: (S,) why a prediction is an extrapolation, or there is none; empty if nothing speaks against it.
    """

    def __init__(self, numbers: NDArray[np.float64], why: Sequence[str]) -> None:
        self.numbers, self.why = numbers, tuple(why)

    @classmethod
    def of(cls, rows: Iterable[Row | Failure], name: str, members: int) -> Predictions:
        """Those of the quantity ``name`` by an ensemble of ``members``, or by one model, which has none."""
        numbers, why = [np.zeros((0, 3 + members))], []
        for row in rows:
            if isinstance(row, Failure):
                numbers.append(np.full((1, 3 + members), np.nan))
                why.append(row.reason)
                continue
            known = row.uncertainties.get(name, {})
            noise = known.get("sigma_a", 0.0 if "sigma_e" in known else known.get("sigma", 0.0))
            numbers.append(np.array([[row.values[name], noise, known.get("sigma_e", 0.0), *row.members.get(name, ())]]))
            why.append(row.extrapolating)
        return cls(np.concatenate(numbers), why)

    def to_json(self) -> dict[str, Any]:
        """Plain values with every bit of the numbers, the inverse of :meth:`from_json`; one text is soon written."""
        data = base64.b64encode(np.ascontiguousarray(self.numbers, dtype="<f8").tobytes()).decode()
        return {"numbers": data, "why": list(self.why)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Predictions:
        """Build from the record of :meth:`to_json`."""
        numbers = np.frombuffer(base64.b64decode(data["numbers"]), dtype="<f8")
        return cls(numbers.reshape(len(data["why"]), -1), data["why"])


def _calibration(predictor: Predictor, name: str) -> str:
    """How σ of the quantity ``name`` was calibrated; empty where there is none to speak of."""
    fit = predictor.model.sigma_fits.get(name)
    if fit is not None:
        return fit.method
    return UNCALIBRATED if isinstance(predictor.model, Ensemble) else ""


def _graphs(structures: Sequence[Structure], recipe: GraphRecipe) -> Iterator[tuple[Structure, PackedGraph | Failure]]:
    """Every structure with its graph, or why it has none."""
    work = GraphWork.of(recipe)
    make = graph_maker(work)
    for one in structures:
        yield one, graph_of(work, make, one.entry(), pack)


def _added(found: Candidate, base: float) -> Candidate:
    """The prediction of a difference as one of an energy; its σ and why it is an extrapolation stay."""
    return replace(found, energy=found.energy + base, members=tuple(m + base for m in found.members))


def _write(
    path: Path, recipe: GraphRecipe, usable: Sequence[tuple[Structure, PackedGraph]], columns: Sequence[Column]
) -> None:
    with CacheWriter(path) as writer:
        for one, graph in usable:
            writer.add(one.id, one.id, graph)
        writer.finish(recipe, columns)
