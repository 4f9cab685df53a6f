"""From a plan to everything that a training loop needs: data, split, statistics, zeroth terms, model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from ase.data import chemical_symbols
from numpy.typing import NDArray

from crystalcli.contracts.records import Head, Statistics
from crystalcli.mechanisms.datasets import frames, leaks
from crystalcli.mechanisms.datasets.dataset import GraphDataset
from crystalcli.mechanisms.datasets.normalisers import (
    isolated_atoms,
    target_statistics,
    with_force_per_area,
    with_references,
    with_shortest,
)
from crystalcli.mechanisms.datasets.splits import Split
from crystalcli.mechanisms.models.model import CrystalModel, refuse_mixed_sizes
from crystalcli.mechanisms.models.model_fields import fields_of, recipe_of_model
from crystalcli.mechanisms.models.model_inputs import inputs_of, take_from_cache
from crystalcli.mechanisms.models.model_spec import ModelSpec, PartChoice
from crystalcli.mechanisms.registry.plugin_manager import registry
from crystalcli.mechanisms.running.devices import choose_device
from crystalcli.mechanisms.scoring.evaluation import Zeroth
from crystalcli.mechanisms.training.proving import give_witnesses
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity
from crystalcli.workflows.hearing import Listener
from crystalcli.workflows.train.training_labels import check_values, choose_targets, labelled
from crystalcli.workflows.train.training_plan import TrainingPlan
from crystalcli.workflows.train.training_split import Material, choose
from crystalcli.workflows.train.training_start import started
from crystalcli.workflows.train.training_zeroth import zeroth_terms


@dataclass(frozen=True)
class Prepared:
    """What training starts from.

    Args:
        zeroth: values of the zeroth terms for all structures, by target; NaN where not needed.
    """

    data: GraphDataset
    ids: Sequence[str]
    targets: tuple[Quantity, ...]
    split: Split
    leaks: tuple[leaks.Leak, ...]
    zeroth: Zeroth
    model: CrystalModel
    device: torch.device

    @property
    def names(self) -> list[str]:
        """Names of the targets."""
        return [q.name for q in self.targets]

    @property
    def n_parameters(self) -> int:
        """Trainable numbers."""
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)


def prepare(plan: TrainingPlan, listener: Listener) -> Prepared:
    """Open, split, fit the zeroth terms and build the model.

    Raises:
        UsageError: labels, split or parts that cannot work; before anything is written.
    """
    device = choose_device(plan.device)
    data = GraphDataset.open(plan.paths)
    made_by = data.recipe.featurizer
    if plan.featurizer not in ("", made_by):
        raise UsageError(f"was built with featurizer '{made_by}'; add --featurizer {made_by}", path=plan.paths[0])
    head = cast(Head, registry().get("head", plan.head))
    targets = choose_targets(data, plan.targets, plan.task, head, plan.paths[0], listener)
    usable = labelled(data, targets, listener)
    ids = data.ids
    split = choose(Material(data, usable, _values(data, targets[0]), ids), plan)
    sizes = ", ".join(f"{len(p)} {n}" for n, p in split.parts().items())
    listener.say(f"split: {sizes}; {split.how}")
    found = look_for_leaks(data, ids, split)
    _say_leaks(found, split, listener)
    _warn_of_elements(data, split, listener)
    for q in targets:
        check_values(data, q, split, ids, listener)
    for line in frames.poor_parts(
        data, split, [q.name for q in targets if q.level == "site" and q.shape == (3,) and q.meaning != "position"]
    ):
        listener.warn(line)
    return _with_model(plan, data, ids, targets=targets, split=split, found=found, device=device, listener=listener)


def remodelled(prepared: Prepared, plan: TrainingPlan, listener: Listener) -> Prepared:
    """The same data and split with the model of another plan.

    Raises:
        UsageError: its parts do not fit together.
    """
    p = prepared
    return _with_model(
        plan, p.data, p.ids, targets=p.targets, split=p.split, found=p.leaks, device=p.device, listener=listener
    )


def _with_model(
    plan: TrainingPlan,
    data: GraphDataset,
    ids: Sequence[str],
    *,
    targets: tuple[Quantity, ...],
    split: Split,
    found: Sequence[leaks.Leak],
    device: torch.device,
    listener: Listener,
) -> Prepared:
    if plan.start.model:
        model, zeroth = started(plan, data, targets, split, listener)
        _give_inputs(data, model, listener)
        give_witnesses(model, data, split.train)
        return Prepared(data, ids, targets, split, tuple(found), zeroth, model.to(device), device)
    names = [q.name for q in targets]
    head = cast(Head, registry().get("head", plan.head))
    differentiable = "energy" in head.provides
    if differentiable and plan.recipe.residual_of not in ("none", "auto"):
        raise UsageError(f"head '{head.name}' has its own references; it cannot be the residual of a baseline")
    fitted, zeroth = zeroth_terms("none" if differentiable else plan.recipe.residual_of, data, split, names, listener)
    statistics = target_statistics(data, names, split.train, zeroth)
    spec = ModelSpec(
        graph=PartChoice(data.recipe.featurizer, data.recipe.options),
        embedding=PartChoice(data.recipe.featurizer, plan.embed_options),
        architecture=PartChoice(plan.architecture, plan.architecture_options),
        head=PartChoice(plan.head, plan.head_options),
        targets=targets,
        statistics=_of_atoms(statistics, data, split, listener) if differentiable else statistics,
    ).with_baselines(fitted)
    torch.manual_seed(plan.seed)
    model = CrystalModel(spec, fitted)
    refuse_mixed_sizes(model, data.atom_counts())
    _give_inputs(data, model, listener)
    give_witnesses(model, data, split.train)
    return Prepared(data, ids, targets, split, tuple(found), zeroth, model.to(device), device)


def _give_inputs(data: GraphDataset, model: CrystalModel, listener: Listener) -> None:
    """Let the batches hold what the model reads beside graphs.

    Raises:
        UsageError: no structure says it, or the cache was built without a per-site field.
    """
    if said := data.recipe.misses(recipe_of_model(model.spec)):
        wanted = ",".join(fields_of(model.spec))
        raise UsageError(
            f"was not built as the model needs it: {said}; build it with crystal build-graphs --fields {wanted}",
            path=data.caches[0].path,
        )
    for name, missing in take_from_cache(data, inputs_of(model.spec)).items():
        if missing == len(data):
            raise UsageError(
                f"no structure has a label '{name}', which head '{model.spec.head.name}' reads; the caches have "
                f"{', '.join(data.columns)}; labels are taken by crystal build-graphs --targets"
            )
        listener.say(f"{missing} of {len(data)} structures do not say their '{name}'; it is taken as 0")


def _of_atoms(statistics: Statistics, data: GraphDataset, split: Split, listener: Listener) -> Statistics:
    """What a head with energies of atoms may know, too."""
    if "energy" in data.columns and (pinned := isolated_atoms(data, split.train)):
        symbols = ", ".join(chemical_symbols[z] for z in sorted(pinned))
        listener.say(f"energies of {symbols} in the references: those of isolated atoms, which training has")
    for more in (with_references, with_force_per_area, with_shortest):
        statistics = more(statistics, data, split.train)
    return statistics


def _say_leaks(found: Sequence[leaks.Leak], split: Split, listener: Listener) -> None:
    common = leaks.shared_by_all(found, split)
    if common:
        words = " and ".join({"formula": "formulas", "run": "runs"}[k] for k in common)
        listener.say(f"leak: all parts share their {words}; the test error tells nothing of others")
    for leak in found:
        if leak.kind not in common:
            (listener.warn if leak.kind in ("structure", "copy") else listener.say)(f"leak: {leak.line()}")


def look_for_leaks(data: GraphDataset, ids: Sequence[str], split: Split) -> list[leaks.Leak]:
    """Copies, formulas and runs that two parts share; runs only where frames of one file are few materials."""
    formulas = leaks.numbered(data.formulas())
    every = np.concatenate(list(split.parts().values()))
    exact = leaks.numbered(data.structure_hashes())
    keys = {"structure": exact, "copy": leaks.shapes(data, every), "formula": formulas}
    files, _ = data.runs()
    runs = leaks.numbered(files)
    if len(np.unique(formulas)) * 10 <= len(data) and len(np.unique(runs)) * 10 <= len(data):
        keys["run"] = runs
    found = leaks.find(split, ids, keys)
    exact_parts = {x.parts: x.n for x in found if x.kind == "structure"}
    return [x for x in found if x.kind != "copy" or x.n > exact_parts.get(x.parts, 0)]


def _values(data: GraphDataset, quantity: Quantity) -> NDArray[np.float64]:
    if quantity.level != "structure" or quantity.shape:
        return np.full(len(data), np.nan)
    column = data.columns[quantity.name]
    return np.where(column.mask, column.values, np.nan)


def _warn_of_elements(data: GraphDataset, split: Split, listener: Listener) -> None:
    known = set(data.elements(split.train))
    for name in ("val", "test"):
        part = split.parts()[name]
        new = [chemical_symbols[z] for z in data.elements(part) if z not in known] if len(part) else []
        if new:
            listener.warn(f"elements of the {name} part that training never sees: {', '.join(new)}")
