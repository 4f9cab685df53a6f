"""What a screening starts from: candidates out of files or caches, structures of elements, phases of known energy.

All that is missing is said here, before anything is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path

import numpy as np

from crystalcli.engine.cache.cache import Column, GraphRecipe
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.labels.labelled import Labelled
from crystalcli.engine.model.model_fields import recipe_of_file
from crystalcli.engine.model.model_names import named_by
from crystalcli.engine.read.reading import Failure
from crystalcli.engine.read.supervised_reading import read_inputs
from crystalcli.nouns.structures.constraints import not_known
from crystalcli.nouns.structures.read_options import ReadOptions
from crystalcli.prediction.reading import is_cache
from crystalcli.screen.candidates import Candidates, FromCaches, FromFiles
from crystalcli.screen.decider import decider, refuse_no_energy
from crystalcli.screen.hull import Amounts, Phase
from crystalcli.screen.known_phases import KnownEnergies, phases
from crystalcli.screen.options import FEWEST
from crystalcli.screen.plan import CampaignPlan
from crystalcli.screen.recipe import ENERGY
from crystalcli.screen.stage_results import (
    ELEMENT,
    Structure,
    cif_column_by,
    read_known,
    read_structures,
    refuse_unknown_column,
)
from crystalcli.vocabulary.errors import NothingUsable, UsageError
from crystalcli.vocabulary.quantities import Quantity

IN_REFERENCES = "cif_column in [references]"
Warn = Callable[[str], None]


@dataclass(frozen=True)
class Inputs:
    """What a screening starts from.

    Args:
        candidates: structures, those that are labelled and train among them.
        elements: structures of elements, which go through all stages.
        phases: of known formation energy.
        label: name of what ensembles learn from labelled candidates, or of what a given model predicts; empty where
            they learn final energies.
        notes: what a careful user wants to know.
    """

    candidates: Candidates
    elements: Sequence[Structure] = ()
    phases: Sequence[Phase] = ()
    label: str = ""
    notes: Sequence[str] = field(default_factory=tuple)


def read(plan: CampaignPlan, warn: Warn) -> Inputs:
    """Read candidates, elements and known phases.

    Raises:
        NothingUsable: no candidate can be read. UsageError: an element without energy, a structure of elements that is
            a compound, labels that are no formation energies, nothing to train on or to screen, a model that cannot
            decide.
    """
    if plan.trains_on == "chosen":
        return _of_campaign(plan, warn)
    if plan.trains_on == "labelled":
        found, quantity = _labelled(plan, warn)
    else:
        quantity, said = decider(plan.stages[0].model, plan.target, plan.rule().threshold, warn)
        found = Inputs(_of_model(plan, quantity, warn), label=quantity.name, notes=[said] if said else [])
    note = refuse_no_energy(quantity)
    phases = _known_phases(plan, quantity, warn)
    return replace(found, phases=phases, notes=[*([note] if note else []), *found.notes])


def _of_campaign(plan: CampaignPlan, warn: Warn) -> Inputs:
    s, references = plan.settings, plan.references
    candidates = _candidates(plan, None, ReadOptions(s.cif_column, s.id_column, labels="unused"), warn)
    if s.train >= len(candidates.amounts):
        n = len(candidates.amounts)
        raise UsageError(f"{n} candidates, {s.train} of them to train on: nothing is left to screen")
    elements: list[Structure] = []
    with cif_column_by(IN_REFERENCES):
        refuse_unknown_column([*references.element_files, *references.phase_files], references.cif_column)
    if references.elements:
        with cif_column_by(IN_REFERENCES):
            elements, broken = read_structures(references.element_files, references.cif_column)
        if broken:
            raise UsageError(f"an element cannot be read: {broken[0]}")
    for one in elements:
        if len(one.amounts) != 1:
            raise UsageError(f"'{one.id}' among the elements is a compound, {one.atoms.get_chemical_formula()}")
        if why := not_known(one.atoms):
            raise UsageError(f"'{one.id}' among the elements: {why}")
    elements = [Structure(ELEMENT + i.id, i.atoms, i.labels) for i in elements]
    if plan.counted_from_elements:
        known = {*references.energies, *(e for i in elements for e in i.amounts)}
        missing = sorted({e for a in candidates.amounts.values() for e in a} - known)
        if missing:
            raise UsageError(f"[references] says nothing of {', '.join(missing)}; formation energies need it")
    return Inputs(candidates, elements, _known_phases(plan, ENERGY, warn))


def _labelled(plan: CampaignPlan, warn: Warn) -> tuple[Inputs, Quantity]:
    """The caches whose labelled part trains and whose rest is screened, and the label.

    Raises:
        UsageError: nothing or everything is labelled; says what to do.
    """
    path = Path(plan.candidates[0])
    data = GraphDataset.open([Path(p) for p in plan.candidates])
    if not data.columns:
        raise UsageError(
            "has no labels to train on: give a trained model with --model, or build the cache from a table in which "
            "some structures have formation energies",
            path=path,
        )
    if not plan.target and len(data.columns) > 1:
        raise UsageError(f"has several labels; choose with --target: {', '.join(sorted(data.columns))}", path=path)
    name = plan.target or next(iter(data.columns))
    if name not in data.columns:
        raise UsageError(f"has no label '{name}'; it has {', '.join(sorted(data.columns))}", path=path)
    quantity = data.columns[name].quantity
    refuse_no_energy(quantity)
    known = int(data.columns[name].mask.sum())
    if known == len(data):
        raise UsageError(
            f"all {known} structures have a label '{name}': there is nothing to screen, for candidates are those "
            "without one. Add them to the folder and build-graphs again (no row in id_prop.csv, or an empty cell); or "
            "crystal train --ensemble 5, then crystal screen NEW --model runs/latest",
            path=path,
        )
    if known < FEWEST:
        raise UsageError(f"{known} structures with a label '{name}' are too few to train on", path=path)
    if not quantity.unit:
        _look_at_totals(data, name, warn)
    said = f"{known} structures with '{name}' train, {len(data) - known} without are candidates"
    return Inputs(FromCaches(data, data.columns[name]), label=name, notes=[said]), quantity


def _look_at_totals(data: GraphDataset, name: str, warn: Warn) -> None:
    """Warn of numbers of which nobody said that they are per atom, and that look as if they were not."""
    try:
        KnownEnergies.of_caches(data, "build-graphs --targets {}", warn).under(name, Quantity(name))
    except UsageError as problem:
        warn(problem.reason)


def _of_model(plan: CampaignPlan, quantity: Quantity, warn: Warn) -> Candidates:
    """All structures are candidates; labels are only compared with."""
    s = plan.settings
    found = _candidates(plan, quantity, ReadOptions(s.cif_column, s.id_column, labels="welcome"), warn)
    if isinstance(found, FromCaches):
        path = Path(plan.candidates[0])
        recipe = recipe_of_file(named_by(Path(plan.stages[0].model)))
        _refuse_other_graphs(found.data, recipe, path)
    return found


def _refuse_other_graphs(data: GraphDataset, recipe: GraphRecipe, path: Path) -> None:
    if said := data.recipe.misses(recipe):
        raise UsageError(f"was not built as the model needs it: {said}; give the structure files", path=path)


def _candidates(plan: CampaignPlan, quantity: Quantity | None, options: ReadOptions, warn: Warn) -> Candidates:
    """Candidates out of caches or files, with the labels that they have of ``quantity``."""
    paths = plan.candidate_files
    if (data := _caches(paths)) is not None:
        column = None if quantity is None else _compared(KnownEnergies.of_caches(data, "", warn), quantity)
        return FromCaches(data, column)
    structures, labels, failures = [], [], []
    with cif_column_by("cif_column in the plan" if plan.ends_with_energies else "--cif-column"):
        for item in read_inputs(paths, options):
            if isinstance(item, Failure):
                failures.append(item)
                continue
            if plan.ends_with_energies and (why := not_known(item.atoms)):
                failures.append(Failure(item.source, item.id, "read", "constraint", why))
                continue
            for text in item.warnings:
                warn(f"{item.id}: {text}")
            structures.append(Structure(item.id, item.atoms, item.labels))
            if quantity is not None:
                labels.append(Labelled.of(item))
    if not structures:
        raise NothingUsable(f"no candidate could be read: {failures[0] if failures else 'there are none'}")
    if quantity is None:
        return FromFiles(structures, {}, failures)
    values = KnownEnergies.of_entries(labels, "", warn).compared(quantity).tolist()
    energies = {s.id: e for s, e in zip(structures, values, strict=True) if isfinite(e)}
    return FromFiles(structures, energies, failures)


def _compared(known: KnownEnergies, quantity: Quantity) -> Column:
    values = known.compared(quantity)
    return Column(quantity, values, np.isfinite(values))


def _caches(paths: Sequence[Path]) -> GraphDataset | None:
    """The data set that ``paths`` are, if they are caches.

    Raises:
        UsageError: caches and files mixed.
    """
    caches = [p for p in paths if is_cache(p)]
    if caches and len(caches) < len(paths):
        raise UsageError("give either graph caches or structure files, not both", path=paths[0])
    return GraphDataset.open(caches) if caches else None


def _known_phases(plan: CampaignPlan, quantity: Quantity, warn: Warn) -> list[Phase]:
    """Phases of known formation energy.

    Raises:
        UsageError: one cannot be read, or none has the label.
    """
    r = plan.references
    if not r.phases:
        return []
    paths, say = r.phase_files, 'label = "{}"' if plan.ends_with_energies else "--reference-label {}"
    if (data := _caches(paths)) is not None:
        ids, amounts = data.ids, list(FromCaches(data, None).amounts.values())
        labels = KnownEnergies.of_caches(data, say, warn)
    else:
        with cif_column_by(IN_REFERENCES if plan.ends_with_energies else "--cif-column, for candidates and references"):
            entries, amounts = _read_all(paths, r.cif_column)
        ids, labels = [e.id for e in entries], KnownEnergies.of_entries(entries, say, warn)
    try:
        energies = labels.under(r.label, quantity)
    except UsageError as problem:
        raise UsageError(problem.reason, path=paths[0]) from problem
    known = phases(ids, amounts, energies)
    label = r.label or quantity.name
    if not known:
        raise UsageError(f"no structure has a number '{label}'", path=paths[0])
    if len(known) < len(ids):
        warn(f"{len(ids) - len(known)} of {len(ids)} reference phases have no '{label}' and are left out")
    return known


def _read_all(paths: Sequence[Path], column: str) -> tuple[list[Labelled], list[Amounts]]:
    """Labels and compositions of all that is in files, every structure of which is wanted."""
    labels: list[Labelled] = []
    amounts: list[Amounts] = []
    for item in read_known(paths, column):
        if isinstance(item, Failure):
            raise UsageError(f"a reference phase cannot be read: {item}")
        labels.append(Labelled.of(item))
        amounts.append(Structure(item.id, item.atoms).amounts)
    return labels, amounts
