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
from crystalcli.mechanisms.datasets import classes, leaks
from crystalcli.mechanisms.datasets.dataset import GraphDataset
from crystalcli.mechanisms.datasets.normalisers import target_statistics, with_references, with_shortest
from crystalcli.mechanisms.datasets.splits import Split
from crystalcli.mechanisms.models.model import CrystalModel, ModelSpec, PartChoice, refuse_mixed_sizes
from crystalcli.mechanisms.models.model_inputs import inputs_of, take_from_cache
from crystalcli.mechanisms.registry.plugin_manager import registry
from crystalcli.mechanisms.running.devices import choose_device
from crystalcli.mechanisms.scoring.evaluation import Zeroth
from crystalcli.vocabulary.errors import UsageError, did_you_mean
from crystalcli.vocabulary.quantities import Quantity
from crystalcli.workflows.training_plan import Listener, TrainingPlan
from crystalcli.workflows.training_split import Material, choose
from crystalcli.workflows.training_start import started
from crystalcli.workflows.training_zeroth import zeroth_terms

TASKS = ("auto", "regression", "classification")
OUTLIER = 100.0
"""A label further from the median than this many robust standard deviations is worth a warning."""


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
        statistics=_of_atoms(statistics, data, split) if differentiable else statistics,
    ).with_baselines(fitted)
    torch.manual_seed(plan.seed)
    model = CrystalModel(spec, fitted)
    refuse_mixed_sizes(model, data.atom_counts())
    _give_inputs(data, model, listener)
    return Prepared(data, ids, targets, split, tuple(found), zeroth, model.to(device), device)


def _give_inputs(data: GraphDataset, model: CrystalModel, listener: Listener) -> None:
    """Let the batches hold what the model reads beside graphs.

    Raises:
        UsageError: no structure says it.
    """
    for name, missing in take_from_cache(data, inputs_of(model.spec)).items():
        if missing == len(data):
            raise UsageError(
                f"no structure has a label '{name}', which head '{model.spec.head.name}' reads; the caches have "
                f"{', '.join(data.columns)}; labels are taken by crystal build-graphs --targets"
            )
        listener.say(f"{missing} of {len(data)} structures do not say their '{name}'; it is taken as 0")


def _of_atoms(statistics: Statistics, data: GraphDataset, split: Split) -> Statistics:
    """What a head with energies of atoms may know, too."""
    return with_shortest(with_references(statistics, data, split.train), data, split.train)


def choose_targets(
    data: GraphDataset, wished: Sequence[str], task: str, head: Head, path: object, listener: Listener
) -> tuple[Quantity, ...]:
    """Quantities to learn: those wished for, those that the head knows by name, or the only one there is.

    Words are classes; whole numbers are where ``task`` says ``classification``. Columns that are classes are replaced
    in ``data`` by their class numbers.

    Raises:
        UsageError: none, an unknown one, several and none named, or labels that do not suit the task.
    """
    texts = list(data.tags)
    if not data.columns and not wished:
        cure = f"learn classes from a text column with --target: {', '.join(texts)}; or " if texts else ""
        raise UsageError(f"has no labels; {cure}build it with --targets or beside an id_prop.csv", path=str(path))
    for name in wished:
        if name not in data.columns and name not in texts:
            raise UsageError(f"no label '{name}' in the caches; {did_you_mean(name, [*data.columns, *texts])}")
    if not wished and head.learns:
        wished = [q.name for q in head.learns if q.name in data.columns]
        if not wished:
            raise UsageError(
                f"no label that head '{head.name}' learns ({', '.join(q.name for q in head.learns)}); "
                f"the caches have {', '.join(data.columns) or 'none'}"
            )
        listener.say(f"targets: {', '.join(wished)}")
    if not wished and len(data.columns) > 1:
        raise UsageError(f"there are several labels; choose with --target: {', '.join(sorted(data.columns))}")
    return tuple(_target(data, name, task, listener) for name in dict.fromkeys(wished or data.columns))


def _target(data: GraphDataset, name: str, task: str, listener: Listener) -> Quantity:
    is_text = name not in data.columns
    if task not in TASKS:
        raise UsageError(f"no task '{task}'; {did_you_mean(task, TASKS)}")
    if is_text and task == "regression":
        raise UsageError(f"'{name}' is a text column, which is no number; use --task classification")
    if is_text or task == "classification":
        column = data.columns[name] = classes.column(data, name)
        counts = np.bincount(column.values[column.mask].astype(np.int64), minlength=column.quantity.classes)
        shares = ", ".join(f"{w} ({n})" for w, n in zip(column.quantity.words, counts, strict=True))
        listener.say(f"classes of '{name}': {shares}")
        return column.quantity
    column = data.columns[name]
    values = np.unique(column.values[column.mask])
    if task == "auto" and column.quantity.level == "structure" and np.array_equal(values, [0.0, 1.0]):
        listener.say(f"label '{name}' is 0 or 1 and is learned as a number; --task classification learns classes")
    return column.quantity


def labelled(data: GraphDataset, targets: Sequence[Quantity], listener: Listener) -> NDArray[np.int64]:
    """Structures with a label of at least one target; says how many have none.

    Raises:
        UsageError: fewer than three.
    """
    have = np.zeros(len(data), dtype=bool)
    counts = data.atom_counts()
    for q in targets:
        column = data.columns[q.name]
        mask = column.mask & np.isfinite(column.values.reshape(len(column.mask), -1)).all(1)
        if q.level == "site":
            owner = np.repeat(np.arange(len(data)), counts)
            mask = np.bincount(owner[mask], minlength=len(data)) > 0
        if not mask.all():
            listener.say(f"{int((~mask).sum())} of {len(data)} structures have no label '{q.name}'")
        have |= mask
    if have.sum() < 3:
        raise UsageError(f"{int(have.sum())} structures with a label are too few to train, validate and test")
    return np.flatnonzero(have)


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


def check_values(data: GraphDataset, quantity: Quantity, split: Split, ids: Sequence[str], listener: Listener) -> None:
    """Refuse a constant target, warn of values far from all others.

    Raises:
        UsageError: every label of the training part is the same.
    """
    if quantity.level != "structure" or quantity.shape:
        return
    column = data.columns[quantity.name]
    values = column.values[split.train][column.mask[split.train]]
    if len(values) == 0:
        raise UsageError(f"no structure of the training part has a label '{quantity.name}'")
    if np.ptp(values) == 0.0:
        shown = quantity.words[int(values[0])] if quantity.classes else f"{values[0]:g}"
        raise UsageError(f"label '{quantity.name}' is {shown} for all training structures; nothing to learn")
    if quantity.classes:
        never = [w for k, w in enumerate(quantity.words) if k not in values]
        if never:
            listener.warn(f"classes of '{quantity.name}' that training never sees: {', '.join(never)}")
        return
    middle = np.median(values)
    spread = 1.4826 * float(np.median(np.abs(values - middle)))
    every = np.concatenate(list(split.parts().values()))
    every = every[column.mask[every]]
    far = every[np.abs(column.values[every] - middle) > OUTLIER * spread] if spread > 0 else every[:0]
    if len(far):
        shown = ", ".join(f"{ids[i]} ({column.values[i]:g})" for i in far[:3])
        listener.warn(f"{len(far)} labels '{quantity.name}' are very far from the median {middle:g}: {shown}")
