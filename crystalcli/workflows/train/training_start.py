"""The model of a training that starts from another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from crystalcli.mechanisms.datasets.dataset import GraphDataset
from crystalcli.mechanisms.datasets.normalisers import target_statistics, with_references, with_shortest
from crystalcli.mechanisms.datasets.splits import Split
from crystalcli.mechanisms.models.model import CrystalModel, refuse_mixed_sizes
from crystalcli.mechanisms.models.model_spec import PartChoice
from crystalcli.mechanisms.scoring.evaluation import Zeroth
from crystalcli.mechanisms.simple_models import baselines
from crystalcli.mechanisms.training import transfer
from crystalcli.vocabulary.quantities import Quantity
from crystalcli.workflows.hearing import Listener
from crystalcli.workflows.train.training_plan import TrainingPlan

FEW = 200
"""With fewer training structures the statistics of batch norms are kept."""


def started(
    plan: TrainingPlan, data: GraphDataset, targets: tuple[Quantity, ...], split: Split, listener: Listener
) -> tuple[CrystalModel, Zeroth]:
    """The model that ``plan.start`` names, ready to be trained on, and its zeroth terms for all structures.

    Raises:
        UsageError: graphs or targets that are not the model's, or patterns that match nothing.
    """
    start = plan.start
    origin = transfer.source(Path(start.model), plan.member)
    transfer.refuse_other_graphs(origin, data.recipe, plan.paths[0])
    names = [q.name for q in targets]
    statistics = target_statistics(data, names, split.train)
    if origin.differentiable:
        statistics = with_shortest(with_references(statistics, data, split.train), data, split.train)
    torch.manual_seed(plan.seed)
    if start.new_head:
        head = PartChoice(plan.head, plan.head_options)
        model = transfer.grown(origin, targets, statistics, {}, head=head, refit=True)
    else:
        renamed = transfer.renamed(origin, targets)
        kept = statistics if start.refit else transfer.kept_statistics(origin.spec.statistics, statistics, renamed)
        zeroth_terms = transfer.renamed_baselines(origin, renamed)
        model = transfer.grown(origin, targets, kept, zeroth_terms, head=None, refit=start.refit)
    transfer.lr_factors(model, start.lr_factors)  # what cannot be is refused before anything is written
    frozen = transfer.freeze(model, start.freeze) if start.freeze else 0
    few = len(split.train) < FEW
    model.frozen_norms = start.freeze_norm == "yes" or (start.freeze_norm == "auto" and few)
    refuse_mixed_sizes(model, data.atom_counts())
    listener.say(
        f"starts from {start.model}: {'new head' if start.new_head else 'all weights'}, {frozen} numbers frozen, "
        f"statistics of batch norms {'kept' if model.frozen_norms else 'followed'}"
    )
    every = np.arange(len(data))
    pairs = zip(model.baseline_targets, model.baselines, strict=True)
    return model, {t: baselines.evaluate(b, data, every) for t, b in pairs}  # type: ignore[arg-type]
