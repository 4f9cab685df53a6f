"""The model of a training that starts from another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from ase.data import chemical_symbols
from numpy.typing import NDArray

from crystalcli.contracts.host import Reporter
from crystalcli.contracts.records import Statistics
from crystalcli.contracts.request import Request
from crystalcli.engine.baselines import baselines
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.data.normalisers import target_statistics, with_references, with_shortest
from crystalcli.engine.data.splits import Split
from crystalcli.engine.evaluate.evaluation import BaselineValues
from crystalcli.engine.model.model import CrystalModel, refuse_mixed_sizes
from crystalcli.engine.model.model_head import read_head
from crystalcli.engine.model.model_names import named_by
from crystalcli.engine.model.model_spec import PartChoice
from crystalcli.engine.model.taught import Taught
from crystalcli.nouns.graph import sum_per_structure
from crystalcli.train import transfer
from crystalcli.train.choice import head, options_of
from crystalcli.train.options import TrainOptions
from crystalcli.vocabulary.quantities import Quantity

FEW = 200
"""With fewer training structures the statistics of batch norms are kept."""
BLOCK = 16
"""Structures looked at together."""
MANY = 12
"""More elements than these are not named, but counted."""


@dataclass(frozen=True)
class Start:
    """A model to train on, its baselines for all structures by target, and the atomic numbers that it knew.

    Args:
        taught: what taught the model before.
    """

    model: CrystalModel
    baseline_values: BaselineValues
    known: tuple[int, ...]
    taught: Taught


def started(
    request: Request, data: GraphDataset, targets: tuple[Quantity, ...], split: Split, reporter: Reporter
) -> Start:
    """The model that ``--from`` names, ready to be trained on, and its baselines for all structures.

    Raises:
        UsageError: graphs or targets that are not the model's, or patterns that match nothing.
    """
    o: TrainOptions = request.options
    assert o.from_ is not None
    origin = transfer.source(o.from_, o.member)
    renamed = {} if o.new_head else transfer.renamed(origin, targets)
    terms = {} if o.new_head else transfer.renamed_baselines(origin, renamed)
    every = np.arange(len(data))
    baseline_values = {t: baselines.evaluate(b, data, every) for t, b in terms.items()}
    anew = o.new_head or o.refit_normaliser
    statistics = _statistics(origin, data, targets, split, baseline_values, anew=anew)
    if anew:
        scaled = renamed if origin.differentiable else {}
        statistics = transfer.refitted_statistics(origin.spec.statistics, statistics, scaled, new_head=o.new_head)
        if o.replay:
            statistics = transfer.with_all_elements(statistics, origin.spec.statistics, data.elements(split.train))
    else:
        statistics = transfer.kept_statistics(origin.spec.statistics, statistics, renamed)
    fresh = PartChoice(head(request).name, options_of(request, "head")) if o.new_head else None
    known = origin.spec.statistics.elements

    def grown(statistics: Statistics) -> CrystalModel:
        torch.manual_seed(o.seed)
        return transfer.grown(origin, targets, statistics, terms, head=fresh, refit=o.refit_normaliser)

    model = grown(statistics)
    if o.refit_normaliser and not o.new_head and origin.differentiable:
        found = with_references(statistics, data, split.train, explained=_explained(model, data, split.train))
        found = replace(found, target_scale=statistics.target_scale)
        if o.replay:
            found = transfer.with_all_elements(found, origin.spec.statistics, data.elements(split.train))
        model = grown(found)
    transfer.lr_factors(model, o.lr_factor)  # what cannot be is refused before anything is written
    frozen = transfer.freeze(model, o.freeze) if o.freeze else 0
    few = len(split.train) < FEW
    model.frozen_norms = o.freeze_norm == "yes" or (o.freeze_norm == "auto" and few)
    refuse_mixed_sizes(model, data.atom_counts())
    reporter.say(
        f"starts from {o.from_}: {'new head' if o.new_head else 'all weights'}, {frozen} numbers frozen, "
        f"statistics of batch norms {'kept' if model.frozen_norms else 'followed'}"
    )
    _say_elements(model, known, reporter)
    taught = Taught.of(read_head(named_by(o.from_))["provenance"])
    _warn_of_known(o.from_, taught, data, split.test, reporter)
    return Start(model, baseline_values, known, taught)


def _statistics(
    origin: CrystalModel,
    data: GraphDataset,
    targets: tuple[Quantity, ...],
    split: Split,
    baseline_values: BaselineValues,
    *,
    anew: bool,
) -> Statistics:
    """Of the new training part, on top of the baselines that go on; unless ``anew`` with references of the model."""
    found = target_statistics(data, [q.name for q in targets], split.train, baseline_values)
    if not origin.differentiable:
        return found
    found = with_references(found, data, split.train, None if anew else origin.spec.statistics)
    return with_shortest(found, data, split.train)


def _warn_of_known(path: Path, taught: Taught, data: GraphDataset, test: NDArray[np.int64], reporter: Reporter) -> None:
    """Say it where the model has learned from structures on which it is to be tested."""
    names, caches = [data.ids[i] for i in test], [c.path.stem for c in data.caches]
    if known := taught.number_known(data.structure_hashes()[test], names, caches):
        reporter.warn(
            f"{known} of {len(test)} test structures, {taught.how}, trained or validated {path}: "
            "errors on them say nothing of others"
        )
    if taught.doubt:
        reporter.warn(f"{path}: {taught.doubt}")


@torch.no_grad()
def _explained(model: CrystalModel, data: GraphDataset, index: NDArray[np.int64]) -> NDArray[np.float64]:
    """What the network adds to the energies of atoms in structures ``index``, eV; NaN for all others."""
    known = model.spec.statistics
    alone = np.zeros(120)
    alone[list(known.elements)] = known.references or 0.0
    alone += known.target_mean.get("energy", 0.0)
    found = np.full(len(data), np.nan)
    model.eval()
    for k in range(0, len(index), BLOCK):
        batch = data.batch(index[k : k + BLOCK])
        graph = batch.graph
        energy = model.of_embedding(graph, model.embed(graph))["energy"].value.double()
        atoms = torch.as_tensor(alone).index_select(0, graph.atomic_numbers)
        found[batch.index] = (energy - sum_per_structure(graph, atoms)).numpy()
    return found


def _say_elements(model: CrystalModel, known: Sequence[int], reporter: Reporter) -> None:
    """Say which elements go on, which are new and which are gone, where they are not the same."""
    now = model.spec.statistics.elements
    new, gone = [z for z in now if z not in known], [z for z in known if z not in now]
    if not new and not gone:
        return
    said = [f"{_symbols([z for z in now if z in known]) or 'none'} kept from the model"]
    if new:
        said.append(f"{_symbols(new)} new, from nothing")
    if gone:
        said.append(f"{_symbols(gone)} dropped, not in the training part")
    reporter.say(f"elements: {'; '.join(said)}")
    weights = dict(model.named_parameters())
    still = [n for n in transfer.fresh_rows(model, known) if not weights[n].requires_grad]
    if still:
        reporter.warn(
            f"{', '.join(still)} frozen: the rows of {_symbols(new)} stay as they are drawn, and learn nothing"
        )


def _symbols(numbers: Sequence[int]) -> str:
    """By symbol; of many only how many."""
    return ", ".join(chemical_symbols[z] for z in numbers) if len(numbers) <= MANY else f"{len(numbers)} elements"
