"""The ensembles of a campaign, one for every stage but the last: from structures there to final energies.

An ensemble learns the final formation energies, as in the paper, or (``learn = "difference"``) what they differ by from
the formation energies that the stage itself has, and that are paid for already: Δ-learning, R. Ramakrishnan et al.,
J. Chem. Theory Comput. 11, 2087 (2015), doi:10.1021/acs.jctc.5b00099. Then the prediction for candidate c after stage s
is ``E_s(c) + Δ_s(c)``, with the members' Δ and the σ of Δ. References μ' of the elements other than those of the final
energies, μ, change Δ by a sum over the composition, ``Σ_k x_k (μ'_k − μ_k)``, which is learned with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from crystalcli.mechanisms.caches.cache import Column, GraphRecipe
from crystalcli.mechanisms.caches.cache_packing import PackedGraph, pack
from crystalcli.mechanisms.caches.cache_writer import CacheWriter
from crystalcli.mechanisms.datasets.dataset import GraphDataset
from crystalcli.mechanisms.models import model_file
from crystalcli.mechanisms.models.model_fields import recipe_of_model
from crystalcli.mechanisms.models.model_head import file_of
from crystalcli.mechanisms.phases.screening import Candidate
from crystalcli.mechanisms.running import files
from crystalcli.mechanisms.running.run_folder import sha256
from crystalcli.vocabulary.errors import CrystalError, UsageError
from crystalcli.workflows.graphs.build_graphs_work import Work, graph_maker, with_fields
from crystalcli.workflows.screen.campaign_results import Item, key_of
from crystalcli.workflows.screen.campaign_training import recipe_of, target, training_plan
from crystalcli.workflows.screen.campaign_work import Workshop
from crystalcli.workflows.screen.screening_data import Pool
from crystalcli.workflows.screen.screening_prediction import predicted
from crystalcli.workflows.screen.screening_training import trained

PIECE = 256
"""Candidates that are predicted, and written down, together."""
SAME = 1e-9
"""eV/atom: differences that vary less are none."""


class Models:
    """Trains and asks the ensembles of a campaign.

    Args:
        shop: has the structures.

    Raises:
        UsageError: no such architecture or option, or a model to start from that is none.
    """

    def __init__(self, shop: Workshop) -> None:
        self.shop, self.plan = shop, shop.plan
        for k in range(len(self.plan.stages) - 1):
            training_plan(self.plan, k, "", "")  # refuses what cannot work, before anything is done

    def train(self, stage: int, energies: Mapping[str, float], name: str) -> Path:
        """Folder of the ensemble that predicts final energies from structures at ``stage``.

        Args:
            stage: counted from 0.
            energies: formation energies of the structures to train on, eV/atom, by id.
            name: of the ensemble, for its folder.

        Raises:
            UsageError: too few structures, or nothing to learn.
        """
        folder = self.shop.folder / "models"
        cache = folder / f"{name}.h5"
        plan = training_plan(self.plan, stage, str(folder / name), str(cache))
        base = self._base(stage, energies)
        items = [self.shop.item(stage, i) for i in sorted(base) if self.shop.has_structure(stage, i)]
        labels = {i.id: energies[i.id] - base[i.id] for i in items}
        if self.plan.learns_difference(stage):
            self._refuse_no_difference(stage, labels, name)

        def prepare() -> None:
            graphs = list(self._graphs(items, recipe_of(plan)))
            usable = [(i, g) for i, g in graphs if isinstance(g, PackedGraph)]
            for i, g in graphs:
                if not isinstance(g, PackedGraph):
                    self.shop.listener.warn(f"{name}: {i.id} is not trained on: {g}")
            if len(usable) < 10:
                raise UsageError(f"{name}: {len(usable)} structures with a final energy are too few to train on")
            column = Column(
                target(self.plan, stage), np.array([labels[i.id] for i, _ in usable]), np.ones(len(usable), dtype=bool)
            )
            _write(cache, recipe_of(plan), usable, [column])

        what = "differences to the final energies" if self.plan.learns_difference(stage) else "final energies"
        self.shop.listener.say(f"{name}: ensemble of {self.plan.training.ensemble}, {len(items)} structures, {what}")
        members = self.plan.training.ensemble
        return trained(plan, members, self.shop.listener, self.shop.stop, prepare, name=name, quiet=True)

    def predict(self, stage: int, ids: Sequence[str], path: Path, task: str) -> list[Candidate]:
        """Final energies of ``ids`` as the ensemble in ``path`` sees them at ``stage``, in order.

        Those without a structure at the stage, without a graph, or without an energy to add to, have no prediction.
        """
        model, provenance = model_file.load(file_of(path))
        recipe = recipe_of_model(model.spec)
        items = [self.shop.item(stage, i) for i in ids if self.shop.has_structure(stage, i)]
        pieces = [items[k : k + PIECE] for k in range(0, len(items), PIECE)]
        digest = sha256(file_of(path))[:16]
        journal = self.shop.journal(f"predictions-{stage + 1}-{self.plan.stages[stage].name}-{task}")

        def ask(missing: Iterable[tuple[str, list[Item]]]) -> Iterator[tuple[str, Any]]:
            for key, piece in missing:
                self.shop.stopped()
                usable = [(i, g) for i, g in self._graphs(piece, recipe) if isinstance(g, PackedGraph)]
                cache = self.shop.folder / "models" / "asked.h5"
                found: list[Candidate] = []
                if usable:
                    _write(cache, recipe, usable, [])
                    data = GraphDataset.open([cache])
                    pool = Pool(data, np.arange(len(data)), np.full(len(data), np.nan))
                    found = predicted(model, pool, provenance, device=self.plan.device)
                    files.remove(cache)
                yield key, [vars(c) for c in found]

        answers = journal.work([(f"{digest}-{key_of(p)}", p) for p in pieces], ask)
        by_id = {c["id"]: Candidate(**{**c, "members": tuple(c["members"])}) for piece in answers for c in piece}
        base = self._base(stage, ids)
        whole = {i: _added(c, base[i]) for i, c in by_id.items() if i in base}
        return [self._with_problem(stage, i, whole.get(i), "" if i in base else "has no energy") for i in ids]

    def _base(self, stage: int, ids: Iterable[str]) -> dict[str, float]:
        """What predictions at ``stage`` are added to, eV/atom, by id; without those that lack it."""
        if self.plan.learns_difference(stage):
            return self.shop.formation(stage, ids)
        return dict.fromkeys(ids, 0.0)

    def _refuse_no_difference(self, stage: int, labels: Mapping[str, float], name: str) -> None:
        """Refuse a stage without energies, and one that has the final ones.

        Raises:
            UsageError: says what to do.
        """
        where = f"{name}: stage '{self.plan.stages[stage].name}'"
        if not labels:
            raise UsageError(f'{where} gave no energies to learn the difference from; say learn = "energy" there')
        if np.ptp(list(labels.values())) < SAME:
            raise UsageError(
                f"{where} has the final energies already, up to a constant: there is no difference to learn; leave the "
                'stage out, or say learn = "energy" there'
            )

    def _with_problem(self, stage: int, id: str, found: Candidate | None, lacks: str) -> Candidate:
        """The prediction with what went wrong before it; a candidate without one is no reason to drop it."""
        said = self.shop.problem(stage, id)
        if found is None:
            nothing = float("nan")
            why = said or lacks or "has no graph"
            return Candidate(id, self.shop.start[id].amounts, nothing, nothing, nothing, (), why)
        return replace(found, extrapolating="; ".join(t for t in (found.extrapolating, said) if t)) if said else found

    def _graphs(self, items: Sequence[Item], recipe: GraphRecipe) -> Iterator[tuple[Item, PackedGraph | str]]:
        """Every structure with its graph, or why it has none."""
        make = graph_maker(Work.of(recipe))
        for item in items:
            try:
                yield item, pack(with_fields(make(item.atoms), item.atoms, recipe.fields))
            except CrystalError as problem:
                yield item, problem.reason


def _added(found: Candidate, base: float) -> Candidate:
    """The prediction of a difference as one of an energy; its σ and why it is an extrapolation stay."""
    return replace(found, energy=found.energy + base, members=tuple(m + base for m in found.members))


def _write(
    path: Path, recipe: GraphRecipe, usable: Sequence[tuple[Item, PackedGraph]], columns: Sequence[Column]
) -> None:
    with CacheWriter(path) as writer:
        for item, graph in usable:
            writer.add(item.id, item.id, graph)
        writer.finish(recipe, columns)
