"""The ensembles of a campaign, one for every stage but the last: from structures there to final energies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from crystalcli.contracts import options as opt
from crystalcli.contracts.records import Architecture, Featurizer
from crystalcli.mechanisms.caches.cache import Column, GraphRecipe
from crystalcli.mechanisms.caches.cache_packing import PackedGraph, pack
from crystalcli.mechanisms.caches.cache_writer import CacheWriter
from crystalcli.mechanisms.datasets.dataset import GraphDataset
from crystalcli.mechanisms.models import model_file
from crystalcli.mechanisms.models.model_head import file_of, read_head
from crystalcli.mechanisms.phases.screening import Candidate
from crystalcli.mechanisms.registry.plugin_manager import registry
from crystalcli.mechanisms.running import files
from crystalcli.mechanisms.running.run_folder import sha256
from crystalcli.vocabulary.errors import CrystalError, UsageError, did_you_mean
from crystalcli.vocabulary.quantities import Quantity
from crystalcli.workflows.graphs.build_graphs_work import Work, graph_maker
from crystalcli.workflows.screen.campaign_plan import CampaignPlan
from crystalcli.workflows.screen.campaign_results import Item, key_of
from crystalcli.workflows.screen.campaign_work import Workshop
from crystalcli.workflows.screen.screening_data import Pool
from crystalcli.workflows.screen.screening_prediction import predicted
from crystalcli.workflows.screen.screening_training import trained
from crystalcli.workflows.train.training_plan import SplitPlan, StartPlan, TrainingPlan

TARGET = Quantity("formation_energy_per_atom", "eV/atom")
PIECE = 256
"""Candidates that are predicted, and written down, together."""


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
            UsageError: too few structures.
        """
        folder = self.shop.folder / "models"
        cache = folder / f"{name}.h5"
        plan = training_plan(self.plan, stage, str(folder / name), str(cache))
        items = [self.shop.item(stage, i) for i in sorted(energies) if self.shop.has_structure(stage, i)]

        def prepare() -> None:
            graphs = list(self._graphs(items, _recipe(plan)))
            usable = [(i, g) for i, g in graphs if isinstance(g, PackedGraph)]
            for i, g in graphs:
                if not isinstance(g, PackedGraph):
                    self.shop.listener.warn(f"{name}: {i.id} is not trained on: {g}")
            if len(usable) < 10:
                raise UsageError(f"{name}: {len(usable)} structures with a final energy are too few to train on")
            _write(cache, _recipe(plan), usable, np.array([energies[i.id] for i, _ in usable]))

        self.shop.listener.say(f"{name}: ensemble of {self.plan.training.ensemble}, {len(items)} structures")
        return trained(
            plan, self.plan.training.ensemble, replace(self.shop.listener, say=_nobody), self.shop.stop, prepare
        )

    def predict(self, stage: int, ids: Sequence[str], path: Path, task: str) -> list[Candidate]:
        """Final energies of ``ids`` as the ensemble in ``path`` sees them at ``stage``, in order.

        Those without a structure at the stage, or without a graph, have no prediction.
        """
        model, provenance = model_file.load(file_of(path))
        recipe = GraphRecipe(model.spec.graph.name, model.spec.graph.options)
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
                    _write(cache, recipe, usable, None)
                    data = GraphDataset.open([cache])
                    pool = Pool(data, np.arange(len(data)), np.full(len(data), np.nan))
                    found = predicted(model, pool, provenance, device=self.plan.device)
                    files.remove(cache)
                yield key, [vars(c) for c in found]

        answers = journal.work([(f"{digest}-{key_of(p)}", p) for p in pieces], ask)
        by_id = {c["id"]: Candidate(**{**c, "members": tuple(c["members"])}) for piece in answers for c in piece}
        return [self._with_problem(stage, i, by_id.get(i)) for i in ids]

    def _with_problem(self, stage: int, id: str, found: Candidate | None) -> Candidate:
        """The prediction with what went wrong before it; a candidate without one is no reason to drop it."""
        said = self.shop.problem(stage, id)
        if found is None:
            nothing = float("nan")
            why = said or "has no graph"
            return Candidate(id, self.shop.start[id].amounts, nothing, nothing, nothing, (), why)
        return replace(found, extrapolating="; ".join(t for t in (found.extrapolating, said) if t)) if said else found

    def _graphs(self, items: Sequence[Item], recipe: GraphRecipe) -> Iterator[tuple[Item, PackedGraph | str]]:
        """Every structure with its graph, or why it has none."""
        make = graph_maker(Work(recipe.featurizer, recipe.options))
        for item in items:
            try:
                yield item, pack(make(item.atoms))
            except CrystalError as problem:
                yield item, problem.reason


def _nobody(_line: str) -> None:
    """Hears what members say of themselves; their own logs keep it."""


def _recipe(plan: TrainingPlan) -> GraphRecipe:
    """How graphs are made: as the model that training starts from needs them, or by the featurizer's defaults."""
    if plan.start.model:
        graph = read_head(file_of(Path(plan.start.model)))["spec"]["graph"]
        return GraphRecipe(graph["name"], graph["options"])
    part = cast(Featurizer, registry().get("featurizer", plan.featurizer))
    return GraphRecipe(part.name, opt.to_dict(opt.make(part.options, {}, owner=f"featurizer {part.name}")))


def _write(
    path: Path, recipe: GraphRecipe, usable: Sequence[tuple[Item, PackedGraph]], energies: np.ndarray | None
) -> None:
    with CacheWriter(path) as writer:
        for item, graph in usable:
            writer.add(item.id, item.id, graph)
        known = [] if energies is None else [Column(TARGET, energies, np.ones(len(energies), dtype=bool))]
        writer.finish(recipe, known)


def training_plan(plan: CampaignPlan, stage: int, output: str, cache: str) -> TrainingPlan:
    """How the ensemble of ``stage`` is trained.

    Raises:
        UsageError: no such architecture or part, an option that it does not have, or that is not the one of the model
            to start from.
    """
    t = plan.training
    arch = cast(Architecture, registry().get("architecture", t.arch))
    given = _dealt(plan.part_options, arch)
    wanted = arch.partner_options
    start = plan.stages[stage].start or t.start
    if start:
        _refuse_other_parts(Path(start), arch.name, given)
    return TrainingPlan(
        architecture=arch.name,
        architecture_options=given["architecture"],
        head=arch.head,
        head_options={**wanted.get(arch.head, {}), **given["head"]},
        featurizer=arch.featurizer,
        embed_options={**wanted.get(arch.featurizer, {}), **given["featurizer"]},
        caches=(cache,),
        targets=(TARGET.name,),
        output=output,
        recipe=replace(
            arch.recipe, epochs=t.epochs, lr=t.lr, batch_size=t.batch_size or 128, residual_of=t.residual_of
        ),
        fit_batches=not t.batch_size,
        split=SplitPlan(fractions=t.fractions),
        start=StartPlan(start, freeze_norm=t.freeze_norm),
        seed=plan.settings.seed,
        device=plan.device,
        threads=plan.threads,
    )


def _refuse_other_parts(path: Path, arch: str, given: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse parts and options that a training from the model at ``path`` would not follow.

    Raises:
        UsageError: says which. InputError, UnsafeInput: no model there.
    """
    spec = read_head(file_of(path))["spec"]
    if spec["architecture"]["name"] != arch:
        raise UsageError(f"is of architecture {spec['architecture']['name']}, the plan says {arch}", path=path)
    for family, kind in (("architecture", "architecture"), ("head", "head"), ("featurizer", "embedding")):
        mine = spec[kind]["options"]
        for name, value in given[family].items():
            if name in mine and mine[name] != value:
                raise UsageError(f"was trained with {name} = {mine[name]}, the plan says {value}", path=path)


def _dealt(tables: Mapping[str, Mapping[str, Any]], arch: Architecture) -> dict[str, dict[str, Any]]:
    """Options of ``[training.NAME]`` by family; an architecture and its featurizer may have one name.

    Raises:
        UsageError: a table or an option that belongs to no part.
    """
    head, featurizer = (
        registry().get("head", arch.head),
        cast(Featurizer, registry().get("featurizer", arch.featurizer)),
    )
    parts = {
        "architecture": (arch.name, arch.options),
        "head": (head.name, head.options),
        "featurizer": (featurizer.name, featurizer.embed_options),
    }
    given: dict[str, dict[str, Any]] = {family: {} for family in parts}
    for name, table in tables.items():
        offered = {s.name: family for family, (n, model) in parts.items() if n == name for s in opt.specs(model)}
        if name not in {n for n, _ in parts.values()}:
            words = ", ".join(dict.fromkeys(n for n, _ in parts.values()))
            raise UsageError(f"[training.{name}] belongs to no part of {arch.name} ({words})")
        for key, value in table.items():
            option = key.replace("-", "_")
            if option not in offered:
                raise UsageError(f"[training.{name}] has no option '{key}'; {did_you_mean(option, list(offered))}")
            given[offered[option]][option] = value
    for family, (name, model) in parts.items():
        opt.make(model, given[family], owner=f"[training.{name}]")
    return given
